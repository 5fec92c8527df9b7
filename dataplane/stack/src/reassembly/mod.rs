//! Reassembly of one direction's bytes into the receive buffer of one side.
//!
//! ```text
//!        base                 next                              base + capacity
//!         |▒▒▒▒▒|· gap ·|▒▒▒▒▒▒|··· hole ···|▒▒ held ▒▒|················|
//! ```
//!
//! The buffer is a window over the stream that keeps its newest bytes. Invariant: `base <= next`;
//! every held byte lies in `[base, base + capacity)`; below `next` each byte was held once or is a
//! gap; the byte at `next` is not held. Uses stream offsets only: no sequence numbers, no sides.
//! The floor of the ranges is the base.

mod append;
mod fact;
mod gaps;
mod index;
mod list;
mod overlap;
mod pool;
mod ranges;
mod read;

pub(crate) use append::Appended;
pub(crate) use fact::BufferFact;
pub use fact::{HEAD_BYTES, Head};
pub(crate) use gaps::Gaps;
pub(crate) use overlap::Overlap;
pub use overlap::{OverlapPolicy, OverlapRule};
pub(crate) use pool::BufferPool;

use self::{
    index::{BlockIndex, number_of},
    ranges::{Borders, Insertion, RangeSet, Span},
};
use mos_memory::CACHE_LINE;

use crate::{
    BufferSummary, StreamOffset,
    limits::{BLOCK_BYTES, BUFFER_BYTES_CEILING},
};

/// The receive buffer of one side: one line of the cache. Irregularities are not counted here but
/// returned, see [`Placed`]. For example, with a capacity of 8 bytes:
///
/// ```text
///  place at 0 "abcd"     next  4   [abcd    ]
///  place at 6 "gh"       next  4   [abcd··gh]    a hole: it may still be filled
///  place at 4 "ef"       next  8   [abcdefgh]
///  place at 8 "ij"       next 10   [cdefghij]    "ab" was evicted: base is 2
///  place at 12 "mn"      next 10   [ghij··mn]
///  give up below 12      next 14   [ghij  mn]    2 bytes are a gap: they were acknowledged
/// ```
#[derive(Debug)]
pub(crate) struct Reassembler {
    next: u64,
    /// Held bytes that were evicted for newer ones.
    overwritten: u64,
    ranges: RangeSet,
    index: BlockIndex,
    capacity: u32,
}

const _: () = assert!(size_of::<Reassembler>() == CACHE_LINE, "one line each");

/// The outcome of placing bytes: those of one segment, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Placed {
    /// Positions that were not held before.
    pub(crate) new_bytes: u64,
    /// Arriving bytes that differed from the held copy.
    pub(crate) conflicting_bytes: u64,
    /// Held bytes that were evicted.
    pub(crate) overwritten_bytes: u64,
    /// Those of them that were evicted because there were too many ranges.
    pub(crate) crowded_out_bytes: u64,
    /// Ranges given up, and the bytes in them.
    pub(crate) gaps: u64,
    pub(crate) missing_bytes: u64,
    /// Bytes stored whose place had been given up.
    pub(crate) filled_bytes: u64,
    /// The gaps that the window has moved past: nothing fills them any more.
    pub(crate) passed: Gaps,
    /// Arriving bytes that were not stored: no block was free, or no range.
    pub(crate) refused_bytes: u64,
}

/// Why nothing can be read at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutOfBuffer {
    /// It was evicted, or the buffer began after it.
    Overwritten,
    /// It was not received yet.
    NotYetReceived,
}

/// What placing bytes works on besides the buffer.
struct Placing<'a, E> {
    pool: &'a mut BufferPool,
    /// What has become of the bytes so far.
    placed: Placed,
    emit: &'a mut E,
}

/// What a buffer holds, as a whole.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// The first offset held, and one past the last.
    oldest: u64,
    newest: u64,
    /// Bytes held below [`Reassembler::next`], and beyond it.
    below: u64,
    beyond: u64,
}

impl Placed {
    /// Whether anything but new and evicted bytes is to be counted.
    pub(crate) const fn is_irregular(&self) -> bool {
        let gaps = self.gaps | self.filled_bytes | self.passed.count;
        self.conflicting_bytes | gaps | self.refused_bytes | self.crowded_out_bytes != 0
    }
}

