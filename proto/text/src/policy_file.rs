//! A file of policies: what `mosctl policy apply` sends, and what mosd reads where its
//! configuration names one.
//!
//! ```toml
//! [[policy]]
//! name = "web"
//! priority = 20
//! filter = "server.port = 443"
//! client_buffer = "64KiB"
//! ```
//!
//! The keys of options are those of section `[options]` of the configuration.

use serde::{Deserialize, Serialize};

use crate::Size;

/// A whole set of policies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyFile {
    /// The policies, in any order.
    #[serde(rename = "policy")]
    pub policies: Vec<PolicyText>,
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// Its name, without `policies/`.
    pub name: String,
    /// Lower goes first.
    #[serde(default = "priority")]
    pub priority: u16,
    /// Which flows.
    pub filter: String,
    /// Whether they are monitored at all.
    #[serde(default = "monitor")]
    pub monitor: bool,
    /// Capacity of the client's buffer, which holds what the server sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_buffer: Option<Size>,
    /// Capacity of the server's buffer, which holds what the client sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_buffer: Option<Size>,
    /// Overlap policy of the client's buffer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_overlap: Option<OverlapWord>,
    /// Overlap policy of the server's buffer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_overlap: Option<OverlapWord>,
    /// Sides that are never monitored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_monitoring: Option<StopWord>,
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// The priority of a policy that names none.
pub const PRIORITY_DEFAULT: u16 = 1000;

const fn priority() -> u16 {
    PRIORITY_DEFAULT
}

const fn monitor() -> bool {
    true
}

/// An overlap policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverlapWord {
    /// The first copy is kept.
    First,
    /// The last copy is kept.
    Last,
    /// The copy that Linux delivers is kept.
    Linux,
}

/// Sides that are not monitored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopWord {
    /// The client's.
    Client,
    /// The server's.
    Server,
    /// Both.
    Both,
}
