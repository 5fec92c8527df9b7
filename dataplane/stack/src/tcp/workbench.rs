//! What a segment works on besides its connection: buffers, counters, and the sink.

use super::{TcpSide, TcpState};
use crate::{
    Fact, OverlapRule, Side, Sides, Stat, Stats, StreamOffset, Suspicion,
    aside::{Aside, PushedOut, What},
    flow::LedgerEntry,
    reassembly::{Appended, BufferFact, BufferPool, Overlap, Placed, Reassembler},
    side::BySide,
    wire::Segment,
};

/// Takes the facts and the streams of one flow.
pub(crate) trait FlowSink {
    /// Takes a fact.
    fn emit(&mut self, fact: Fact);

    /// Whether it wants the streams.
    fn wants_stream(&self) -> bool;

    /// Takes the next readable bytes of what `side` receives.
    fn emit_stream(&mut self, side: Side, offset: StreamOffset, bytes: &[u8]);
}

/// What a segment works on besides the connection.
pub(crate) struct Workbench<'a, S> {
    /// Each side's receive buffer.
    pub(crate) buffers: &'a mut Sides<Reassembler>,
    pub(crate) pool: &'a mut BufferPool,
    pub(crate) overlap: Sides<OverlapRule>,
    /// Sides whose counters are frozen: they are no longer monitored.
    pub(crate) frozen: Sides<bool>,
    pub(crate) stats: &'a mut Stats,
    /// The flow's irregularities.
    pub(crate) entry: LedgerEntry<'a>,
    /// What is kept aside of the flow.
    pub(crate) aside: Aside<'a>,
    /// The last timestamp of each side: `TS.Recent` of RFC 7323, of its peer.
    pub(crate) recent: &'a mut BySide<u32>,
    /// Whether the flow has been silent for so long that `recent` means nothing.
    pub(crate) is_stale: bool,
    /// Takes the facts, except those of frozen sides.
    pub(crate) sink: S,
}

/// Bytes that a side receives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) side: Side,
    pub(crate) offset: StreamOffset,
    pub(crate) bytes: &'a [u8],
    /// How far the side has acknowledged the stream before these bytes came.
    pub(crate) acknowledged: StreamOffset,
}

impl Arrival<'_> {
    /// Appends the bytes and emits them, if they are the next ones in order, as nearly always, and
    /// all of them found room. `Err`: what was done instead, if anything.
    #[inline(always)]
    pub(crate) fn append(
        self,
        buffer: &mut Reassembler,
        pool: &mut BufferPool,
        stats: &mut Stats,
        sink: &mut impl FlowSink,
    ) -> Result<Appended, Option<Appended>> {
        let Self { side, offset, bytes, acknowledged: _ } = self;
        // No frozen check: a stopped side has capacity 0, so `append` never succeeds for it.
        let mut emit = |fact| sink.emit(fact_of(side, fact));
        match buffer.append(pool, offset, bytes, &mut emit) {
            Some(appended) if appended.refused_bytes == 0 => {
                stats.add(Stat::OverwrittenBytes, appended.overwritten_bytes);
                if sink.wants_stream() {
                    sink.emit_stream(side, offset, bytes);
                }
                Ok(appended)
            }
            other => Err(other),
        }
    }
}