impl Reassembler {
    /// An empty buffer of at most [`BUFFER_BYTES_CEILING`]; takes no memory from the pool.
    pub(crate) const fn new(capacity: u64) -> Self {
        Self {
            next: 0,
            overwritten: 0,
            ranges: RangeSet::new(),
            index: BlockIndex::new(capacity),
            capacity: bounded(capacity),
        }
    }

    /// Counts everything below `end` as received, in a buffer of capacity 0.
    pub(crate) fn skip_to(&mut self, end: StreamOffset) {
        debug_assert!(self.capacity == 0, "held bytes are not skipped");
        self.skip_unheld(end.0);
    }

    /// Places bytes at `offset`. Bytes before the window are ignored; bytes after it move it.
    pub(crate) fn place(
        &mut self,
        pool: &mut BufferPool,
        offset: StreamOffset,
        bytes: &[u8],
        overlap: impl Into<Overlap>,
        emit: &mut impl FnMut(BufferFact),
    ) -> Placed {
        let end = offset.plus(bytes.len() as u64).0;
        if self.capacity == 0 {
            self.skip_unheld(end);
            return Placed::default();
        }
        if let Some(appended) = self.append(pool, offset, bytes, emit) {
            return appended.placed(bytes);
        }
        let mut on = Placing { pool, placed: Placed::default(), emit };
        self.slide(end.saturating_sub(self.capacity()), &mut on);
        let span = Span { start: offset.0.max(self.base()), end };
        let skipped = usize::try_from(span.start - offset.0).unwrap_or(usize::MAX);
        if let Some(bytes) = bytes.get(skipped..).filter(|bytes| !bytes.is_empty()) {
            self.store(span, bytes, overlap.into(), &mut on);
        }
        let Placing { pool, placed, .. } = on;
        self.overwritten += placed.overwritten_bytes;
        self.check(pool);
        placed
    }

    /// Gives up what is missing below `end`: the receiver has it, so it will not be sent again.
    pub(crate) fn give_up_below(
        &mut self,
        pool: &mut BufferPool,
        end: StreamOffset,
        emit: &mut impl FnMut(BufferFact),
    ) -> Placed {
        if self.capacity == 0 {
            self.skip_unheld(end.0);
            return Placed::default();
        }
        let mut on = Placing { pool, placed: Placed::default(), emit };
        self.give_up(end.0, &mut on);
        self.check(on.pool);
        on.placed
    }

    /// Pool bytes that must be free for a capacity of `capacity` bytes to be filled.
    pub(crate) fn growth_bytes(&self, pool: &BufferPool, capacity: u64) -> u64 {
        if capacity <= self.capacity() {
            return 0;
        }
        capacity.saturating_sub(self.ranges.total(pool)) + self.index.growth_bytes(capacity)
    }

    /// Bytes that a capacity of `capacity` bytes would discard.
    pub(crate) fn shrink_bytes(&self, pool: &BufferPool, capacity: u64) -> u64 {
        let floor = match (capacity, self.ranges.last(pool)) {
            (0, _) => return self.ranges.total(pool),
            (_, Some(last)) => last.end.saturating_sub(capacity),
            (_, None) => return 0,
        };
        self.ranges.held_in(pool, Span { start: self.base(), end: floor.max(self.base()) })
    }

    /// Changes the capacity; shrinking discards the oldest bytes. Returns the bytes discarded and
    /// what was given up with them, or `None`, with nothing changed, if the pool has no room for
    /// the index.
    pub(crate) fn resize(
        &mut self,
        pool: &mut BufferPool,
        capacity: u64,
        emit: &mut impl FnMut(BufferFact),
    ) -> Option<(u64, Placed)> {
        let held = self.ranges.total(pool);
        let mut placed = Placed::default();
        if capacity == 0 {
            let newest = self.ranges.last(pool).map_or(self.next, |last| last.end);
            placed.passed = self.gaps_in(pool, Span { start: self.base(), end: self.next });
            self.release(pool);
            self.skip_unheld(newest);
        } else {
            let live = self.live_blocks();
            if !self.index.grow(pool, capacity, live) {
                return None;
            }
            // What a resize discards is reported as such, not as overwritten.
            let mut emit = |fact| match fact {
                BufferFact::Gap { .. } => emit(fact),
                BufferFact::Overrun { .. } | BufferFact::Conflict { .. } => {}
            };
            if let Some(last) = self.ranges.last(pool) {
                let mut on = Placing { pool, placed, emit: &mut emit };
                self.slide(last.end.saturating_sub(capacity), &mut on);
                placed = on.placed;
            }
        }
        self.capacity = bounded(capacity);
        self.check(pool);
        Some((held - self.ranges.total(pool), placed))
    }

