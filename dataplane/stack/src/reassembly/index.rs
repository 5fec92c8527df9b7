//! Which pool block holds which part of a buffer's window.
//!
//! ```text
//!  level 0   5 entries here                      windows of up to 8 KiB, the default
//!  level 1   one index block of 512 entries      up to 1022 KiB
//!  level 2   one block of 512 index blocks       up to 256 MiB
//! ```
//!
//! A block is addressed by its number, stream offset / [`BLOCK_BYTES`], modulo the span of the
//! level. A window has fewer numbers than that, so no two share an entry. Index blocks come from
//! the same pool as the data. The level only rises.

use core::ops::{Range, RangeInclusive};

use super::pool::{BlockId, BufferPool};
use crate::limits::BLOCK_BYTES;

const INLINE: usize = 5;
const FANOUT: u64 = (BLOCK_BYTES / 4) as u64;
const NONE: u32 = u32::MAX;

/// The index of one buffer.
#[derive(Debug)]
pub(super) struct BlockIndex {
    /// The entries of level 0; at the other levels the first one is the root block.
    entries: [u32; INLINE],
    level: u8,
}

/// The number of the block that holds an offset.
pub(super) const fn number_of(offset: u64) -> u64 {
    offset / BLOCK_BYTES as u64
}

/// The level that can address a window of `capacity` bytes, wherever in a block it begins.
const fn level_for(capacity: u64) -> u8 {
    let blocks = capacity / BLOCK_BYTES as u64 + 1;
    if blocks <= INLINE as u64 {
        0
    } else if blocks <= FANOUT {
        1
    } else {
        2
    }
}

impl BlockIndex {
    /// An empty index for a window of `capacity` bytes.
    pub(super) const fn new(capacity: u64) -> Self {
        Self { entries: [NONE; INLINE], level: level_for(capacity) }
    }

    /// Pool bytes that growing to a window of `capacity` bytes may need for the index itself.
    pub(super) const fn growth_bytes(&self, capacity: u64) -> u64 {
        if level_for(capacity) > self.level { 3 * BLOCK_BYTES as u64 } else { 0 }
    }

    /// Makes room for a window of `capacity` bytes; `live` are the numbers in use. Returns whether
    /// the pool had the blocks for it; without them nothing changes.
    pub(super) fn grow(&mut self, pool: &mut BufferPool, capacity: u64, live: Range<u64>) -> bool {
        if level_for(capacity) <= self.level {
            return true;
        }
        let mut grown = Self::new(capacity);
        for number in live {
            let Some(block) = self.get(pool, number) else { continue };
            if !grown.insert(pool, number, block) {
                grown.release_index(pool);
                return false;
            }
        }
        self.release_index(pool);
        *self = grown;
        true
    }

    /// The block with this number.
    #[inline]
    pub(super) fn get(&self, pool: &BufferPool, number: u64) -> Option<BlockId> {
        if self.level == 0 {
            return block(self.entries[slot(number, INLINE as u64)]);
        }
        self.get_in_blocks(pool, number)
    }

    #[inline(never)]
    fn get_in_blocks(&self, pool: &BufferPool, number: u64) -> Option<BlockId> {
        let root = block(self.entries[0])?;
        let leaf = if self.level == 1 { root } else { read(pool, root, number / FANOUT)? };
        read(pool, leaf, number)
    }

    /// The block with this number; if there is none yet, one from the pool.
    #[inline]
    pub(super) fn get_or_take(&mut self, pool: &mut BufferPool, number: u64) -> Option<BlockId> {
        self.get(pool, number).or_else(|| self.take(pool, number))
    }

    #[inline(never)]
    fn take(&mut self, pool: &mut BufferPool, number: u64) -> Option<BlockId> {
        let taken = pool.take()?;
        if self.insert(pool, number, taken) {
            return Some(taken);
        }
        pool.put_back(taken);
        None
    }

    /// Enters a block. Returns whether the pool had the index blocks for it.
    fn insert(&mut self, pool: &mut BufferPool, number: u64, data: BlockId) -> bool {
        if self.level == 0 {
            self.entries[slot(number, INLINE as u64)] = data.0;
            return true;
        }
        let Some(root) = block(self.entries[0]).or_else(|| take_index_block(pool)) else {
            return false;
        };
        self.entries[0] = root.0;
        let leaf = if self.level == 1 {
            root
        } else {
            let known = read(pool, root, number / FANOUT);
            let Some(leaf) = known.or_else(|| take_index_block(pool)) else { return false };
            write(pool, root, number / FANOUT, leaf.0);
            leaf
        };
        write(pool, leaf, number, data.0);
        true
    }

