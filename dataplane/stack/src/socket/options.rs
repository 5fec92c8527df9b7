//! The options of a monitored flow: names, units, ranges, defaults, and when they take effect.
//!
//! mOS: `mtcp_setsockopt(3)`, level `SOL_MONSOCKET`. [`SockOptName::row`] is the table of options:
//! names, values and mOS's names. Code that treats all options alike iterates over it.

use core::fmt;

use crate::{
    EndCause, OverlapPolicy, Side, Sides,
    limits::{BLOCK_BYTES, BUFFER_BYTES_DEFAULT},
};

/// The name of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SockOptName {
    /// Capacity of the receive buffer of `Side`, in bytes. The client's buffer holds what the
    /// server sent, and the other way round. mOS: `MOS_CLIBUF`, `MOS_SVRBUF`.
    Buffer(Side),
    /// Overlap policy of the receive buffer of `Side`. mOS: `MOS_CLIOVERLAP`, `MOS_SVROVERLAP`.
    Overlap(Side),
    /// Sides that are no longer monitored. mOS: `MOS_STOP_MON`.
    StopMonitoring,
}

impl SockOptName {
    /// Every option.
    pub const ALL: [Self; 5] = [
        Self::Buffer(Side::Client),
        Self::Buffer(Side::Server),
        Self::Overlap(Side::Client),
        Self::Overlap(Side::Server),
        Self::StopMonitoring,
    ];

    /// The row of this option.
    #[must_use]
    #[rustfmt::skip] // A table.
    pub const fn row(self) -> SockOptRow {
        use SockOptKind::{Bytes, Overlap, Stop};
        let (bit, path, key, mos, kind) = match self {
            Self::Buffer(Side::Client) =>
                (0, "options.client_buffer_bytes", Some("client_buffer"), "MOS_CLIBUF", Bytes),
            Self::Buffer(Side::Server) =>
                (1, "options.server_buffer_bytes", Some("server_buffer"), "MOS_SVRBUF", Bytes),
            Self::Overlap(Side::Client) =>
                (2, "options.client_overlap", Some("client_overlap"), "MOS_CLIOVERLAP", Overlap),
            Self::Overlap(Side::Server) =>
                (3, "options.server_overlap", Some("server_overlap"), "MOS_SVROVERLAP", Overlap),
            Self::StopMonitoring =>
                (4, "options.stop_monitoring", None, "MOS_STOP_MON", Stop),
        };
        SockOptRow { bit: 1 << bit, path, key, mos, kind }
    }

    /// The name as users write it, in API fields, events and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().path.split_at("options.".len()).1
    }
}

/// The row of one option in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SockOptRow {
    bit: u8,
    /// Path of its field in requests and filters.
    pub path: &'static str,
    /// Key of its default in section `[options]` of the configuration, if it has one.
    pub key: Option<&'static str>,
    /// Its name in mOS's `mos_api.h`; empty when mOS has no such option.
    pub mos: &'static str,
    /// The type of its values.
    pub kind: SockOptKind,
}

/// The type of an option's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SockOptKind {
    /// A capacity in bytes, 0 to [`crate::Limits::buffer_bytes_max`].
    Bytes,
    /// An overlap policy.
    Overlap,
    /// Sides that are stopped, or none.
    Stop,
}

impl SockOptKind {
    /// Every value of this kind that is a word; none if the values are numbers.
    pub fn named_values(self) -> impl Iterator<Item = SockOptValue> {
        let policies = OverlapPolicy::ALL.map(SockOptValue::Overlap);
        let scopes = StopScope::ALL.map(|scope| SockOptValue::Stop(Some(scope)));
        let none = [SockOptValue::Stop(None)];
        let all = policies.into_iter().chain(none).chain(scopes);
        all.filter(move |value| value.kind() == self)
    }
}

/// A value of an option. `Display` writes the number, or the word that users write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SockOptValue {
    /// Of [`SockOptKind::Bytes`].
    Bytes(u64),
    /// Of [`SockOptKind::Overlap`].
    Overlap(OverlapPolicy),
    /// Of [`SockOptKind::Stop`].
    Stop(Option<StopScope>),
}

impl SockOptValue {
    /// The kind of the options that take it.
    #[must_use]
    pub const fn kind(self) -> SockOptKind {
        match self {
            Self::Bytes(_) => SockOptKind::Bytes,
            Self::Overlap(_) => SockOptKind::Overlap,
            Self::Stop(_) => SockOptKind::Stop,
        }
    }
}