    /// Returns all memory to the pool. The buffer is empty afterwards.
    pub(crate) fn release(&mut self, pool: &mut BufferPool) {
        let live = self.live_blocks();
        self.index.clear(pool, live);
        self.ranges.clear(pool, self.next);
    }

    /// The capacity in force, in bytes.
    pub(crate) const fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    /// The first offset that is neither captured nor given up.
    pub(crate) const fn next(&self) -> StreamOffset {
        StreamOffset(self.next)
    }

    /// Whether the last byte below [`Self::next`] lies in the window and was never captured.
    pub(crate) fn ends_with_gap(&self, pool: &BufferPool) -> bool {
        self.next > self.base()
            && self.ranges.at_or_behind(pool, self.next - 1).is_none_or(|s| s.start >= self.next)
    }

    /// A copy for the control plane, without the counters of the ledger.
    #[inline]
    pub(crate) fn summary(&self, pool: &BufferPool) -> BufferSummary {
        let next = StreamOffset(self.next);
        let Extent { oldest, newest, below, beyond } = match self.ranges.only(self.next) {
            // The byte at `next` is not held, so that one range lies on one side of it.
            Some(Span { start: oldest, end: newest }) if newest <= self.next => {
                Extent { oldest, newest, below: newest - oldest, beyond: 0 }
            }
            Some(Span { start: oldest, end: newest }) => {
                Extent { oldest, newest, below: 0, beyond: newest - oldest }
            }
            None => self.extent(pool),
        };
        let window = Span { start: self.base(), end: self.next };
        // What is not held below `next` is a gap.
        let gaps =
            if below < window.length() { self.gaps_in(pool, window) } else { Gaps::default() };
        BufferSummary {
            oldest: StreamOffset(oldest),
            newest: StreamOffset(newest),
            next,
            contiguous: if gaps.count > 0 { StreamOffset(gaps.first) } else { next },
            gaps: gaps.count,
            missing_bytes: gaps.bytes,
            buffered_bytes: below,
            out_of_order_bytes: beyond,
            overwritten_bytes: self.overwritten,
            ..BufferSummary::default()
        }
    }

    /// The extent of many ranges.
    #[cold]
    fn extent(&self, pool: &BufferPool) -> Extent {
        let (oldest, newest) = self.bounds(pool);
        let below = self.ranges.held_in(pool, Span { start: self.base(), end: self.next });
        let beyond = self.ranges.total(pool) - below;
        Extent { oldest: oldest.0, newest: newest.0, below, beyond }
    }

    /// First offset held and one past the last; both are [`Self::next`] when nothing is held.
    pub(crate) fn bounds(&self, pool: &BufferPool) -> (StreamOffset, StreamOffset) {
        match (self.ranges.first(pool), self.ranges.last(pool)) {
            (Some(first), Some(last)) => (StreamOffset(first.start), StreamOffset(last.end)),
            _ => (StreamOffset(self.next), StreamOffset(self.next)),
        }
    }

    /// Moves `next` to `end` or behind it, and the empty window with it.
    const fn skip_unheld(&mut self, end: u64) {
        if self.next < end {
            self.next = end;
        }
        self.ranges.set_floor(self.next);
    }

