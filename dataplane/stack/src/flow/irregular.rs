//! Counters of irregular events, which stay zero for nearly every flow.
//!
//! They lie apart from the flows, by slot, and cost no memory until one is counted: an honest flow
//! never touches its entry.

use mos_memory::Slab;

use crate::{BufferSummary, Side, Sides, StreamOffset, reassembly::Placed};

/// Counters of one side. Bytes are those that the side receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Irregularities {
    /// Segments that the side sent with payload already seen in full.
    pub(crate) retransmits: u64,
    conflicting_bytes: u64,
    gaps: u64,
    missing_bytes: u64,
    refused_bytes: u64,
    crowded_out_bytes: u64,
    /// Offset of the first gap, if there is one.
    first_gap: u64,
}

/// The counters of one side as they are kept, in the order of [`Irregularities`].
type Line = [u64; 7];

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
        let [retransmits, conflicting_bytes, gaps, missing_bytes, refused_bytes, ..] = line;
        let [.., crowded_out_bytes, first_gap] = line;
        Self {
            retransmits,
            conflicting_bytes,
            gaps,
            missing_bytes,
            refused_bytes,
            crowded_out_bytes,
            first_gap,
        }
    }

    const fn line(self) -> Line {
        let Self { retransmits, conflicting_bytes, gaps, missing_bytes, .. } = self;
        let Self { refused_bytes, crowded_out_bytes, first_gap, .. } = self;
        [
            retransmits,
            conflicting_bytes,
            gaps,
            missing_bytes,
            refused_bytes,
            crowded_out_bytes,
            first_gap,
        ]
    }

    /// Counts the outcome of placing bytes.
    fn count(&mut self, placed: &Placed) {
        if placed.gaps > 0 && (self.gaps == 0 || placed.first_gap < self.first_gap) {
            self.first_gap = placed.first_gap;
        }
        self.conflicting_bytes += placed.conflicting_bytes;
        self.gaps += placed.gaps;
        self.missing_bytes += placed.missing_bytes;
        self.refused_bytes += placed.refused_bytes;
        self.crowded_out_bytes += placed.crowded_out_bytes;
    }

    /// The summary of the buffer, with these counters.
    pub(crate) fn complete(&self, buffer: BufferSummary) -> BufferSummary {
        let Self { conflicting_bytes, gaps, missing_bytes, .. } = *self;
        let Self { refused_bytes, crowded_out_bytes, .. } = *self;
        let whole = if gaps > 0 { StreamOffset(self.first_gap) } else { buffer.contiguous };
        let contiguous = buffer.contiguous.min(whole);
        BufferSummary {
            contiguous,
            conflicting_bytes,
            gaps,
            missing_bytes,
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