impl<S: FlowSink> Workbench<'_, S> {
    /// Emits a fact about a side, unless the side is no longer monitored.
    pub(super) fn emit(&mut self, side: Side, fact: Fact) {
        if !self.frozen[side] {
            self.sink.emit(fact);
        }
    }

    /// Emits a fact about the whole flow, unless neither side is monitored any longer: its end was
    /// emitted then.
    pub(super) fn emit_for_flow(&mut self, fact: Fact) {
        if !(self.frozen.client && self.frozen.server) {
            self.sink.emit(fact);
        }
    }

    /// Moves a side to a state.
    pub(super) fn enter(&mut self, side: Side, tcp: &mut TcpSide, state: TcpState) {
        if tcp.state != state {
            let from = core::mem::replace(&mut tcp.state, state);
            self.emit(side, Fact::StateChanged { side, from, to: state });
        }
    }

    /// Places bytes that a side receives.
    pub(super) fn place(&mut self, arrival: Arrival<'_>) -> Placed {
        let Self { buffers, pool, stats, sink, .. } = self;
        match arrival.append(&mut buffers[arrival.side], pool, stats, sink) {
            Ok(appended) => appended.placed(arrival.bytes),
            Err(appended) => self.place_rest(arrival, appended),
        }
    }

    /// Places bytes that are not the next in order, or counts those that were `appended` in part.
    #[inline(never)]
    pub(crate) fn place_rest(
        &mut self,
        arrival: Arrival<'_>,
        appended: Option<Appended>,
    ) -> Placed {
        let Arrival { side, offset, bytes, acknowledged } = arrival;
        let Self { buffers, pool, overlap, frozen, sink, .. } = self;
        let (buffer, is_frozen) = (&mut buffers[side], frozen[side]);
        let before = if appended.is_some() { offset } else { buffer.next() };
        let mut emit = |fact| {
            if !is_frozen {
                sink.emit(fact_of(side, fact));
            }
        };
        let placed = match appended {
            Some(appended) => appended.placed(bytes),
            None => {
                let overlap = Overlap { rule: overlap[side], acknowledged: acknowledged.0 };
                buffer.place(pool, offset, bytes, overlap, &mut emit)
            }
        };
        self.count(side, &placed);
        if self.sink.wants_stream() {
            self.emit_readable(side, before);
        }
        placed
    }

    /// Whether a segment at `start` is a keepalive: it repeats the byte before the next one that
    /// `side` expects. If that byte was not captured, the segment is the byte itself, which came
    /// after its acknowledgement.
    pub(super) fn is_keepalive(&self, side: Side, segment: &Segment<'_>, start: i64) -> bool {
        let buffer = &self.buffers[side];
        segment.payload_length == 1
            && start + 1 == buffer.next().0.cast_signed()
            && !buffer.ends_with_gap(self.pool)
    }

    /// Whether `side` holds no other byte at `start` than the first one of a segment.
    pub(super) fn is_copy(&self, side: Side, segment: &Segment<'_>, start: i64) -> bool {
        let offset = StreamOffset(start.max(0).cast_unsigned());
        let held = self.buffers[side].piece_at(self.pool, offset);
        held.is_none_or(|held| held.first() == segment.payload.first())
    }

    /// Whether `side` holds these bytes at `start`.
    pub(super) fn holds_copy(&self, side: Side, bytes: &[u8], start: i64) -> bool {
        let offset = StreamOffset(start.max(0).cast_unsigned());
        self.buffers[side].holds(self.pool, offset, bytes)
    }

    /// How many of these bytes, from the first on, `side` holds at an offset.
    pub(super) fn common(&self, side: Side, offset: StreamOffset, bytes: &[u8]) -> usize {
        self.buffers[side].common(self.pool, offset, bytes)
    }

    /// Whether `side` holds the byte at an offset.
    pub(super) fn holds(&self, side: Side, offset: StreamOffset) -> bool {
        self.buffers[side].piece_at(self.pool, offset).is_some()
    }

    /// Gives up what `side` has not received below `end`: it was acknowledged.
    pub(super) fn give_up_below(&mut self, side: Side, end: StreamOffset) {
        let Self { buffers, pool, frozen, sink, .. } = self;
        let (buffer, is_frozen) = (&mut buffers[side], frozen[side]);
        let before = buffer.next();
        let placed = buffer.give_up_below(pool, end, &mut |fact| {
            if !is_frozen {
                sink.emit(fact_of(side, fact));
            }
        });
        self.count(side, &placed);
        if self.sink.wants_stream() {
            self.emit_readable(side, before);
        }
    }

    /// Emits the bytes that became readable since the stream ended at `before`.
    fn emit_readable(&mut self, side: Side, before: StreamOffset) {
        let Self { buffers, pool, sink, .. } = self;
        let buffer = &buffers[side];
        let mut at = before;
        while let Some((offset, piece)) = buffer.readable_piece(pool, at) {
            sink.emit_stream(side, offset, piece);
            at = offset.plus(piece.len() as u64);
        }
    }

    /// Counts the outcome of placing bytes that `side` receives.
    fn count(&mut self, side: Side, placed: &Placed) {
        self.stats.add(Stat::OverwrittenBytes, placed.overwritten_bytes);
        if placed.is_irregular() {
            self.stats.add(Stat::ConflictingBytes, placed.conflicting_bytes);
            self.stats.add(Stat::Gaps, placed.gaps);
            self.stats.add(Stat::MissingBytes, placed.missing_bytes);
            self.stats.add(Stat::FilledBytes, placed.filled_bytes);
            self.stats.add(Stat::RefusedBytes, placed.refused_bytes);
            self.stats.add(Stat::CrowdedOutBytes, placed.crowded_out_bytes);
            self.entry.count(side, placed);
        }
    }

    /// Counts and emits a segment of `from` whose payload was seen before.
    pub(super) fn note_retransmission(
        &mut self,
        segment: &Segment<'_>,
        offset: StreamOffset,
        from: Side,
    ) {
        if !self.frozen[from] {
            self.entry.count_retransmit(from);
        }
        self.stats.count(Stat::Retransmits);
        let (side, length) = (from.peer(), u64::from(segment.payload_length));
        self.emit(side, Fact::Retransmission { side, offset, length });
    }

    /// Counts and emits that a segment of `from` was not believed at once.
    pub(super) fn suspect(&mut self, from: Side, reason: Suspicion) {
        self.stats.count_suspicion(reason);
        if !self.frozen[from] {
            self.entry.count_suspicion(from);
        }
        self.emit(from, Fact::SuspiciousSegment { side: from, reason });
    }

    /// Tells what was kept aside of this flow and gave way, and counts that of all flows.
    #[cold]
    pub(super) fn tell_pushed_out(&mut self) {
        for PushedOut { slot, from } in self.aside.take_pushed_out() {
            if slot == self.aside.slot {
                self.suspect(from, Suspicion::PushedOut);
            } else {
                self.stats.count_suspicion(Suspicion::PushedOut);
            }
        }
    }

    /// Drops the payload that is kept aside of a side.
    pub(super) fn drop_data(&mut self, of: Side) {
        self.aside.drop_all(of, self.pool, |what| what == What::Data);
    }

    /// Drops what else could have opened the connection with which `from` goes on: its own SYNs,
    /// and the SYN/ACKs of its peer.
    #[cold]
    pub(super) fn drop_openings(&mut self, from: Side) {
        self.aside.drop_all(from, self.pool, |what| matches!(what, What::Syn(_)));
        self.aside.drop_all(from.peer(), self.pool, |what| matches!(what, What::SynAck(_)));
    }

    /// Places bytes that were kept aside. A place that holds another copy by now keeps it.
    pub(super) fn place_missing(&mut self, arrival: Arrival<'_>) {
        let rule = core::mem::replace(&mut self.overlap[arrival.side], OverlapRule::Doubtful);
        // They came before the acknowledgement.
        self.place(Arrival { acknowledged: StreamOffset::ZERO, ..arrival });
        self.overlap[arrival.side] = rule;
    }
}

/// Converts the fact of a buffer into that of a flow.
pub(crate) const fn fact_of(side: Side, fact: BufferFact) -> Fact {
    match fact {
        BufferFact::Gap { offset, length } => {
            Fact::Gap { side, offset: StreamOffset(offset), length }
        }
        BufferFact::Overrun { offset, length } => {
            Fact::BufferOverrun { side, offset: StreamOffset(offset), length }
        }
        BufferFact::Conflict { offset, length, held, arrived, rule } => {
            let offset = StreamOffset(offset);
            Fact::OverlapConflict { side, offset, length, held, arrived, rule }
        }
    }
}
