//! Counters of irregular events, which stay zero for nearly every flow.
//!
//! They lie apart from the flows, by slot, and cost no memory until one is counted: an honest flow
//! never touches its entry.

use mos_memory::Slab;

use super::{Trait, Traits};
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
    /// Segments that the side sent and that were not believed at once.
    pub(crate) suspicious: u64,
}

/// The counters of one side as they are kept, in the order of [`Irregularities`].
type Line = [u64; 9];

/// The entries of all flows of one table, by slot.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The counters: client, server.
    lines: Slab<[Line; 2]>,
    /// How often the options were changed.
    revisions: Slab<u32>,
}

/// The entry of one flow, which may never have been written.
#[derive(Debug)]
pub(crate) struct LedgerEntry<'a> {
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) slot: u32,
    /// Whether the entry was written for this flow, and not for an earlier one in the slot:
    /// [`Trait::HasEntry`].
    pub(crate) traits: &'a Traits,
}

impl Irregularities {
    const fn of(line: Line) -> Self {
        let [retransmits, conflicting_bytes, refused_bytes, crowded_out_bytes, ..] = line;
        let [.., count, bytes, first, end, suspicious] = line;
        let passed = Gaps { count, bytes, first, end };
        Self {
            retransmits,
            conflicting_bytes,
            refused_bytes,
            crowded_out_bytes,
            passed,
            suspicious,
        }
    }

    const fn line(self) -> Line {
        let Gaps { count, bytes, first, end } = self.passed;
        [
            self.retransmits,
            self.conflicting_bytes,
            self.refused_bytes,
            self.crowded_out_bytes,
            count,
            bytes,
            first,
            end,
            self.suspicious,
        ]
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
    pub(crate) const SLOT_BYTES: usize = size_of::<[Line; 2]>() + size_of::<u32>();

    /// Reserves room for `slots` flows. `None` when there is not enough memory.
    pub(crate) fn new(slots: u32) -> Option<Self> {
        let slots = usize::try_from(slots).ok()?;
        Some(Self { lines: Slab::zeroed(slots)?, revisions: Slab::zeroed(slots)? })
    }

    /// See [`Slab::populate`].
    pub(crate) fn populate(&self) -> Option<()> {
        self.lines.populate()?;
        self.revisions.populate()
    }

    /// The counters of the flow in a slot, whose entry was written.
    pub(crate) fn get(&self, slot: u32) -> Sides<Irregularities> {
        let [client, server] = self.lines.get(slot as usize).copied().unwrap_or_default();
        Sides { client: Irregularities::of(client), server: Irregularities::of(server) }
    }

    /// How often the options of the flow in a slot, whose entry was written, were changed.
    pub(crate) fn revision(&self, slot: u32) -> u32 {
        self.revisions.get(slot as usize).copied().unwrap_or_default()
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

    /// Counts a segment of a side that was not believed at once.
    pub(crate) fn count_suspicion(&mut self, side: Side) {
        self.change(side, |irregularities| irregularities.suspicious += 1);
    }

    /// Counts a change of the flow's options. 0 means none, also after 2^32 of them.
    pub(crate) fn count_revision(&mut self) -> u32 {
        let Some((_, revision)) = self.entry() else { return 0 };
        *revision = revision.wrapping_add(1).max(1);
        *revision
    }

    /// The flow's counters, and its revision.
    fn entry(&mut self) -> Option<(&mut [Line; 2], &mut u32)> {
        let at = self.slot as usize;
        let lines = self.ledger.lines.get_mut(at)?;
        let revision = self.ledger.revisions.get_mut(at)?;
        if !self.traits.set(Trait::HasEntry) {
            (*lines, *revision) = Default::default();
        }
        Some((lines, revision))
    }

    fn change(&mut self, side: Side, change: impl FnOnce(&mut Irregularities)) {
        let Some(([client, server], _)) = self.entry() else { return };
        let line = match side {
            Side::Client => client,
            Side::Server => server,
        };
        let mut irregularities = Irregularities::of(*line);
        change(&mut irregularities);
        *line = irregularities.line();
    }
}
