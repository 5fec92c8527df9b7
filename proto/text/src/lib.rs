//! What people write to `mosd` and `mosctl`, and the words that both programs share.
//!
//! A text means the same in the configuration file, on both command lines, in a filter and in a
//! request, because each kind of text is read and written here and nowhere else:
//!
//! | kind | example | type |
//! | --- | --- | --- |
//! | size | `64KiB` | [`Size`] |
//! | span of time | `1h30m` | [`Span`] |
//! | flow name | `tcp/10.0.0.1:43512-192.0.2.10:443@100` | [`FlowName`] |
//! | address to connect or listen at | `unix:///run/mosd/mosd.sock` | [`Endpoint`], [`Address`] |
//! | address prefix | `10.0.0.0/8` | [`Prefix`] |
//! | file of policies | `[[policy]]` | [`PolicyFile`] |
//! | arguments of `mtcp_setsockopt(3)` | `MOS_CLIBUF` | [`mos`] |
//! | reason of an error | `FLOW_NOT_FOUND` | [`Reason`] |
//! | token | `mosd_0123abcd_…` | [`Token`] |
//! | digest | `sha256:9f2c…` | [`Digest`] |
//! | line of an audit file | `{"seq":7,…,"prev":"sha256:…"}` | [`Chain`] |
//!
//! Numbers are ASCII digits: no sign, no blank between digits, no digit of another script. An
//! error repeats the text, as [`Echo`] does, and says what would be right, with an example.

#![forbid(unsafe_code)]

mod address;
mod chain;
mod digest;
mod digits;
mod echo;
mod flow_name;
pub mod mos;
mod policy_file;
mod prefix;
mod reason;
mod secret;
mod size;
mod span;
mod token;

pub use self::{
    address::{Address, Endpoint, Host},
    chain::{BrokenChain, Chain},
    digest::Digest,
    digits::port,
    echo::Echo,
    flow_name::{FlowName, FlowNameError, Tuple},
    policy_file::{OverlapWord, PRIORITY_DEFAULT, PolicyFile, PolicyText, StopWord},
    prefix::Prefix,
    reason::{DOMAIN, Reason},
    secret::keeps_secret,
    size::Size,
    span::Span,
    token::Token,
};

/// Why a text is not of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {problem}", Echo(text))]
pub struct TextError {
    /// What was given.
    pub text: String,
    /// What is wrong with it and what would be right, after the text: `is not ...: write ...`.
    pub problem: String,
}

impl TextError {
    fn new(text: &str, problem: impl Into<String>) -> Self {
        Self { text: text.to_owned(), problem: problem.into() }
    }
}

/// Reads `T` with serde from a string.
fn from_str<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: std::str::FromStr<Err = TextError>,
    D: serde::Deserializer<'de>,
{
    let text = <String as serde::Deserialize>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}