impl fmt::Display for SockOptValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Overlap(policy) => f.write_str(policy.as_str()),
            Self::Stop(None) => f.write_str("none"),
            Self::Stop(Some(scope)) => f.write_str(scope.as_str()),
        }
    }
}

impl fmt::Display for SockOptName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of option names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SockOptNames(u8);

impl SockOptNames {
    /// Adds a name.
    pub const fn insert(&mut self, name: SockOptName) {
        self.0 |= name.row().bit;
    }

    /// Whether the set holds the name.
    #[must_use]
    pub const fn contains(self, name: SockOptName) -> bool {
        self.0 & name.row().bit != 0
    }
}

/// Sides that are no longer monitored. mOS: the value of `MOS_STOP_MON`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopScope {
    /// The client's side. mOS: `MOS_SIDE_CLI`.
    Client,
    /// The server's side. mOS: `MOS_SIDE_SVR`.
    Server,
    /// Both sides: the flow is stopped. mOS: `MOS_SIDE_BOTH`.
    Both,
}

impl StopScope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Client, Self::Server, Self::Both];

    /// The word that users write.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Both => "both",
        }
    }

    /// Whether the scope holds this side.
    #[must_use]
    pub const fn contains(self, side: Side) -> bool {
        matches!(
            (self, side),
            (Self::Both, _) | (Self::Client, Side::Client) | (Self::Server, Side::Server)
        )
    }

    /// The union of both scopes: stops accumulate.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        if self == other { self } else { Self::Both }
    }
}

/// The options in force for one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SockOpts {
    /// Capacity of each side's receive buffer, in bytes, a multiple of [`BLOCK_BYTES`].
    ///
    /// Range 0 to [`crate::Limits::buffer_bytes_max`]; default [`BUFFER_BYTES_DEFAULT`]. 0 stops
    /// buffering for that side and returns its memory at once. Growing keeps every held byte;
    /// shrinking evicts the oldest ones. Takes effect at once.
    pub buffer_bytes: Sides<u64>,
    /// Overlap policy of each side's receive buffer. Takes effect with the next segment.
    pub overlap: Sides<OverlapPolicy>,
    /// Sides that are no longer monitored. Cannot be undone.
    pub stopped: Option<StopScope>,
}

impl Default for SockOpts {
    fn default() -> Self {
        Self {
            buffer_bytes: Sides::both(BUFFER_BYTES_DEFAULT),
            overlap: Sides::both(OverlapPolicy::First),
            stopped: None,
        }
    }
}

impl SockOpts {
    /// Whether monitoring of this side was stopped.
    #[must_use]
    pub fn is_stopped(&self, side: Side) -> bool {
        self.stopped.is_some_and(|scope| scope.contains(side))
    }

    /// The value of an option.
    #[must_use]
    pub fn get(&self, name: SockOptName) -> SockOptValue {
        match name {
            SockOptName::Buffer(side) => SockOptValue::Bytes(self.buffer_bytes[side]),
            SockOptName::Overlap(side) => SockOptValue::Overlap(self.overlap[side]),
            SockOptName::StopMonitoring => SockOptValue::Stop(self.stopped),
        }
    }

    /// Sets an option. The value is of the option's kind; another one is ignored.
    pub fn set(&mut self, name: SockOptName, value: SockOptValue) {
        match (name, value) {
            (SockOptName::Buffer(side), SockOptValue::Bytes(bytes)) => {
                self.buffer_bytes[side] = bytes;
            }
            (SockOptName::Overlap(side), SockOptValue::Overlap(policy)) => {
                self.overlap[side] = policy;
            }
            (SockOptName::StopMonitoring, SockOptValue::Stop(scope)) => self.stopped = scope,
            (name, value) => debug_assert!(false, "{name} cannot be {value:?}"),
        }
    }
}

/// A change of options. Absent fields stay as they are. A change is applied completely or not at
/// all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SockOptChange {
    /// New capacities, in bytes; rounded up to [`BLOCK_BYTES`].
    pub buffer_bytes: Sides<Option<u64>>,
    /// New overlap policies.
    pub overlap: Sides<Option<OverlapPolicy>>,
    /// Sides to stop monitoring, in addition to those already stopped.
    pub stop: Option<StopScope>,
}

impl SockOptChange {
    /// The names of the options that the change sets.
    pub fn names(&self) -> impl Iterator<Item = SockOptName> {
        SockOptName::ALL.into_iter().filter(|name| self.get(*name).is_some())
    }

