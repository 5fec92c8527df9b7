//! Appends the next bytes in order, which nearly every segment carries.

use mos_memory::{prefetch_bytes, prefetch_start};

use super::{
    BufferFact, Placed, Reassembler,
    index::number_of,
    pool::{BlockId, BufferPool},
    ranges::Span,
    within_block,
};
use crate::{StreamOffset, limits::BLOCK_BYTES};

/// The outcome of appending bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended {
    /// Held bytes that were evicted.
    pub(crate) overwritten_bytes: u64,
    /// Bytes at the end for which there was no block.
    pub(crate) refused_bytes: u64,
}

impl Appended {
    /// Converts the result of appending `bytes` into a `Placed`.
    pub(crate) fn placed(self, bytes: &[u8]) -> Placed {
        let Self { overwritten_bytes, refused_bytes } = self;
        let new_bytes = bytes.len() as u64 - refused_bytes;
        Placed { new_bytes, overwritten_bytes, refused_bytes, ..Placed::default() }
    }
}

impl Reassembler {
    /// Stores bytes at `next` if the only range held, or none, ends there. `None`: they belong
    /// elsewhere, are longer than the window, or move it past a gap, and nothing was done.
    #[inline(always)]
    pub(crate) fn append(
        &mut self,
        pool: &mut BufferPool,
        offset: StreamOffset,
        bytes: &[u8],
        emit: &mut impl FnMut(BufferFact),
    ) -> Option<Appended> {
        if self.next != offset.0 || bytes.len() as u64 > self.capacity() {
            return None;
        }
        let held = self.ranges.only(offset.0).filter(|held| held.end == offset.0)?;
        let overwritten_bytes = self.make_room(pool, held, bytes.len() as u64, emit)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = BLOCK_BYTES - within_block(self.next);
            let (piece, following) = rest.split_at(room.min(rest.len()));
            if !self.fill(pool, self.next, piece) {
                break;
            }
            self.next += piece.len() as u64;
            rest = following;
        }
        let base = self.base();
        self.ranges.hold_only(base, Span { start: held.start.max(base), end: self.next });
        self.check(pool);
        Some(Appended { overwritten_bytes, refused_bytes: rest.len() as u64 })
    }

    /// Moves the window so that it has room for `length` bytes after the only range. Returns how
    /// many held bytes that evicts; the caller sets the range. `None`: the window begins with a
    /// gap, and nothing was done.
    #[inline(always)]
    fn make_room(
        &mut self,
        pool: &mut BufferPool,
        held: Span,
        length: u64,
        emit: &mut impl FnMut(BufferFact),
    ) -> Option<u64> {
        let (old, end) = (self.base(), held.end + length);
        let base = end.saturating_sub(self.capacity());
        if base <= old {
            return Some(0);
        }
        if held.start != old {
            return None;
        }
        let evicted = base - old;
        emit(BufferFact::Overrun { offset: old, length: evicted });
        self.overwritten += evicted;
        if number_of(old) < number_of(base) {
            let live = self.live_blocks();
            let gone = live.start..number_of(base).min(live.end);
            self.index.advance(pool, gone, number_of(held.end)..=number_of(end - 1));
        }
        self.ranges.set_floor(base);
        Some(evicted)
    }

    /// Writes bytes into a part of one block that holds none yet.
    #[inline(always)]
    pub(super) fn fill(&mut self, pool: &mut BufferPool, at: u64, piece: &[u8]) -> bool {
        let Some(block) = self.index.get_or_take(pool, number_of(at)) else { return false };
        let start = within_block(at);
        pool.block_mut(block)[start..start + piece.len()].copy_from_slice(piece);
        true
    }

    /// Prefetches the place of the next byte in order: in its block, or in the block that it will
    /// probably get.
    #[inline]
    pub(crate) fn prefetch_next(&self, pool: &mut BufferPool) {
        if let Some(block) = self.likely_block(pool, number_of(self.next)) {
            prefetch_start(&pool.block(block)[within_block(self.next)..]);
        }
    }

    /// Prefetches the places of the next `length` bytes in order: in their blocks, or in the
    /// blocks that they will probably get.
    #[inline]
    pub(crate) fn prefetch_payload_room(&self, pool: &mut BufferPool, length: usize) {
        let (number, start) = (number_of(self.next), within_block(self.next));
        let room = BLOCK_BYTES - start;
        if let Some(block) = self.likely_block(pool, number) {
            prefetch_bytes(&pool.block(block)[start..start + length.min(room)]);
        }
        if length > room
            && let Some(block) = self.likely_block(pool, number + 1)
        {
            prefetch_bytes(&pool.block(block)[..(length - room).min(BLOCK_BYTES)]);
        }
    }

    /// The block with this number; else the block that will be freed for it, or the pool's next.
    #[inline]
    fn likely_block(&self, pool: &mut BufferPool, number: u64) -> Option<BlockId> {
        let freed = || number.checked_sub(number_of(self.capacity()) + 1);
        self.index
            .get(pool, number)
            .or_else(|| self.index.get(pool, freed()?))
            .or_else(|| pool.next_likely())
    }
}
