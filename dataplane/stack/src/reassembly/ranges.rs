//! Which stream offsets a buffer holds: sorted ranges with room between any two.
//!
//! Nearly every buffer holds a single range, which is stored inline. Several share one block of the
//! pool, 8 bytes each. A range is stored as the lower half of its start and its length. No range
//! starts below the floor, and a window is smaller than 2^32 bytes, so the floor gives the upper
//! half.

use core::hint::select_unpredictable;

use super::pool::{BlockId, BufferPool};
use crate::{limits::RANGES_MAX, offset::lower_half};

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

/// The ranges that one buffer holds. Packed, so that a buffer is one line of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub(super) struct RangeSet {
    /// No range starts below this: the beginning of the window.
    floor: u64,
    held: Held,
}

#[derive(Debug, Clone, Copy)]
enum Held {
    /// At most one range; none if its length is 0.
    One(Packed),
    /// `count` ranges, in a block.
    Many { block: BlockId, count: u16 },
}

/// A range without the upper half of its start.
#[derive(Debug, Clone, Copy)]
struct Packed {
    start: u32,
    length: u32,
}

impl RangeSet {
    const NOTHING: Held = Held::One(Packed { start: 0, length: 0 });

    pub(super) const fn new() -> Self {
        Self { floor: 0, held: Self::NOTHING }
    }

    pub(super) const fn floor(&self) -> u64 {
        self.floor
    }

    /// Moves the floor of an empty set.
    pub(super) const fn set_floor(&mut self, floor: u64) {
        self.floor = floor;
    }

    /// The only range, or an empty one at `at` if nothing is held; `None` if there are several.
    pub(super) fn only(&self, at: u64) -> Option<Span> {
        match self.held {
            Held::One(packed) => {
                // A branch would be mispredicted at the first bytes of each stream.
                let is_empty = packed.length == 0;
                Some(select_unpredictable(
                    is_empty,
                    Span { start: at, end: at },
                    self.unpack(packed),
                ))
            }
            Held::Many { .. } => None,
        }
    }

    /// Holds this range alone, and nothing below `floor`. It may be empty.
    pub(super) const fn hold_only(&mut self, floor: u64, span: Span) {
        self.floor = floor;
        self.held = Held::One(pack(span));
    }

    pub(super) fn first(&self, pool: &BufferPool) -> Option<Span> {
        (self.count() > 0).then(|| self.get(pool, 0))
    }

    pub(super) fn last(&self, pool: &BufferPool) -> Option<Span> {
        let last = self.count().checked_sub(1)?;
        Some(self.get(pool, last))
    }

    /// The first range that ends behind `offset`: the one that holds it, or the next one.
    pub(super) fn at_or_behind(&self, pool: &BufferPool, offset: u64) -> Option<Span> {
        let index = self.partition(pool, |span| span.end <= offset);
        (index < self.count()).then(|| self.get(pool, index))
    }

    /// How many ranges are held.
    pub(super) const fn count(&self) -> u16 {
        match self.held {
            Held::One(packed) => (packed.length > 0) as u16,
            Held::Many { count, .. } => count,
        }
    }

    /// Bytes held in `span`.
    pub(super) fn held_in(&self, pool: &BufferPool, span: Span) -> u64 {
        let mut index = self.partition(pool, |held| held.end <= span.start);
        let mut bytes = 0;
        while index < self.count() {
            let held = self.get(pool, index);
            if held.start >= span.end {
                break;
            }
            bytes += held.end.min(span.end) - held.start.max(span.start);
            index += 1;
        }
        bytes
    }

    /// Bytes held.
    pub(super) fn total(&self, pool: &BufferPool) -> u64 {
        self.held_in(pool, Span { start: self.floor, end: u64::MAX })
    }

    /// Makes sure that [`Self::insert`] of `span` will succeed. Returns whether it will.
    pub(super) fn reserve(&mut self, pool: &mut BufferPool, span: Span) -> bool {
        match self.held {
            Held::One(Packed { length: 0, .. }) => true,
            _ if self.touches(pool, span) => true,
            Held::One(packed) => {
                let Some(block) = pool.take() else { return false };
                write(pool, block, 0, packed);
                self.held = Held::Many { block, count: 1 };
                true
            }
            Held::Many { count, .. } => usize::from(count) < RANGES_MAX,
        }
    }