    /// What the change sets an option to, if it does.
    #[must_use]
    pub fn get(&self, name: SockOptName) -> Option<SockOptValue> {
        match name {
            SockOptName::Buffer(side) => self.buffer_bytes[side].map(SockOptValue::Bytes),
            SockOptName::Overlap(side) => self.overlap[side].map(SockOptValue::Overlap),
            SockOptName::StopMonitoring => self.stop.map(|scope| SockOptValue::Stop(Some(scope))),
        }
    }

    /// Sets an option to a value of its kind; a value of another kind is ignored.
    pub fn set(&mut self, name: SockOptName, value: SockOptValue) {
        match (name, value) {
            (SockOptName::Buffer(side), SockOptValue::Bytes(bytes)) => {
                self.buffer_bytes[side] = Some(bytes);
            }
            (SockOptName::Overlap(side), SockOptValue::Overlap(policy)) => {
                self.overlap[side] = Some(policy);
            }
            (SockOptName::StopMonitoring, SockOptValue::Stop(scope)) => self.stop = scope,
            (name, value) => debug_assert!(false, "{name} cannot be {value:?}"),
        }
    }
}

/// Rounds a capacity up to whole blocks. `None` when that overflows.
#[must_use]
pub const fn round_up_to_block(bytes: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(BLOCK_BYTES as u64)
}

/// The result of a change of options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The options in force afterwards.
    pub options: SockOpts,
    /// The options in force before.
    pub previous: SockOpts,
    /// The revision of the options in force: every change that changes an option increments it, a
    /// check does not.
    pub revision: u32,
    /// The options were already as requested.
    pub unchanged: bool,
    /// Buffered bytes that a smaller capacity or a stop discarded.
    pub discarded_bytes: u64,
}

/// Why a handle does not name a live flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No flow ever had this handle, as far as is known.
    #[error("no such flow")]
    NotFound,
    /// The flow with this handle has ended.
    #[error("the flow has ended")]
    Ended {
        /// How it ended, while that is still known.
        cause: Option<EndCause>,
    },
}

/// Why a change of options was refused. A refused change changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SockOptError {
    /// The handle does not name a live flow.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// Monitoring of the side, or of the flow, was stopped.
    #[error("{name} belongs to a side that is no longer monitored")]
    Stopped {
        /// The option that cannot be set any more.
        name: SockOptName,
    },
    /// The option may not be changed while the flow lives.
    #[error("{name} is locked")]
    Locked {
        /// The locked option.
        name: SockOptName,
    },
    /// The value is out of range.
    #[error("{name} {value} is above the limit {max}")]
    OutOfRange {
        /// The option.
        name: SockOptName,
        /// The value asked for.
        value: u64,
        /// The largest value allowed.
        max: u64,
    },
    /// The worker's block pool cannot hold that much more now.
    #[error("the buffer pool has {free_bytes} bytes free of {requested_bytes} asked for")]
    PoolExhausted {
        /// Bytes that the change would add to what the flow may hold.
        requested_bytes: u64,
        /// Bytes that no flow holds.
        free_bytes: u64,
    },
    /// The caller's revision is stale.
    #[error("the options have changed: revision is {current}")]
    RevisionMismatch {
        /// The revision in force.
        current: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_a_name_a_bit_and_a_value_of_its_own() {
        let mut names = SockOptNames::default();
        let mut options = SockOpts::default();
        for name in SockOptName::ALL {
            assert!(!names.contains(name), "{name} has the bit of another");
            names.insert(name);
            assert!(name.row().path.starts_with("options."), "{name}");
            let value = match name.row().kind {
                SockOptKind::Bytes => SockOptValue::Bytes(4096),
                SockOptKind::Overlap => SockOptValue::Overlap(OverlapPolicy::Last),
                SockOptKind::Stop => SockOptValue::Stop(Some(StopScope::Both)),
            };
            assert_ne!(options.get(name), value, "{name} was set before");
            options.set(name, value);
            assert_eq!(options.get(name), value, "{name}");
            let mut change = SockOptChange::default();
            change.set(name, value);
            assert!(change.names().eq([name]), "{name}");
            assert_eq!(value.kind(), name.row().kind, "{name}");
            let kind = name.row().kind;
            assert!(kind.named_values().all(|value| value.kind() == kind), "{name}");
        }
    }
}
