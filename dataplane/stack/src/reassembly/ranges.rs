//! Which stream offsets a buffer holds: sorted ranges with room between any two.
//!
//! Nearly every buffer holds a single range, which lives here. More of them share one block of the
//! pool, 8 bytes each: the lower half of the start, and the length. [`RangeSet::floor`] tells the
//! upper half, for a window is smaller than 2^32 bytes.

use super::pool::{BlockId, BufferPool};
use crate::limits::RANGES_MAX;

/// Half-open range of stream offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Span {
    pub(super) const fn length(self) -> u64 {
        self.end - self.start
    }
}

/// The ranges that one buffer holds.
#[derive(Debug)]
pub(super) struct RangeSet {
    /// No range starts below this.
    floor: u64,
    only: Span,
    count: u16,
    block: Option<BlockId>,
}

impl RangeSet {
    pub(super) const fn new() -> Self {
        Self { floor: 0, only: Span { start: 0, end: 0 }, count: 0, block: None }
    }

    pub(super) fn first(&self, pool: &BufferPool) -> Option<Span> {
        (self.count > 0).then(|| self.get(pool, 0))
    }

    pub(super) fn last(&self, pool: &BufferPool) -> Option<Span> {
        let last = self.count.checked_sub(1)?;
        Some(self.get(pool, last))
    }

    /// The first range that ends behind `offset`: the one that holds it, or the next one.
    pub(super) fn at_or_behind(&self, pool: &BufferPool, offset: u64) -> Option<Span> {
        let index = self.partition(pool, |span| span.end <= offset);
        (index < self.count).then(|| self.get(pool, index))
    }

    /// How many ranges are held.
    pub(super) const fn count(&self) -> u16 {
        self.count
    }

    /// Bytes held in `span`.
    pub(super) fn held_in(&self, pool: &BufferPool, span: Span) -> u64 {
        let mut index = self.partition(pool, |held| held.end <= span.start);
        let mut bytes = 0;
        while index < self.count {
            let held = self.get(pool, index);
            if held.start >= span.end {
                break;
            }
            bytes += held.end.min(span.end) - held.start.max(span.start);
            index += 1;
        }
        bytes
    }

    /// Makes sure that [`Self::insert`] of `span` will succeed. Returns whether it will.
    pub(super) fn reserve(&mut self, pool: &mut BufferPool, span: Span) -> bool {
        if self.count == 0 || self.touches(pool, span) {
            return true;
        }
        if self.block.is_none() {
            let Some(block) = pool.take() else { return false };
            self.block = Some(block);
            self.set(pool, 0, self.only);
        }
        usize::from(self.count) < RANGES_MAX
    }

    /// Adds a range, merging it with those that it touches. Call [`Self::reserve`] before.
    pub(super) fn insert(&mut self, pool: &mut BufferPool, span: Span) {
        let from = self.partition(pool, |held| held.end < span.start);
        let to = self.partition(pool, |held| held.start <= span.end);
        if from == to {
            self.shift(pool, from, from + 1);
            self.count += 1;
            self.set(pool, from, span);
            return;
        }
        let start = self.get(pool, from).start.min(span.start);
        let end = self.get(pool, to - 1).end.max(span.end);
        self.set(pool, from, Span { start, end });
        self.shift(pool, to, from + 1);
        self.count -= to - from - 1;
        self.shrink(pool);
    }

    /// Removes everything below `floor`.
    pub(super) fn remove_below(&mut self, pool: &mut BufferPool, floor: u64) {
        let gone = self.partition(pool, |held| held.end <= floor);
        self.shift(pool, gone, 0);
        self.count -= gone;
        if let Some(first) = self.first(pool) {
            self.set(pool, 0, Span { start: first.start.max(floor), end: first.end });
        }
        self.floor = floor;
        self.shrink(pool);
    }

    /// Removes everything, and returns the block.
    pub(super) fn clear(&mut self, pool: &mut BufferPool, floor: u64) {
        if let Some(block) = self.block.take() {
            pool.put_back(block);
        }
        *self = Self { floor, ..Self::new() };
    }

    fn touches(&self, pool: &BufferPool, span: Span) -> bool {
        let index = self.partition(pool, |held| held.end < span.start);
        index < self.count && self.get(pool, index).start <= span.end
    }

    /// Ranges at the beginning for which `is_before` holds.
    fn partition(&self, pool: &BufferPool, is_before: impl Fn(Span) -> bool) -> u16 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if is_before(self.get(pool, middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn get(&self, pool: &BufferPool, index: u16) -> Span {
        let Some(block) = self.block else { return self.only };
        let at = usize::from(index) * 8;
        let Some([s0, s1, s2, s3, l0, l1, l2, l3]) =
            pool.block(block).get(at..).and_then(|bytes| bytes.first_chunk())
        else {
            return Span::default();
        };
        let low = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
        let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]);
        let start = self.floor + u64::from(low.wrapping_sub(lower_half(self.floor)));
        Span { start, end: start + u64::from(length) }
    }

    fn set(&mut self, pool: &mut BufferPool, index: u16, span: Span) {
        let Some(block) = self.block else {
            self.only = span;
            return;
        };
        let at = usize::from(index) * 8;
        let bytes = pool.block_mut(block);
        bytes[at..at + 4].copy_from_slice(&lower_half(span.start).to_le_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&lower_half(span.length()).to_le_bytes());
    }

    /// Moves the ranges from `from` on to `to`.
    fn shift(&self, pool: &mut BufferPool, from: u16, to: u16) {
        if let Some(block) = self.block
            && from < self.count
        {
            let bytes = usize::from(from) * 8..usize::from(self.count) * 8;
            pool.block_mut(block).copy_within(bytes, usize::from(to) * 8);
        }
    }

    /// Returns the block as soon as the ranges do without it.
    fn shrink(&mut self, pool: &mut BufferPool) {
        if self.count <= 1
            && let Some(block) = self.block
        {
            self.only = self.first(pool).unwrap_or_default();
            self.block = None;
            pool.put_back(block);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
const fn lower_half(value: u64) -> u32 {
    value as u32
}
