//! The options of a monitored flow: names, units, ranges, defaults, and when they take effect.
//!
//! mOS: `mtcp_setsockopt(3)`, level `SOL_MONSOCKET`. The numbers of that call are known to the
//! server's `convert.rs` alone.

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

    /// The name as users write it, in configuration, API fields and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buffer(Side::Client) => "client_buffer_bytes",
            Self::Buffer(Side::Server) => "server_buffer_bytes",
            Self::Overlap(Side::Client) => "client_overlap",
            Self::Overlap(Side::Server) => "server_overlap",
            Self::StopMonitoring => "stop_monitoring",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Buffer(Side::Client) => 1,
            Self::Buffer(Side::Server) => 2,
            Self::Overlap(Side::Client) => 4,
            Self::Overlap(Side::Server) => 8,
            Self::StopMonitoring => 16,
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
        self.0 |= name.bit();
    }

    /// Whether the set holds the name.
    #[must_use]
    pub const fn contains(self, name: SockOptName) -> bool {
        self.0 & name.bit() != 0
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
    /// Whether the scope holds this side.
    #[must_use]
    pub const fn contains(self, side: Side) -> bool {
        matches!(
            (self, side),
            (Self::Both, _) | (Self::Client, Side::Client) | (Self::Server, Side::Server)
        )
    }

    /// Both scopes together: stops add up.
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
}

/// A change of options: absent fields stay as they are. All of it is applied, or nothing.
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
        SockOptName::ALL.into_iter().filter(|name| match name {
            SockOptName::Buffer(side) => self.buffer_bytes[*side].is_some(),
            SockOptName::Overlap(side) => self.overlap[*side].is_some(),
            SockOptName::StopMonitoring => self.stop.is_some(),
        })
    }
}

/// Rounds a capacity up to whole blocks. `None` when that overflows.
#[must_use]
pub const fn round_up_to_block(bytes: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(BLOCK_BYTES as u64)
}

/// What a change of options did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The options in force afterwards.
    pub options: SockOpts,
    /// The revision of the options afterwards; grows by one with every change that changed one.
    pub revision: u32,
    /// Nothing needed changing.
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
