//! Reads a buffer as a stream, and lists what it holds. Readers keep their own positions: nothing
//! here changes the buffer.

use arrayvec::ArrayVec;

use super::{BufferPool, OutOfBuffer, Reassembler, index::number_of, within_block};
use crate::{
    EndCause, FRAGMENTS_MAX, Fragment, Peeked, StreamOffset, StreamRead, limits::BLOCK_BYTES,
};

impl Reassembler {
    /// The next step of a reader at `from`, or at the oldest byte if absent; bytes go into `out`.
    /// After the end of the connection no hole will be filled, so bytes beyond holes can be read.
    pub(crate) fn read_on(
        &self,
        pool: &BufferPool,
        from: Option<StreamOffset>,
        ended: Option<EndCause>,
        out: &mut [u8],
    ) -> StreamRead {
        let (oldest, newest) = self.bounds(pool);
        let readable = if ended.is_some() { newest.0.max(self.next) } else { self.next };
        let start = from.map_or_else(|| oldest.0.min(self.next), |from| from.0);
        let at = start.max(self.base());
        let held = self.ranges.at_or_behind(pool, at).map_or(readable, |span| span.start);
        let data = held.min(readable).max(at);
        let length = if data < readable { self.read(pool, data, out) } else { 0 };
        StreamRead {
            start: StreamOffset(start),
            evicted: at - start,
            missing: data - at,
            length,
            readable: StreamOffset(readable),
            ended,
        }
    }

    /// Copies held bytes into `out`: from the first one at or behind `offset`, up to a hole.
    pub(crate) fn peek(
        &self,
        pool: &BufferPool,
        offset: Option<StreamOffset>,
        out: &mut [u8],
    ) -> Result<Peeked, OutOfBuffer> {
        let (oldest, newest) = self.bounds(pool);
        let wanted = offset.unwrap_or(oldest);
        if wanted.0 < self.base() {
            return Err(OutOfBuffer::Overwritten);
        }
        if wanted > newest.max(self.next()) {
            return Err(OutOfBuffer::NotYetReceived);
        }
        let start = self
            .ranges
            .at_or_behind(pool, wanted.0)
            .map_or(wanted, |span| StreamOffset(span.start.max(wanted.0)));
        let length = self.read(pool, start.0, out);
        let end = start.plus(length as u64);
        let next_held =
            self.ranges.at_or_behind(pool, end.0).map(|span| StreamOffset(span.start.max(end.0)));
        Ok(Peeked { offset: start, length, oldest, newest, next_held })
    }