    /// Moves the window so that it begins at `base` or after it.
    fn slide(&mut self, base: u64, on: &mut Placing<'_, impl FnMut(BufferFact)>) {
        let old = self.base();
        if base <= old {
            return;
        }
        self.give_up(base, on);
        let Placing { pool, placed, emit } = on;
        let gone = Span { start: old, end: base };
        let evicted = self.ranges.held_in(pool, gone);
        placed.overwritten_bytes += evicted;
        if evicted < gone.length() {
            placed.passed.extend(self.gaps_in(pool, gone));
        }
        if evicted > 0 {
            emit(BufferFact::Overrun { offset: old, length: evicted });
        }
        let live = self.live_blocks();
        self.index.release(pool, live.start..number_of(base).min(live.end));
        self.ranges.remove_below(pool, base);
    }

    /// Counts what is missing below `end` as gaps.
    fn give_up(&mut self, end: u64, on: &mut Placing<'_, impl FnMut(BufferFact)>) {
        if end <= self.next {
            return;
        }
        let Placing { pool, placed, emit } = on;
        self.each_gap(pool, Span { start: self.next, end }, |Span { start: offset, end }| {
            let length = end - offset;
            placed.gaps += 1;
            placed.missing_bytes += length;
            emit(BufferFact::Gap { offset, length });
        });
        self.next = self.ranges.settle(pool, self.next, end);
    }

    /// The gaps in a part of the window, all below `next`.
    #[cold]
    fn gaps_in(&self, pool: &BufferPool, part: Span) -> Gaps {
        let mut gaps = Gaps::default();
        self.each_gap(pool, part, |Span { start: first, end }| {
            gaps.extend(Gaps { count: 1, bytes: end - first, first, end });
        });
        gaps
    }

    /// Calls `take` with each stretch of a part of the window that is not held, lowest first.
    fn each_gap(&self, pool: &BufferPool, part: Span, mut take: impl FnMut(Span)) {
        let mut at = part.start;
        while at < part.end {
            let held = self.ranges.at_or_behind(pool, at);
            let end = held.map_or(part.end, |held| held.start.clamp(at, part.end));
            if end > at {
                take(Span { start: at, end });
            }
            at = held.map_or(part.end, |held| held.end);
        }
    }

    /// Makes room for another range by evicting the oldest ones below `next`. `None`: there is no
    /// room, and the new bytes are dropped.
    fn reserve(
        &mut self,
        span: Span,
        borders: Borders,
        on: &mut Placing<'_, impl FnMut(BufferFact)>,
    ) -> Option<Insertion> {
        loop {
            let insertion = self.ranges.reserve(on.pool, span, borders);
            if insertion.is_some() {
                return insertion;
            }
            let oldest = self.ranges.first(on.pool)?;
            let is_passed = oldest.end <= self.next.min(span.start);
            if !is_passed || self.ranges.last(on.pool) == Some(oldest) {
                return None;
            }
            let before = on.placed.overwritten_bytes;
            self.slide(oldest.end, on);
            on.placed.crowded_out_bytes += on.placed.overwritten_bytes - before;
        }
    }

    /// Stores bytes that lie in the window.
    fn store(
        &mut self,
        span: Span,
        bytes: &[u8],
        overlap: Overlap,
        on: &mut Placing<'_, impl FnMut(BufferFact)>,
    ) {
        let borders = overlap.borders(span.start, self.next);
        let Some(mut insertion) = self.reserve(span, borders, on) else {
            on.placed.refused_bytes += span.length();
            return;
        };
        let earlier_end = || self.ranges.earlier_end(on.pool, span);
        let replaces_from = overlap.replaces_from(span, self.next, earlier_end);
        let Placing { pool, placed, emit } = on;
        let mut at = span.start;
        let mut rest = bytes;
        let mut conflict = None;
        while !rest.is_empty() {
            let (is_held, until) = match self.ranges.at_or_behind(pool, at) {
                Some(held) if held.start <= at => (true, held.end),
                Some(held) => (false, held.start),
                None => (false, u64::MAX),
            };
            let (rule, rule_until) = overlap.rule_at(at);
            let room = usize::try_from(until.min(rule_until) - at).unwrap_or(usize::MAX);
            let length = room.min(BLOCK_BYTES - within_block(at)).min(rest.len());
            if is_held {
                placed.conflicting_bytes +=
                    self.compare(pool, at, rest, length, rule, &mut conflict);
                self.replace(pool, at, &rest[..length], replaces_from);
            } else if self.fill(pool, at, &rest[..length]) {
                placed.new_bytes += length as u64;
                placed.filled_bytes += self.next.saturating_sub(at).min(length as u64);
            } else {
                placed.refused_bytes += rest.len() as u64;
                break;
            }
            at += length as u64;
            rest = &rest[length..];
            if at == rule_until
                && let Some(conflict) = conflict.take()
            {
                emit(conflict);
            }
        }
        if let Some(conflict) = conflict {
            emit(conflict);
        }
        if at == span.start {
            return;
        }
        if at < span.end {
            // What was stored may touch no range any more.
            let Some(shorter) = self.ranges.reserve(pool, Span { end: at, ..span }, borders) else {
                placed.refused_bytes += core::mem::take(&mut placed.new_bytes);
                placed.filled_bytes = 0;
                return;
            };
            insertion = shorter;
        }
        self.ranges.insert(pool, insertion);
        self.next = self.ranges.settle(pool, self.next, self.next);
    }