    /// Returns the data blocks with these numbers to the pool. They are the lowest in use: an index
    /// block that ends below the end of the range is returned, too.
    pub(super) fn release(&mut self, pool: &mut BufferPool, numbers: Range<u64>) {
        match self.level {
            0 => {
                for number in numbers {
                    let entry = &mut self.entries[slot(number, INLINE as u64)];
                    put_back(pool, core::mem::replace(entry, NONE));
                }
            }
            1 => {
                if let Some(leaf) = block(self.entries[0]) {
                    release_leaf(pool, leaf, numbers);
                }
            }
            _ => self.release_leaves(pool, numbers),
        }
    }

    /// Releases the data blocks `gone`, but not to take one from the pool for one of `coming` where
    /// that has the same place: it gets the block that is there.
    #[inline]
    pub(super) fn advance(
        &mut self,
        pool: &mut BufferPool,
        gone: Range<u64>,
        coming: RangeInclusive<u64>,
    ) {
        if self.level > 0 {
            return self.release(pool, gone);
        }
        for number in gone {
            if !coming.contains(&(number + INLINE as u64)) {
                self.release(pool, number..number + 1);
            }
        }
    }

    /// Returns all blocks to the pool; `live` are the numbers in use.
    pub(super) fn clear(&mut self, pool: &mut BufferPool, live: Range<u64>) {
        self.release(pool, live);
        self.release_index(pool);
    }

    fn release_leaves(&self, pool: &mut BufferPool, numbers: Range<u64>) {
        let Some(root) = block(self.entries[0]) else { return };
        let Range { start: mut at, end } = numbers;
        while at < end {
            let leaf_end = (at / FANOUT + 1) * FANOUT;
            let stop = leaf_end.min(end);
            let leaf = read(pool, root, at / FANOUT);
            if let Some(leaf) = leaf {
                release_leaf(pool, leaf, at..stop);
            }
            if let Some(leaf) = leaf.filter(|_| stop == leaf_end) {
                write(pool, root, at / FANOUT, NONE);
                pool.put_back(leaf);
            }
            at = stop;
        }
    }

    /// Returns the index blocks, but not what they name.
    fn release_index(&mut self, pool: &mut BufferPool) {
        if self.level == 0 {
            return;
        }
        let Some(root) = block(core::mem::replace(&mut self.entries[0], NONE)) else { return };
        if self.level == 2 {
            for leaf in 0..FANOUT {
                let leaf = read(pool, root, leaf);
                put_back(pool, leaf.map_or(NONE, |leaf| leaf.0));
            }
        }
        pool.put_back(root);
    }
}

fn release_leaf(pool: &mut BufferPool, leaf: BlockId, numbers: Range<u64>) {
    for number in numbers {
        if let Some(data) = read(pool, leaf, number) {
            write(pool, leaf, number, NONE);
            pool.put_back(data);
        }
    }
}

fn take_index_block(pool: &mut BufferPool) -> Option<BlockId> {
    let taken = pool.take()?;
    pool.block_mut(taken).fill(0xff);
    Some(taken)
}

fn put_back(pool: &mut BufferPool, entry: u32) {
    if let Some(held) = block(entry) {
        pool.put_back(held);
    }
}

fn block(entry: u32) -> Option<BlockId> {
    (entry != NONE).then_some(BlockId(entry))
}

#[expect(clippy::cast_possible_truncation, reason = "less than the span")]
const fn slot(number: u64, span: u64) -> usize {
    (number % span) as usize
}

fn read(pool: &BufferPool, leaf: BlockId, number: u64) -> Option<BlockId> {
    let at = slot(number, FANOUT) * 4;
    let bytes = pool.block(leaf).get(at..)?.first_chunk()?;
    block(u32::from_le_bytes(*bytes))
}

fn write(pool: &mut BufferPool, leaf: BlockId, number: u64, entry: u32) {
    let at = slot(number, FANOUT) * 4;
    pool.block_mut(leaf)[at..at + 4].copy_from_slice(&entry.to_le_bytes());
}
