//! The block pool that all receive buffers of a worker share.
//!
//! Blocks are handed out last in, first out, so that the next one is warm in the cache. The
//! memory is reserved once; a page is touched when its first block is used.

use core::ops::Range;

use mos_memory::Slab;

use crate::limits::BLOCK_BYTES;

/// A block from [`BufferPool::take`], to be returned with [`BufferPool::put_back`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockId(pub(super) u32);

/// Fixed blocks of [`BLOCK_BYTES`] bytes.
#[derive(Debug)]
pub(crate) struct BufferPool {
    bytes: Slab<[u8; BLOCK_BYTES]>,
    blocks: u32,
    /// Blocks from here on were never used.
    fresh: u32,
    free: Slab<BlockId>,
    /// Blocks that [`Self::next_likely`] has named and [`Self::take`] has not taken yet.
    lookahead: usize,
}

impl BufferPool {
    /// Reserves `bytes`, rounded down to whole blocks. `None` when there is not enough memory.
    pub(crate) fn new(bytes: u64) -> Option<Self> {
        let blocks = u32::try_from(bytes / BLOCK_BYTES as u64).ok().filter(|n| *n != u32::MAX)?;
        let count = usize::try_from(blocks).ok()?;
        let (bytes, free) = (Slab::zeroed(count)?, Slab::with_capacity(count)?);
        Some(Self { bytes, blocks, fresh: 0, free, lookahead: 0 })
    }

    /// See [`Slab::populate`].
    pub(crate) fn populate(&self) -> Option<()> {
        self.bytes.populate()?;
        self.free.populate()
    }

    /// A block with undefined contents; `None` when all are in use.
    pub(crate) fn take(&mut self) -> Option<BlockId> {
        self.lookahead = self.lookahead.saturating_sub(1);
        if let Some(block) = self.free.pop() {
            return Some(block);
        }
        let block = (self.fresh < self.blocks).then_some(BlockId(self.fresh))?;
        self.fresh += 1;
        Some(block)
    }

    /// The block that will probably be taken next; on the next call, the one after it. `None` for
    /// blocks that were never used.
    pub(crate) fn next_likely(&mut self) -> Option<BlockId> {
        let next = self.free.len().checked_sub(self.lookahead + 1)?;
        self.lookahead += 1;
        self.free.get(next).copied()
    }

    /// Restarts the lookahead; blocks it named may not have been taken.
    pub(crate) const fn restart_lookahead(&mut self) {
        self.lookahead = 0;
    }

    /// Returns a block.
    pub(crate) fn put_back(&mut self, block: BlockId) {
        let pushed = self.free.push(block);
        debug_assert!(pushed.is_ok() && self.free.len() <= self.fresh as usize, "returned once");
    }

    /// The bytes of a block.
    pub(crate) fn block(&self, block: BlockId) -> &[u8; BLOCK_BYTES] {
        &self.bytes[block.0 as usize]
    }

    /// The bytes of a block, to be written.
    pub(crate) fn block_mut(&mut self, block: BlockId) -> &mut [u8; BLOCK_BYTES] {
        &mut self.bytes[block.0 as usize]
    }

    /// Copies bytes of one block to a place in another one, or in the same.
    pub(super) fn copy(&mut self, from: (BlockId, Range<usize>), to: (BlockId, usize)) {
        let ((from, bytes), (to, place)) = (from, to);
        if from == to {
            return self.block_mut(from).copy_within(bytes, place);
        }
        let both = self.bytes.get_disjoint_mut([from.0 as usize, to.0 as usize]);
        if let Ok([from, to]) = both {
            to[place..place + bytes.len()].copy_from_slice(&from[bytes]);
        }
    }

    /// Size of the pool, in bytes.
    pub(crate) const fn total_bytes(&self) -> u64 {
        self.blocks as u64 * BLOCK_BYTES as u64
    }

    /// Bytes in blocks that are in use.
    pub(crate) fn used_bytes(&self) -> u64 {
        (u64::from(self.fresh) - self.free.len() as u64) * BLOCK_BYTES as u64
    }

    /// Bytes in blocks that are free.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.total_bytes() - self.used_bytes()
    }
}
