//! A list of ranges in blocks of the pool, 8 bytes each.
//!
//! ```text
//!  first block     248 ranges, and the numbers of up to 15 further blocks
//!  further blocks  256 ranges each, as far as the list is long
//! ```

use super::pool::{BlockId, BufferPool};
use crate::limits::{BLOCK_BYTES, RANGES_MAX};

/// Bytes of a range in a block.
const PACKED: usize = 8;

/// Ranges in a further block.
const FULL: usize = BLOCK_BYTES / PACKED;

/// Further blocks, at most.
const FURTHER: usize = 15;

/// Where the first block holds the numbers of the further ones, 4 bytes each.
const NUMBERS: usize = BLOCK_BYTES - 64;

/// Ranges in the first block.
const FIRST: usize = NUMBERS / PACKED;

/// In place of the number of a block that there is not.
const NONE: u32 = u32::MAX;

const _: () = assert!(RANGES_MAX == FIRST + FURTHER * FULL, "as many as its blocks hold");

/// A range without the upper half of its start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed {
    pub(super) start: u32,
    pub(super) length: u32,
}

/// A list of at most [`RANGES_MAX`] ranges.
#[derive(Debug, Clone, Copy)]
pub(super) struct RangeList {
    first: BlockId,
    count: u16,
}

/// Where a range lies.
#[derive(Debug, Clone, Copy)]
struct Seat {
    block: BlockId,
    slot: usize,
    /// Slots of the block from this one on.
    behind: usize,
}

impl RangeList {
    /// A list of one range. `None`: the pool is empty.
    pub(super) fn new(pool: &mut BufferPool, range: Packed) -> Option<Self> {
        let first = pool.take()?;
        pool.block_mut(first)[NUMBERS..].fill(0xff);
        let list = Self { first, count: 1 };
        list.set(pool, 0, range);
        Some(list)
    }

    /// How many ranges it holds.
    pub(super) const fn count(self) -> usize {
        self.count as usize
    }

    /// Makes sure that the list can grow by one range. Returns whether it can.
    pub(super) fn reserve(self, pool: &mut BufferPool) -> bool {
        let Some(behind) = self.count().checked_sub(FIRST) else { return true };
        if behind == FURTHER * FULL {
            return false;
        }
        if self.further(pool, behind / FULL).is_some() {
            return true;
        }
        let Some(block) = pool.take() else { return false };
        self.set_further(pool, behind / FULL, block.0);
        true
    }

    /// Sets the number of ranges, and returns blocks that this leaves empty.
    #[expect(clippy::cast_possible_truncation, reason = "at most RANGES_MAX")]
    pub(super) fn set_count(&mut self, pool: &mut BufferPool, count: usize) {
        let behind = |count: usize| count.saturating_sub(FIRST);
        // One may have been reserved and not used.
        for further in behind(count).div_ceil(FULL)..=behind(self.count()).div_ceil(FULL) {
            if let Some(block) = self.further(pool, further) {
                self.set_further(pool, further, NONE);
                pool.put_back(block);
            }
        }
        self.count = count as u16;
    }

    /// Returns all blocks.
    pub(super) fn release(mut self, pool: &mut BufferPool) {
        self.set_count(pool, 0);
        pool.put_back(self.first);
    }

    /// The range at `index`.
    pub(super) fn get(self, pool: &BufferPool, index: usize) -> Packed {
        let Seat { block, slot, .. } = self.seat(pool, index);
        let (pairs, _) = pool.block(block).as_chunks::<PACKED>();
        let [s0, s1, s2, s3, l0, l1, l2, l3] = pairs[slot];
        Packed {
            start: u32::from_le_bytes([s0, s1, s2, s3]),
            length: u32::from_le_bytes([l0, l1, l2, l3]),
        }
    }

    /// Changes the range at `index`.
    pub(super) fn set(self, pool: &mut BufferPool, index: usize, range: Packed) {
        let Seat { block, slot, .. } = self.seat(pool, index);
        let (pairs, _) = pool.block_mut(block).as_chunks_mut::<PACKED>();
        let [s0, s1, s2, s3] = range.start.to_le_bytes();
        let [l0, l1, l2, l3] = range.length.to_le_bytes();
        pairs[slot] = [s0, s1, s2, s3, l0, l1, l2, l3];
    }

    /// Moves the ranges from `from` on to `to`, as many at once as lie together in both blocks.
    pub(super) fn shift(self, pool: &mut BufferPool, from: usize, to: usize) {
        let count = self.count().saturating_sub(from);
        let mut moved = 0;
        while moved < count && to < from {
            let (source, target) = (self.seat(pool, from + moved), self.seat(pool, to + moved));
            let length = (count - moved).min(source.behind).min(target.behind);
            copy(pool, source, target, length);
            moved += length;
        }
        // Upwards, the last ones first.
        while moved < count && from < to {
            let last = count - moved - 1;
            let (source, target) = (self.seat(pool, from + last), self.seat(pool, to + last));
            let length = (count - moved).min(source.slot + 1).min(target.slot + 1);
            copy(pool, source.back(length - 1), target.back(length - 1), length);
            moved += length;
        }
    }

    fn seat(self, pool: &BufferPool, index: usize) -> Seat {
        let Some(behind) = index.checked_sub(FIRST) else {
            return Seat { block: self.first, slot: index, behind: FIRST - index };
        };
        let block = self.further(pool, behind / FULL).unwrap_or(self.first);
        let slot = behind % FULL;
        Seat { block, slot, behind: FULL - slot }
    }

    /// The further block with this number. Each has a place behind the ranges of the first block.
    fn further(self, pool: &BufferPool, number: usize) -> Option<BlockId> {
        let (numbers, _) = pool.block(self.first)[NUMBERS..].as_chunks();
        let id = u32::from_le_bytes(*numbers.get(number)?);
        (id != NONE).then_some(BlockId(id))
    }

    fn set_further(self, pool: &mut BufferPool, number: usize, id: u32) {
        let (numbers, _) = pool.block_mut(self.first)[NUMBERS..].as_chunks_mut();
        if let Some(place) = numbers.get_mut(number) {
            *place = id.to_le_bytes();
        }
    }
}

impl Seat {
    /// The seat `slots` before this one, in the same block.
    const fn back(self, slots: usize) -> Self {
        let Self { block, slot, behind } = self;
        Self { block, slot: slot - slots, behind: behind + slots }
    }
}

fn copy(pool: &mut BufferPool, from: Seat, to: Seat, ranges: usize) {
    let bytes = from.slot * PACKED..(from.slot + ranges) * PACKED;
    pool.copy((from.block, bytes), (to.block, to.slot * PACKED));
}