    /// The held bytes from `at` to the end of their block, or to a hole.
    pub(crate) fn piece_at<'p>(&self, pool: &'p BufferPool, at: StreamOffset) -> Option<&'p [u8]> {
        let span = self.ranges.at_or_behind(pool, at.0).filter(|span| span.start <= at.0)?;
        let block = self.index.get(pool, number_of(at.0))?;
        let start = within_block(at.0);
        let length = usize::try_from(span.end - at.0).unwrap_or(usize::MAX);
        pool.block(block).get(start..start.saturating_add(length).min(BLOCK_BYTES))
    }

    /// How many of these bytes, from the first on, are held at an offset.
    pub(crate) fn common(&self, pool: &BufferPool, at: StreamOffset, bytes: &[u8]) -> usize {
        let mut common = 0;
        while let Some(piece) = self.piece_at(pool, at.plus(common as u64)) {
            let pairs = piece.iter().zip(&bytes[common..]);
            let compared = pairs.len();
            let equal = pairs.take_while(|(held, byte)| held == byte).count();
            common += equal;
            if equal < compared || common == bytes.len() {
                break;
            }
        }
        common
    }

    /// Whether these bytes are held at an offset.
    pub(crate) fn holds(&self, pool: &BufferPool, at: StreamOffset, bytes: &[u8]) -> bool {
        self.common(pool, at, bytes) == bytes.len()
    }

    /// The first held bytes at or behind `at` that can be read, to the end of their block at most.
    pub(crate) fn readable_piece<'p>(
        &self,
        pool: &'p BufferPool,
        at: StreamOffset,
    ) -> Option<(StreamOffset, &'p [u8])> {
        let span = self.ranges.at_or_behind(pool, at.0)?;
        let start = span.start.max(at.0);
        let room = usize::try_from(self.next.saturating_sub(start)).unwrap_or(usize::MAX);
        let piece = self.piece_at(pool, StreamOffset(start))?;
        let piece = piece.get(..room.min(piece.len())).filter(|piece| !piece.is_empty())?;
        Some((StreamOffset(start), piece))
    }

    /// Copies held bytes from `at` on, up to a hole. Returns how many.
    pub(super) fn read(&self, pool: &BufferPool, at: u64, out: &mut [u8]) -> usize {
        let mut length = 0;
        while length < out.len()
            && let Some(piece) = self.piece_at(pool, StreamOffset(at + length as u64))
        {
            let count = piece.len().min(out.len() - length);
            out[length..length + count].copy_from_slice(&piece[..count]);
            length += count;
        }
        length
    }

    /// The runs of bytes held, lowest first, and how many there are.
    pub(crate) fn fragments(&self, pool: &BufferPool) -> (ArrayVec<Fragment, FRAGMENTS_MAX>, u32) {
        let mut fragments = ArrayVec::new();
        let mut total = 0;
        for run in self.ranges.runs(pool) {
            total += 1;
            if !fragments.is_full() {
                fragments.push(Fragment { offset: StreamOffset(run.start), length: run.length() });
            }
        }
        (fragments, total)
    }
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;
    use crate::{OverlapPolicy, limits::BLOCK_BYTES};

    const END: Option<EndCause> = Some(EndCause::Fin);
    const POOL_BYTES: u64 = 1 << 20;

    fn byte_at(offset: u64) -> u8 {
        (offset % 251) as u8
    }

    struct Bench {
        pool: BufferPool,
        buffer: Reassembler,
    }

    impl Bench {
        fn new(blocks: usize) -> Self {
            let pool = BufferPool::new(POOL_BYTES).expect("memory");
            Self { pool, buffer: Reassembler::new((blocks * BLOCK_BYTES) as u64) }
        }

        fn place(&mut self, start: u64, end: u64) {
            let bytes: Vec<u8> = (start..end).map(byte_at).collect();
            let (pool, first) = (&mut self.pool, OverlapPolicy::First);
            self.buffer.place(pool, StreamOffset(start), &bytes, first, &mut |_| {});
        }

        fn give_up_below(&mut self, end: u64) {
            self.buffer.give_up_below(&mut self.pool, StreamOffset(end), &mut |_| {});
        }

        /// Start, evicted, missing, length, readable. The bytes must be right.
        fn read(&self, from: Option<u64>, ended: Option<EndCause>) -> (u64, u64, u64, u64, u64) {
            let mut out = vec![0; 100_000];
            let step = self.buffer.read_on(&self.pool, from.map(StreamOffset), ended, &mut out);
            let StreamRead { start, evicted, missing, length, readable, ended: _ } = step;
            for (offset, byte) in (step.data_offset().0..).zip(&out[..length]) {
                assert_eq!(*byte, byte_at(offset), "at {offset}");
            }
            (start.0, evicted, missing, length as u64, readable.0)
        }
    }

    #[test]
    fn a_hole_that_may_still_be_filled_ends_what_can_be_read() {
        let mut bench = Bench::new(4);
        bench.place(0, 10);
        bench.place(20, 30);
        assert_eq!(bench.read(None, None), (0, 0, 0, 10, 10));
        assert_eq!(bench.read(Some(10), None), (10, 0, 0, 0, 10));
        bench.place(10, 20);
        assert_eq!(bench.read(Some(10), None), (10, 0, 0, 20, 30));
    }

    #[test]
    fn a_gap_is_told_and_reading_goes_on_behind_it() {
        let mut bench = Bench::new(4);
        bench.place(0, 10);
        bench.place(20, 30);
        bench.give_up_below(40);
        assert_eq!(bench.read(Some(10), None), (10, 0, 10, 10, 40));
        assert_eq!(bench.read(Some(30), None), (30, 0, 10, 0, 40));
        assert_eq!(bench.read(Some(40), None), (40, 0, 0, 0, 40));
    }

    #[test]
    fn at_the_end_of_the_connection_every_hole_is_a_gap() {
        let mut bench = Bench::new(4);
        bench.place(0, 10);
        bench.place(20, 30);
        assert_eq!(bench.read(Some(10), END), (10, 0, 10, 10, 30));
        assert_eq!(bench.read(Some(30), END), (30, 0, 0, 0, 30));
    }

    #[test]
    fn a_reader_that_was_overtaken_is_told_how_much_it_missed() {
        let mut bench = Bench::new(1);
        bench.place(0, 2000);
        bench.place(2000, 2500);
        let base = 2500 - BLOCK_BYTES as u64;
        assert_eq!(bench.read(Some(100), None), (100, base - 100, 0, 2500 - base, 2500));
        assert_eq!(bench.read(None, None), (base, 0, 0, 2500 - base, 2500));
    }

    #[test]
    fn a_reader_without_a_position_does_not_begin_behind_a_hole_that_may_be_filled() {
        let mut bench = Bench::new(4);
        bench.place(20, 30);
        assert_eq!(bench.read(None, None), (0, 0, 0, 0, 0));
        assert_eq!(bench.read(Some(1000), None), (1000, 0, 0, 0, 0), "what is yet to come");
    }

    #[test]
    fn fragments_are_listed_from_the_lowest_offset_up_to_a_bound() {
        let mut bench = Bench::new(8);
        assert_eq!(bench.buffer.fragments(&bench.pool), (ArrayVec::new(), 0));
        for index in 0..70 {
            bench.place(index * 100 + 50, index * 100 + 60);
        }
        let (fragments, total) = bench.buffer.fragments(&bench.pool);
        assert_eq!((fragments.len(), total), (FRAGMENTS_MAX, 70));
        for (index, fragment) in (0..).zip(fragments) {
            let expected = Fragment { offset: StreamOffset(index * 100 + 50), length: 10 };
            assert_eq!(fragment, expected);
        }
    }

    proptest! {
        /// Whatever arrives, however far the reader falls behind: what it is given and what it is
        /// told that it missed make the stream, without holes and without repetition.
        #[test]
        fn bytes_and_gaps_make_the_whole_stream(
            steps in prop::collection::vec((0u64..6000, 1u64..1500, 0u8..4), 1..60),
        ) {
            let mut bench = Bench::new(2);
            let mut cursor = 0;
            for (start, length, then) in steps {
                bench.place(start, start + length);
                match then {
                    0 => bench.give_up_below(start),
                    1 => {}
                    _ => {
                        let (from, evicted, missing, length, readable) =
                            bench.read(Some(cursor), None);
                        prop_assert_eq!(from, cursor);
                        cursor += evicted + missing + length;
                        prop_assert!(cursor <= readable.max(from));
                    }
                }
            }
            loop {
                let (_, evicted, missing, length, readable) = bench.read(Some(cursor), END);
                cursor += evicted + missing + length;
                if cursor == readable {
                    break;
                }
                prop_assert!(evicted + missing + length > 0, "no progress at {}", cursor);
            }
        }
    }
}