    /// Compares the first `length` arriving bytes with the held ones, all in one block. Returns how
    /// many differ, and creates or extends the description of the conflict.
    fn compare(
        &self,
        pool: &BufferPool,
        at: u64,
        arriving: &[u8],
        length: usize,
        rule: OverlapRule,
        conflict: &mut Option<BufferFact>,
    ) -> u64 {
        let Some(block) = self.index.get(pool, number_of(at)) else { return 0 };
        let start = within_block(at);
        let held = &pool.block(block)[start..start + length];
        if *held == arriving[..length] {
            return 0;
        }
        let differing = || held.iter().zip(arriving).map(|(held, new)| held != new);
        let (Some(first), Some(last)) =
            (differing().position(|differs| differs), differing().rposition(|differs| differs))
        else {
            return 0;
        };
        let end = at + last as u64 + 1;
        match conflict {
            Some(BufferFact::Conflict { offset, length, .. }) => *length = end - *offset,
            _ => {
                let offset = at + first as u64;
                let mut head = [0; HEAD_BYTES];
                let held = self.read(pool, offset, &mut head);
                *conflict = Some(BufferFact::Conflict {
                    offset,
                    length: end - offset,
                    held: Head::of(&head[..held]),
                    arrived: Head::of(&arriving[first..]),
                    rule,
                });
            }
        }
        differing().filter(|differs| *differs).count() as u64
    }

    /// Replaces the held bytes at and behind `from` by the arriving ones, all in one block.
    fn replace(&self, pool: &mut BufferPool, at: u64, arriving: &[u8], from: u64) {
        let kept = usize::try_from(from.saturating_sub(at)).unwrap_or(usize::MAX);
        let Some(arriving) = arriving.get(kept..) else { return };
        if let Some(block) = self.index.get(pool, number_of(at)) {
            let start = within_block(at) + kept;
            pool.block_mut(block)[start..start + arriving.len()].copy_from_slice(arriving);
        }
    }

    /// Where the window begins.
    const fn base(&self) -> u64 {
        self.ranges.floor()
    }

    /// Numbers of the blocks that the window may hold.
    const fn live_blocks(&self) -> core::ops::Range<u64> {
        number_of(self.base())..number_of(self.base() + self.capacity()) + 1
    }

    fn check(&self, pool: &BufferPool) {
        debug_assert!(self.base() <= self.next, "the window begins below what is read next");
        debug_assert!(self.ranges.total(pool) <= self.capacity(), "more than the capacity is held");
    }
}

/// A capacity, clamped to the ceiling, in the width of its field.
#[expect(clippy::cast_possible_truncation, reason = "the ceiling fits")]
const fn bounded(capacity: u64) -> u32 {
    const { assert!(BUFFER_BYTES_CEILING <= u32::MAX as u64) };
    if capacity > BUFFER_BYTES_CEILING { BUFFER_BYTES_CEILING as u32 } else { capacity as u32 }
}

#[expect(clippy::cast_possible_truncation, reason = "less than BLOCK_BYTES")]
const fn within_block(offset: u64) -> usize {
    (offset % BLOCK_BYTES as u64) as usize
}

#[cfg(test)]
mod tests;
