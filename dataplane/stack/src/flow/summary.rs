//! What the control plane may know of a flow: a copy, never a reference.

use core::net::SocketAddr;

use crate::{FlowId, Instant, Side, Sides, SockOpts, StreamOffset, TcpState};

/// The addresses and ports of a flow, client first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowTuple {
    /// The client's address and port.
    pub client: SocketAddr,
    /// The server's address and port.
    pub server: SocketAddr,
    /// Outermost 802.1Q id other than 0, where the first packet had one.
    pub vlan: Option<u16>,
}

/// How a flow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndCause {
    /// Both sides closed.
    Fin,
    /// A reset that the receiver would accept.
    Rst,
    /// No packet for too long.
    Timeout,
    /// Its tuple was taken by a new connection.
    Reused,
    /// Monitoring of both sides was stopped.
    Stopped,
    /// It was given up for lack of room.
    Evicted,
}

impl EndCause {
    /// Every cause.
    pub const ALL: [Self; 6] =
        [Self::Fin, Self::Rst, Self::Timeout, Self::Reused, Self::Stopped, Self::Evicted];

    /// The cause in lower case, as events, records and metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Rst => "rst",
            Self::Timeout => "timeout",
            Self::Reused => "reused",
            Self::Stopped => "stopped",
            Self::Evicted => "evicted",
        }
    }
}

/// Where the options of a flow come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OptionsOrigin {
    /// The configured defaults.
    Default,
    /// A policy, when the flow began.
    Policy,
    /// A change of this flow's options.
    Explicit,
}

/// What is known of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SideSummary {
    /// Its emulated TCP state.
    pub state: TcpState,
    /// Packets that it sent.
    pub packets: u64,
    /// TCP payload bytes that it sent, repeated ones included.
    pub payload_bytes: u64,
    /// How far the other endpoint has acknowledged what it sent: every byte below was received.
    /// A FIN is not counted. `None` until a segment of both endpoints was captured, and while 2^31
    /// bytes or more are not acknowledged.
    pub acknowledged: Option<StreamOffset>,
    /// Segments that it sent with payload already seen in full.
    pub retransmits: u64,
    /// Segments that it sent, as their addresses say, and that were not believed at once: see
    /// [`Suspicion`](crate::Suspicion).
    pub suspicious_segments: u64,
    /// State of its receive buffer, which holds what the **other** endpoint sent.
    pub buffer: BufferSummary,
}

/// What is known of one side's receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BufferSummary {
    /// First offset held; equal to `newest` when nothing is held.
    pub oldest: StreamOffset,
    /// One past the last offset held.
    pub newest: StreamOffset,
    /// The first offset that is neither captured nor given up: everything below was held once or
    /// is a gap.
    pub next: StreamOffset,
    /// Length of the stream's beginning without any hole, while it is still held or was.
    pub contiguous: StreamOffset,
    /// Bytes held below `next`.
    pub buffered_bytes: u64,
    /// Bytes held beyond `next`, out of order.
    pub out_of_order_bytes: u64,
    /// Bytes that made room for newer ones before anyone read them.
    pub overwritten_bytes: u64,
    /// Those of them that made room because there were too many runs.
    pub crowded_out_bytes: u64,
    /// Arriving bytes that differed from the held copy of their position.
    pub conflicting_bytes: u64,
    /// Ranges of the stream that were given up and have not come since.
    pub gaps: u64,
    /// Bytes in those ranges. Falls when they come after all, while the window is there.
    pub missing_bytes: u64,
    /// Arriving bytes that were not stored: the pool was empty or the ranges were too many.
    pub refused_bytes: u64,
}

/// Everything that the control plane may know of one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowSummary {
    /// Its handle.
    pub id: FlowId,
    /// Its addresses and ports.
    pub tuple: FlowTuple,
    /// Innermost 802.1Q id other than 0, where there are several and they are part of the key.
    pub inner_vlan: Option<u16>,
    /// Its two endpoints.
    pub sides: Sides<SideSummary>,
    /// Whether nothing of one endpoint was captured, or nothing that fits the connection: what the
    /// other one sent is guessed to be received, because no acknowledgement says so.
    pub is_one_sided: bool,
    /// The options in force.
    pub options: SockOpts,
    /// Where they come from.
    pub origin: OptionsOrigin,
    /// Revision of the options; grows by one with every change.
    pub revision: u32,
    /// Time of the first packet.
    pub started: Instant,
    /// Time of the last packet.
    pub last_packet: Instant,
}

/// What of a flow changes with its state and its options, not with each packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowStatus {
    /// The emulated TCP state of each endpoint.
    pub states: Sides<TcpState>,
    /// As [`FlowSummary::is_one_sided`], when the status was told.
    pub is_one_sided: bool,
    /// The options in force.
    pub options: SockOpts,
    /// Where they come from.
    pub origin: OptionsOrigin,
    /// Their revision.
    pub revision: u32,
    /// Time of the first packet.
    pub started: Instant,
    /// Time of the last packet.
    pub last_packet: Instant,
    /// As [`FlowSummary::inner_vlan`].
    pub inner_vlan: Option<u16>,
}

impl FlowSummary {
    /// What of it changes with states and options.
    #[must_use]
    pub fn status(&self) -> FlowStatus {
        FlowStatus {
            states: self.sides.map(|side| side.state),
            is_one_sided: self.is_one_sided,
            options: self.options,
            origin: self.origin,
            revision: self.revision,
            started: self.started,
            last_packet: self.last_packet,
            inner_vlan: self.inner_vlan,
        }
    }

    /// Bytes of both streams that were captured in order, or given up, but not yet acknowledged.
    /// `None` while it is not known what was acknowledged.
    #[must_use]
    pub fn unacknowledged_bytes(&self) -> Option<u64> {
        let sent = |from: Side| {
            let acknowledged = self.sides[from].acknowledged?;
            Some(self.sides[from.peer()].buffer.next.0.saturating_sub(acknowledged.0))
        };
        Some(sent(Side::Client)?.saturating_add(sent(Side::Server)?))
    }
}

/// What a look into one side's receive buffer found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peeked {
    /// Offset of the first byte copied.
    pub offset: StreamOffset,
    /// Bytes copied, 0 when nothing is held at or behind the wanted offset.
    pub length: usize,
    /// First offset held.
    pub oldest: StreamOffset,
    /// One past the last offset held.
    pub newest: StreamOffset,
    /// First offset held at or behind the end of what was copied.
    pub next_held: Option<StreamOffset>,
}

/// Why a look into a receive buffer was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeekError {
    /// The handle does not name a live flow.
    #[error(transparent)]
    Lookup(#[from] crate::LookupError),
    /// Monitoring of the side was stopped.
    #[error("the side is no longer monitored")]
    Stopped(Side),
    /// The side's buffer has capacity 0.
    #[error("the side has no receive buffer: its capacity is 0")]
    BufferingDisabled(Side),
    /// The wanted offset was evicted.
    #[error("the offset is no longer held")]
    Overwritten {
        /// First offset held.
        oldest: StreamOffset,
        /// One past the last offset held.
        newest: StreamOffset,
    },
    /// The wanted offset was not received yet.
    #[error("the offset is not received yet")]
    NotYetReceived {
        /// First offset held.
        oldest: StreamOffset,
        /// One past the last offset held.
        newest: StreamOffset,
    },
}
