//! What a segment works on besides its connection: buffers, counters, and who is told.

use super::{TcpSide, TcpState};
use crate::{
    Fact, OverlapPolicy, Side, Sides, Stat, Stats, StreamOffset,
    flow::Page,
    reassembly::{Appended, BufferFact, BufferPool, Placed, Reassembler},
    wire::Segment,
};

/// Who is told about one flow.
pub(crate) trait Witness {
    /// Something has happened.
    fn tell(&mut self, fact: Fact);

    /// Whether it wants to hear the streams.
    fn hears(&self) -> bool;

    /// More of what `side` receives can be read.
    fn hear(&mut self, side: Side, offset: StreamOffset, bytes: &[u8]);
}

/// What a segment works on besides the connection.
pub(crate) struct Workbench<'a, W> {
    /// Each side's receive buffer.
    pub(crate) buffers: &'a mut Sides<Reassembler>,
    pub(crate) pool: &'a mut BufferPool,
    pub(crate) overlap: Sides<OverlapPolicy>,
    /// Sides whose counters are frozen: they are no longer monitored.
    pub(crate) frozen: Sides<bool>,
    pub(crate) stats: &'a mut Stats,
    /// What is out of the ordinary about the flow.
    pub(crate) page: Page<'a>,
    /// Is told what happens, but for sides that are frozen.
    pub(crate) witness: W,
}

/// Bytes that a side receives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) side: Side,
    pub(crate) offset: StreamOffset,
    pub(crate) bytes: &'a [u8],
}

impl Arrival<'_> {
    /// Appends the bytes and lets them be heard, if they are the next ones, as they nearly always
    /// are, and there is room for all. `Err`: not so, and so much was done.
    #[inline(always)]
    pub(crate) fn append(
        self,
        buffer: &mut Reassembler,
        pool: &mut BufferPool,
        stats: &mut Stats,
        witness: &mut impl Witness,
    ) -> Result<Appended, Option<Appended>> {
        let Self { side, offset, bytes } = self;
        // Nobody is kept from being told: a side that is frozen has no room for anything.
        let mut tell = |fact| witness.tell(fact_of(side, fact));
        match buffer.append(pool, offset, bytes, &mut tell) {
            Some(appended) if appended.refused_bytes == 0 => {
                stats.add(Stat::OverwrittenBytes, appended.overwritten_bytes);
                if witness.hears() {
                    witness.hear(side, offset, bytes);
                }
                Ok(appended)
            }
            other => Err(other),
        }
    }
}

impl<W: Witness> Workbench<'_, W> {
    /// States a fact about a side, unless the side is no longer monitored.
    pub(super) fn tell(&mut self, side: Side, fact: Fact) {
        if !self.frozen[side] {
            self.witness.tell(fact);
        }
    }

    /// States a fact about the whole flow, unless neither side is monitored any longer: it has been
    /// told to have ended then.
    pub(super) fn tell_of_flow(&mut self, fact: Fact) {
        if !(self.frozen.client && self.frozen.server) {
            self.witness.tell(fact);
        }
    }

    /// Moves a side to a state.
    pub(super) fn enter(&mut self, side: Side, tcp: &mut TcpSide, state: TcpState) {
        if tcp.state != state {
            let from = core::mem::replace(&mut tcp.state, state);
            self.tell(side, Fact::StateChanged { side, from, to: state });
        }
    }

    /// Places bytes that a side receives.
    pub(super) fn place(&mut self, arrival: Arrival<'_>) -> Placed {
        let Self { buffers, pool, stats, witness, .. } = self;
        match arrival.append(&mut buffers[arrival.side], pool, stats, witness) {
            Ok(appended) => appended.placed(arrival.bytes),
            Err(appended) => self.place_rest(arrival, appended),
        }
    }

    /// Places bytes that are not the next ones; or they were `appended`, but not all found room.
    #[inline(never)]
    pub(crate) fn place_rest(
        &mut self,
        arrival: Arrival<'_>,
        appended: Option<Appended>,
    ) -> Placed {
        let Arrival { side, offset, bytes } = arrival;
        let Self { buffers, pool, overlap, frozen, witness, .. } = self;
        let (buffer, is_frozen) = (&mut buffers[side], frozen[side]);
        let before = if appended.is_some() { offset } else { buffer.next() };
        let mut tell = |fact| {
            if !is_frozen {
                witness.tell(fact_of(side, fact));
            }
        };
        let placed = match appended {
            Some(appended) => appended.placed(bytes),
            None => buffer.place(pool, offset, bytes, overlap[side], &mut tell),
        };
        self.count(side, &placed);
        if self.witness.hears() {
            self.let_hear(side, before);
        }
        placed
    }

    /// Whether a segment at `start` asks `side` for a sign of life, with the byte before the next
    /// one. Where that byte was never captured it is the byte itself, behind its acknowledgement.
    pub(super) fn is_keepalive(&self, side: Side, segment: &Segment<'_>, start: i64) -> bool {
        let buffer = &self.buffers[side];
        segment.payload_length == 1
            && start + 1 == buffer.next().0.cast_signed()
            && !buffer.ends_with_gap(self.pool)
    }

    /// Gives up what `side` has not received below `end`.
    pub(super) fn give_up_below(&mut self, side: Side, end: StreamOffset) {
        let Self { buffers, pool, frozen, witness, .. } = self;
        let (buffer, is_frozen) = (&mut buffers[side], frozen[side]);
        let before = buffer.next();
        let placed = buffer.give_up_below(pool, end, &mut |fact| {
            if !is_frozen {
                witness.tell(fact_of(side, fact));
            }
        });
        self.count(side, &placed);
        if self.witness.hears() {
            self.let_hear(side, before);
        }
    }

    /// Lets the bytes be heard that can be read since the stream ended at `before`.
    fn let_hear(&mut self, side: Side, before: StreamOffset) {
        let Self { buffers, pool, witness, .. } = self;
        let buffer = &buffers[side];
        let mut at = before;
        while let Some((offset, piece)) = buffer.readable_piece(pool, at) {
            witness.hear(side, offset, piece);
            at = offset.plus(piece.len() as u64);
        }
    }

    /// Counts what became of bytes that `side` receives.
    fn count(&mut self, side: Side, placed: &Placed) {
        self.stats.add(Stat::OverwrittenBytes, placed.overwritten_bytes);
        if placed.is_irregular() {
            self.stats.add(Stat::ConflictingBytes, placed.conflicting_bytes);
            self.stats.add(Stat::Gaps, placed.gaps);
            self.stats.add(Stat::MissingBytes, placed.missing_bytes);
            self.stats.add(Stat::RefusedBytes, placed.refused_bytes);
            self.page.count(side, placed);
        }
    }

    /// Counts a segment that `side` sent again.
    pub(super) fn note_retransmit(&mut self, side: Side) {
        if !self.frozen[side] {
            self.page.count_retransmit(side);
        }
    }
}

/// A buffer's fact as one of a flow's.
pub(crate) const fn fact_of(side: Side, fact: BufferFact) -> Fact {
    match fact {
        BufferFact::Gap { offset, length } => {
            Fact::Gap { side, offset: StreamOffset(offset), length }
        }
        BufferFact::Overrun { offset, length } => {
            Fact::BufferOverrun { side, offset: StreamOffset(offset), length }
        }
        BufferFact::Conflict { offset, length, held, arrived } => {
            Fact::OverlapConflict { side, offset: StreamOffset(offset), length, held, arrived }
        }
    }
}
