//! Counters of irregular events, which stay zero for nearly every flow.
//!
//! They lie apart from the flows, by slot, and cost no memory until one is counted: an honest flow
//! never touches its entry.

use mos_memory::Slab;

use crate::{
    BufferSummary, Side, Sides, StreamOffset,
    reassembly::{Gaps, Placed},
};

/// Counters of one side. Bytes are those that the side receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Irregularities {
    /// Segments that the side sent with payload already seen in full.
    pub(crate) retransmits: u64,
    conflicting_bytes: u64,
    refused_bytes: u64,
    crowded_out_bytes: u64,
    /// The gaps that the window of its buffer has moved past.
    passed: Gaps,
}

/// The counters of one side as they are kept, in the order of [`Irregularities`]: one line of the
/// cache.
type Line = [u64; 8];

/// The counters of all flows of one table, by slot: client, server.
#[derive(Debug)]
pub(crate) struct Ledger(Slab<[Line; 2]>);

/// The entry of one flow, which may never have been written.
#[derive(Debug)]
pub(crate) struct LedgerEntry<'a> {
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) slot: u32,
    /// Whether the entry was written for this flow, and not for an earlier one in the slot.
    pub(crate) is_written: &'a mut bool,
}

impl Irregularities {
    const fn of(line: Line) -> Self {
        let [retransmits, conflicting_bytes, refused_bytes, crowded_out_bytes, ..] = line;
        let [.., count, bytes, first, end] = line;
        let passed = Gaps { count, bytes, first, end };
        Self { retransmits, conflicting_bytes, refused_bytes, crowded_out_bytes, passed }
    }

    const fn line(self) -> Line {
        let Self { retransmits, conflicting_bytes, refused_bytes, crowded_out_bytes, passed } =
            self;
        let Gaps { count, bytes, first, end } = passed;
        [retransmits, conflicting_bytes, refused_bytes, crowded_out_bytes, count, bytes, first, end]
    }

    /// Counts the outcome of placing bytes.
    const fn count(&mut self, placed: &Placed) {
        self.conflicting_bytes += placed.conflicting_bytes;
        self.refused_bytes += placed.refused_bytes;
        self.crowded_out_bytes += placed.crowded_out_bytes;
        self.passed.extend(placed.passed);
    }

    /// The summary of the buffer with these counters, and with the gaps before its window.
    pub(crate) fn complete(&self, buffer: BufferSummary) -> BufferSummary {
        let Self { conflicting_bytes, refused_bytes, crowded_out_bytes, passed, .. } = *self;
        let BufferSummary { gaps: count, missing_bytes: bytes, contiguous, next, .. } = buffer;
        let mut gaps = passed;
        gaps.extend(Gaps { count, bytes, first: contiguous.0, end: next.0 });
        BufferSummary {
            contiguous: if gaps.count > 0 { StreamOffset(gaps.first) } else { contiguous },
            gaps: gaps.count,
            missing_bytes: gaps.bytes,
            conflicting_bytes,
            refused_bytes,
            crowded_out_bytes,
            ..buffer
        }
    }
}

impl Ledger {
    /// Bytes that a slot costs.
    pub(crate) const SLOT_BYTES: usize = size_of::<[Line; 2]>();

    /// Reserves room for `slots` flows. `None` when there is not enough memory.
    pub(crate) fn new(slots: u32) -> Option<Self> {
        Slab::zeroed(usize::try_from(slots).ok()?).map(Self)
    }

    /// See [`Slab::populate`].
    pub(crate) fn populate(&self) -> Option<()> {
        self.0.populate()
    }

    /// The counters of the flow in a slot, whose entry was written.
    pub(crate) fn get(&self, slot: u32) -> Sides<Irregularities> {
        let [client, server] = self.0.get(slot as usize).copied().unwrap_or_default();
        Sides { client: Irregularities::of(client), server: Irregularities::of(server) }
    }
}

impl LedgerEntry<'_> {
    /// Counts the outcome of placing bytes that a side receives.
    pub(crate) fn count(&mut self, side: Side, placed: &Placed) {
        self.change(side, |irregularities| irregularities.count(placed));
    }

    /// Counts a retransmission by a side.
    pub(crate) fn count_retransmit(&mut self, side: Side) {
        self.change(side, |irregularities| irregularities.retransmits += 1);
    }

    fn change(&mut self, side: Side, change: impl FnOnce(&mut Irregularities)) {
        let Some(entry) = self.ledger.0.get_mut(self.slot as usize) else { return };
        if !core::mem::replace(self.is_written, true) {
            *entry = Default::default();
        }
        let [client, server] = entry;
        let line = match side {
            Side::Client => client,
            Side::Server => server,
        };
        let mut irregularities = Irregularities::of(*line);
        change(&mut irregularities);
        *line = irregularities.line();
    }
}
