//! Facts that the stack emits while it works, and the sink that takes them.
//!
//! mOS: the `MOS_ON_*` events. Each fact is stated exactly once, and the facts of one flow in the
//! order in which they happened. An event of a kind that the sink does not want is not built.

use crate::{
    EndCause, FlowId, FlowStatus, FlowSummary, FlowTuple, Head, Instant, OverlapRule, Side,
    SockOpts, StreamOffset, Suspicion, TcpState,
    flow::{Flow, FlowKey, Ledger},
    reassembly::BufferPool,
};

/// What happened. `side` names the endpoint whose state or receive buffer is meant; the client's
/// buffer holds what the server sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// A flow has begun. mOS: `MOS_ON_CONN_START`.
    FlowStarted,
    /// Its handshake is complete. mOS: `MOS_ON_CONN_SETUP`.
    FlowEstablished,
    /// A side has another TCP state. mOS: `MOS_ON_TCP_STATE_CHANGE`.
    StateChanged {
        /// Whose state.
        side: Side,
        /// Before.
        from: TcpState,
        /// After.
        to: TcpState,
    },
    /// More of what a side receives can be read in order: once per side and burst.
    /// mOS: `MOS_ON_CONN_NEW_DATA`.
    NewData {
        /// Whose buffer.
        side: Side,
        /// First new offset.
        offset: StreamOffset,
        /// One past the last one. Gaps in between are emitted as such.
        end: StreamOffset,
    },
    /// A segment whose payload was seen before. mOS: `MOS_ON_REXMIT`.
    Retransmission {
        /// Whose buffer it was for.
        side: Side,
        /// First offset of the segment, 0 where it begins before that.
        offset: StreamOffset,
        /// Length of its payload, in bytes.
        length: u64,
    },
    /// Arriving bytes differ from the held copy of their position, whichever of them is kept.
    OverlapConflict {
        /// Whose buffer.
        side: Side,
        /// First offset that differs.
        offset: StreamOffset,
        /// Bytes from there to the last one that differs.
        length: u64,
        /// The held copy from `offset` on.
        held: Head,
        /// The arriving copy from `offset` on.
        arrived: Head,
        /// What decided which of them is kept.
        rule: OverlapRule,
    },
    /// Held bytes were evicted for newer ones. mOS: `MOS_ON_ERROR`.
    BufferOverrun {
        /// Whose buffer.
        side: Side,
        /// First offset of the evicted range.
        offset: StreamOffset,
        /// Held bytes in it.
        length: u64,
    },
    /// A range of the stream was given up as never captured.
    Gap {
        /// Whose buffer.
        side: Side,
        /// First offset missing.
        offset: StreamOffset,
        /// Bytes missing.
        length: u64,
    },
    /// A segment was not believed at once: its receiver may not take it.
    SuspiciousSegment {
        /// The side that has sent it, as its addresses say.
        side: Side,
        /// Why.
        reason: Suspicion,
    },
    /// A packet of no known flow. mOS: `MOS_ON_ORPHAN`.
    OrphanPacket,
    /// The flow has ended; `None`: it was still open when the source ended.
    /// mOS: `MOS_ON_CONN_END`, `MOS_ON_TIMEOUT`.
    FlowEnded(Option<EndCause>),
    /// Options of the flow were changed.
    OptionsChanged {
        /// Those in force now.
        options: SockOpts,
        /// Their revision.
        revision: u32,
    },
    /// What lists show of the flow is something else, at most once for each packet and command:
    /// for those who keep a list of their own. Beside the other facts, which say why.
    FlowStatus {
        /// What has become of the flow.
        change: StatusChange,
        /// How it is now.
        status: FlowStatus,
    },
}

/// What has become of a flow in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusChange {
    /// It is there, with its first packet.
    Began,
    /// It is another one.
    Changed,
    /// It is gone; `None`: it was still open when the source ended.
    Ended(Option<EndCause>),
}

/// The kinds of [`Fact`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is described at its fact")]
pub enum EventKind {
    FlowStarted,
    FlowEstablished,
    StateChanged,
    NewData,
    Retransmission,
    OverlapConflict,
    BufferOverrun,
    Gap,
    SuspiciousSegment,
    OrphanPacket,
    FlowEnded,
    OptionsChanged,
    FlowStatus,
}

impl EventKind {
    /// Every kind that says what happened: all but [`Self::FlowStatus`], which says what is.
    pub const ALL: [Self; 12] = [
        Self::FlowStarted,
        Self::FlowEstablished,
        Self::StateChanged,
        Self::NewData,
        Self::Retransmission,
        Self::OverlapConflict,
        Self::BufferOverrun,
        Self::Gap,
        Self::SuspiciousSegment,
        Self::OrphanPacket,
        Self::FlowEnded,
        Self::OptionsChanged,
    ];

    /// The name, as records and command lines write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FlowStarted => "flow_started",
            Self::FlowEstablished => "flow_established",
            Self::StateChanged => "state_changed",
            Self::NewData => "new_data",
            Self::Retransmission => "retransmission",
            Self::OverlapConflict => "overlap_conflict",
            Self::BufferOverrun => "buffer_overrun",
            Self::Gap => "gap",
            Self::SuspiciousSegment => "suspicious_segment",
            Self::OrphanPacket => "orphan_packet",
            Self::FlowEnded => "flow_ended",
            Self::OptionsChanged => "options_changed",
            Self::FlowStatus => "flow_status",
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventKinds(u16);

impl EventKinds {
    /// No kind.
    pub const NONE: Self = Self(0);
    /// Every kind of [`EventKind::ALL`].
    pub const ALL: Self = Self((1 << EventKind::ALL.len()) - 1);