    /// Adds a range, merging it with those that it touches. Call [`Self::reserve`] before.
    pub(super) fn insert(&mut self, pool: &mut BufferPool, span: Span) {
        let from = self.partition(pool, |held| held.end < span.start);
        let to = self.partition(pool, |held| held.start <= span.end);
        if from == to {
            self.shift(pool, from, from + 1);
            self.set_count(self.count() + 1);
            self.set(pool, from, span);
            return;
        }
        let start = self.get(pool, from).start.min(span.start);
        let end = self.get(pool, to - 1).end.max(span.end);
        self.set(pool, from, Span { start, end });
        self.shift(pool, to, from + 1);
        self.set_count(self.count() - (to - from - 1));
        self.shrink(pool);
    }

    /// Removes everything below `floor`.
    pub(super) fn remove_below(&mut self, pool: &mut BufferPool, floor: u64) {
        let gone = self.partition(pool, |held| held.end <= floor);
        self.shift(pool, gone, 0);
        self.set_count(self.count() - gone);
        if let Some(first) = self.first(pool) {
            self.set(pool, 0, Span { start: first.start.max(floor), end: first.end });
        }
        self.floor = floor;
        self.shrink(pool);
    }

    /// Removes everything, and returns the block.
    pub(super) fn clear(&mut self, pool: &mut BufferPool, floor: u64) {
        if let Held::Many { block, .. } = self.held {
            pool.put_back(block);
        }
        *self = Self { floor, ..Self::new() };
    }

    fn touches(&self, pool: &BufferPool, span: Span) -> bool {
        let index = self.partition(pool, |held| held.end < span.start);
        index < self.count() && self.get(pool, index).start <= span.end
    }

    /// Ranges at the beginning for which `is_before` holds.
    fn partition(&self, pool: &BufferPool, is_before: impl Fn(Span) -> bool) -> u16 {
        let (mut low, mut high) = (0, self.count());
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
        match self.held {
            Held::One(packed) => self.unpack(packed),
            Held::Many { block, .. } => self.unpack(read(pool, block, index)),
        }
    }

    fn set(&mut self, pool: &mut BufferPool, index: u16, span: Span) {
        match self.held {
            Held::One(_) => self.held = Held::One(pack(span)),
            Held::Many { block, .. } => write(pool, block, index, pack(span)),
        }
    }

    /// Sets the number of ranges. An inline range is counted by its length, which only 0 changes.
    const fn set_count(&mut self, ranges: u16) {
        match self.held {
            Held::One(_) if ranges == 0 => self.held = Self::NOTHING,
            Held::One(_) => {}
            Held::Many { block, .. } => self.held = Held::Many { block, count: ranges },
        }
    }

    /// Moves the ranges from `from` on to `to`.
    fn shift(&self, pool: &mut BufferPool, from: u16, to: u16) {
        if let Held::Many { block, count } = self.held
            && from < count
        {
            let bytes = usize::from(from) * PACKED..usize::from(count) * PACKED;
            pool.block_mut(block).copy_within(bytes, usize::from(to) * PACKED);
        }
    }

    /// Returns the block to the pool when at most one range is left.
    fn shrink(&mut self, pool: &mut BufferPool) {
        if let Held::Many { block, count: count @ (0 | 1) } = self.held {
            let first = read(pool, block, 0);
            self.held = if count == 1 { Held::One(first) } else { Self::NOTHING };
            pool.put_back(block);
        }
    }

    fn unpack(&self, packed: Packed) -> Span {
        let above = packed.start.wrapping_sub(lower_half(self.floor));
        let start = self.floor + u64::from(above);
        Span { start, end: start + u64::from(packed.length) }
    }
}

/// Bytes of a range in a block.
const PACKED: usize = 8;

const fn pack(span: Span) -> Packed {
    Packed { start: lower_half(span.start), length: lower_half(span.length()) }
}

fn read(pool: &BufferPool, block: BlockId, index: u16) -> Packed {
    let (pairs, _) = pool.block(block).as_chunks::<PACKED>();
    let [s0, s1, s2, s3, l0, l1, l2, l3] = pairs[usize::from(index)];
    Packed {
        start: u32::from_le_bytes([s0, s1, s2, s3]),
        length: u32::from_le_bytes([l0, l1, l2, l3]),
    }
}

fn write(pool: &mut BufferPool, block: BlockId, index: u16, packed: Packed) {
    let at = usize::from(index) * PACKED;
    let bytes = pool.block_mut(block);
    bytes[at..at + 4].copy_from_slice(&packed.start.to_le_bytes());
    bytes[at + 4..at + 8].copy_from_slice(&packed.length.to_le_bytes());
}
