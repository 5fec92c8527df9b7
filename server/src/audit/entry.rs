//! What is entered: one entry is one line, a JSON object.

use std::{collections::BTreeMap, time::SystemTime};

use mos_text::{Chain, Digest};
use prost_types::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth::Proof;

/// The version of the format. A line with another one may say other things by the same keys.
const VERSION: u8 = 1;

/// Keys and values.
pub(crate) type Values = BTreeMap<String, Value>;

/// What an entry is about. Words never change their meaning; new ones may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Event {
    /// mosd has started.
    #[default]
    Start,
    /// mosd ends in order.
    Stop,
    /// A call is about to be carried out.
    Intent,
    /// What came of it. Where there is none, mosd ended in between.
    Result,
    /// A stream of payload has ended.
    StreamEnd,
    /// A call was refused, or a stream ended, for want of a role or a proof.
    Denied,
    /// What was denied beyond the rate of one caller.
    Suppressed,
    /// The first call of a connection over TLS.
    SignIn,
    /// A TLS handshake has failed by a certificate.
    Handshake,
    /// A file was read again.
    Reload,
    /// A last line that was not whole was cut off.
    Cut,
    /// An older file was removed.
    Removed,
    /// Entries could not be written.
    Failed,
}

impl Event {
    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Intent => "intent",
            Self::Result => "result",
            Self::StreamEnd => "stream-end",
            Self::Denied => "denied",
            Self::Suppressed => "suppressed",
            Self::SignIn => "sign-in",
            Self::Handshake => "handshake",
            Self::Reload => "reload",
            Self::Cut => "cut",
            Self::Removed => "removed",
            Self::Failed => "failed",
        }
    }
}

/// What is entered of one thing that happened. What is empty is left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Entry {
    pub(crate) event: Event,
    /// Who, by the names of budgets and log.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) principal: String,
    /// How that is proven: `socket`, `address`, `certificate`, `token` or `none`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) proof: String,
    /// The grants that fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) grants: Vec<String>,
    /// From where: an address, or the socket.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) peer: String,
    /// `mos.v1.FlowService/SetSockOpt`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) method: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) request_id: String,
    /// The number of the intent that this is the result of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) intent: Option<u64>,
    /// The number of the gRPC code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<i32>,
    /// The reason of an error.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    /// The flow, the filter, the policy or the file that it is about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) target: String,
    /// What was in force before, of what has changed.
    #[serde(skip_serializing_if = "Values::is_empty")]
    pub(crate) before: Values,
    /// What is in force now, of what has changed.
    #[serde(skip_serializing_if = "Values::is_empty")]
    pub(crate) after: Values,
    /// Counts, and whatever else there is to say.
    #[serde(skip_serializing_if = "Values::is_empty")]
    pub(crate) details: Values,
    /// How long the call took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) took_us: Option<u64>,
    /// Entries before this one that found no room.
    #[serde(skip_serializing_if = "is_none")]
    pub(crate) lost: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Entry {
    /// An entry of an event that nobody has caused by a call.
    pub(crate) fn of(event: Event) -> Self {
        Self { event, ..Self::default() }
    }

    /// An entry of what a caller does.
    pub(crate) fn by(event: Event, proof: &Proof, grants: Vec<String>) -> Self {
        let (kind, peer) = place(proof);
        let (principal, proof) = (proof.principal().to_string(), kind.to_owned());
        Self { principal, proof, grants, peer, ..Self::of(event) }
    }

    /// With one more detail.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

/// How it is proven who calls, and from where.
fn place(proof: &Proof) -> (&'static str, String) {
    match proof {
        Proof::Socket { path, .. } => ("socket", path.display().to_string()),
        Proof::Address(address) => ("address", address.to_string()),
        Proof::Tls { address, certificate: Some(_), .. } => ("certificate", address.to_string()),
        Proof::Tls { address, certificate: None, .. } => ("none", address.to_string()),
        Proof::Token { on, .. } => ("token", place(on).1),
    }
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    v: u8,
    /// Its number: the next line has the next one.
    pub(crate) seq: u64,
    /// When it happened, in UTC.
    pub(crate) time: String,
    /// What happened.
    #[serde(flatten)]
    pub(crate) entry: Entry,
    /// The digest of the line before.
    prev: Digest,
}

impl Line {
    /// The line that a chain goes on with, as bytes without an end.
    ///
    /// # Errors
    ///
    /// None is known: every entry has a text.
    pub(super) fn write(
        Chain { next, prev }: Chain,
        at: SystemTime,
        entry: &Entry,
    ) -> serde_json::Result<Vec<u8>> {
        let (time, entry) = (Timestamp::from(at).to_string(), entry.clone());
        serde_json::to_vec(&Self { v: VERSION, seq: next, time, entry, prev })
    }

    /// Reads a line.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub(super) fn read(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    /// When it happened.
    pub(crate) fn at(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_entered_and_goes_on_with_the_chain() {
        let entry = Entry {
            principal: "uid 0".to_owned(),
            target: "flows/\"odd\"\n".to_owned(),
            code: Some(0),
            before: [("client_buffer_bytes".to_owned(), 8192.into())].into(),
            ..Entry::of(Event::Result)
        }
        .with("count", 3);
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::new(1_700_000_000, 123_456_789);
        let bytes = Line::write(Chain::default(), at, &entry).unwrap();
        assert!(!bytes.contains(&b'\n'));
        let text = String::from_utf8(bytes.clone()).unwrap();
        let start = "{\"v\":1,\"seq\":1,\"time\":\"2023-11-14T22:13:20.123456789Z\",\
                     \"event\":\"result\",\"principal\":\"uid 0\",";
        assert!(text.starts_with(start), "{text}");
        assert!(!text.contains("reason"), "what is empty is left out: {text}");
        let line = Line::read(&bytes).unwrap();
        assert_eq!((line.seq, &line.entry), (1, &entry));
        assert_eq!(line.at(), Some(at.into()));
        assert_eq!(Chain::default().follow(&bytes).unwrap().next, 2);
    }

    #[test]
    fn the_word_of_an_event_is_that_of_its_lines() {
        for event in [Event::Start, Event::StreamEnd, Event::SignIn, Event::Failed] {
            assert_eq!(serde_json::to_value(event).unwrap(), event.as_str());
        }
    }
}