    /// How many kinds there are.
    pub const COUNT: usize = EventKind::ALL.len() + 1;

    /// Whether the set holds the kind in this place, from 0 on.
    #[must_use]
    pub const fn has_place(self, place: usize) -> bool {
        place < Self::COUNT && self.0 >> place & 1 == 1
    }

    /// The set with one kind more.
    #[must_use]
    pub const fn with(self, kind: EventKind) -> Self {
        Self(self.0 | 1 << kind as u16)
    }

    /// The kinds of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set holds the kind.
    #[must_use]
    pub const fn contains(self, kind: EventKind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }

    /// The set as bits, for [`Self::from_bits`].
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set with these bits; unknown ones are dropped.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & ((1 << Self::COUNT) - 1))
    }
}

impl Fact {
    /// What kind of fact it is.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::FlowStarted => EventKind::FlowStarted,
            Self::FlowEstablished => EventKind::FlowEstablished,
            Self::StateChanged { .. } => EventKind::StateChanged,
            Self::NewData { .. } => EventKind::NewData,
            Self::Retransmission { .. } => EventKind::Retransmission,
            Self::OverlapConflict { .. } => EventKind::OverlapConflict,
            Self::BufferOverrun { .. } => EventKind::BufferOverrun,
            Self::Gap { .. } => EventKind::Gap,
            Self::SuspiciousSegment { .. } => EventKind::SuspiciousSegment,
            Self::OrphanPacket => EventKind::OrphanPacket,
            Self::FlowEnded(_) => EventKind::FlowEnded,
            Self::OptionsChanged { .. } => EventKind::OptionsChanged,
            Self::FlowStatus { .. } => EventKind::FlowStatus,
        }
    }

    /// The side that the fact is about.
    #[must_use]
    pub const fn side(&self) -> Option<Side> {
        match self {
            Self::StateChanged { side, .. }
            | Self::NewData { side, .. }
            | Self::Retransmission { side, .. }
            | Self::OverlapConflict { side, .. }
            | Self::BufferOverrun { side, .. }
            | Self::Gap { side, .. }
            | Self::SuspiciousSegment { side, .. } => Some(*side),
            Self::FlowStarted
            | Self::FlowEstablished
            | Self::OrphanPacket
            | Self::FlowEnded(_)
            | Self::OptionsChanged { .. }
            | Self::FlowStatus { .. } => None,
        }
    }
}

/// A fact with its time and its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// When: the arrival of the packet that caused it, or the time of the turn.
    pub time: Instant,
    /// The flow; `None` for a packet of no flow.
    pub flow: Option<FlowId>,
    /// The flow's addresses and ports. Of a packet of no flow, the sender counts as the client.
    pub tuple: FlowTuple,
    /// What happened.
    pub fact: Fact,
}

/// A flow at the moment of an event, readable for the length of the call.
#[derive(Debug)]
pub struct FlowRef<'a> {
    pub(crate) id: FlowId,
    pub(crate) key: FlowKey,
    pub(crate) flow: &'a Flow,
    pub(crate) pool: &'a BufferPool,
    pub(crate) ledger: &'a Ledger,
}

/// Takes what happens to flows. Called on the worker, within a burst: must not block.
pub trait EventSink {
    /// The kinds that [`Self::on_event`] takes.
    fn wanted(&self) -> EventKinds {
        EventKinds::NONE
    }

    /// Takes an event of a wanted kind.
    fn on_event(&mut self, _event: &Event) {}

    /// Number of the last event that it was given, where it numbers them: 1 is the first.
    fn last_number(&self) -> u64 {
        0
    }

    /// Whether [`Self::on_stream`] is called.
    fn wants_streams(&self) -> bool {
        false
    }

    /// More of what a side receives can be read: every byte once and in order, as it is buffered
    /// first. Where `offset` is beyond the end of the bytes before, what lies in between is a gap,
    /// or had to make room first. The bytes are the segment's own where it came in order, so they
    /// need not be fetched again. Not called for a side without a buffer, nor for bytes behind a
    /// hole that is still open when the flow ends: [`Self::flow_ended`] can read these.
    fn on_stream(&mut self, _flow: FlowId, _side: Side, _offset: StreamOffset, _bytes: &[u8]) {}

    /// A flow has begun. Called whatever is wanted, before the [`Fact::FlowStarted`].
    fn flow_started(&mut self, _flow: FlowId) {}

    /// A flow has ended; its buffers are returned to the pool after the call. The cause is absent
    /// where the flow was still open when [`Stack::finish`](crate::Stack::finish) was called.
    /// Called whatever is wanted, before the [`Fact::FlowEnded`].
    fn flow_ended(&mut self, flow: &FlowRef<'_>, cause: Option<EndCause>);
}

/// Wants nothing.
impl EventSink for () {
    fn flow_ended(&mut self, _flow: &FlowRef<'_>, _cause: Option<EndCause>) {}
}

impl FlowRef<'_> {
    /// Everything that is known of the flow.
    #[must_use]
    pub fn summary(&self) -> FlowSummary {
        self.flow.summary(self.id, &self.key, self.pool, self.ledger)
    }

    /// Calls `sink` with the bytes of the gap-free beginning of what `side` received, piece by
    /// piece and in order, as its buffer holds them. Returns the number of bytes: 0 when the
    /// first byte is not held (any more).
    pub fn read_beginning(&self, side: Side, mut sink: impl FnMut(&[u8])) -> u64 {
        let (mut at, mut total) = (StreamOffset::ZERO, 0);
        while let Some(piece) = self.flow.buffers[side].piece_at(self.pool, at) {
            sink(piece);
            total += piece.len() as u64;
            at = at.plus(piece.len() as u64);
        }
        total
    }
}
