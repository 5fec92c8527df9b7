//! The receive buffer against a model that is one optional byte per stream position.

#![expect(clippy::cast_possible_truncation, reason = "the streams of a test are short")]

use proptest::prelude::*;
use std::{string::String, vec, vec::Vec};

use super::*;
use crate::limits::RANGES_MAX;

/// Longest stream that the model holds.
const STREAM: usize = 48 * 1024;
const BLOCK: u64 = BLOCK_BYTES as u64;

#[derive(Debug, Clone)]
enum Op {
    Place { offset: u64, length: usize, fill: u8 },
    GiveUp { below: u64 },
    SetPolicy(OverlapPolicy),
    Resize { blocks: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let offset = prop_oneof![0..40_000u64, 0..6_000u64, (0..20u64).prop_map(|n| n * BLOCK)];
    let length = prop_oneof![4 => 1..100usize, 2 => 1..1461usize, 1 => 1..8_000usize];
    prop_oneof![
        12 => (offset, length, 0..4u8)
            .prop_map(|(offset, length, fill)| Op::Place { offset, length, fill }),
        1 => (0..40_000u64).prop_map(|below| Op::GiveUp { below }),
        1 => prop::sample::select(&OverlapPolicy::ALL).prop_map(Op::SetPolicy),
        1 => prop_oneof![0..24u64, Just(0), Just(600)].prop_map(|blocks| Op::Resize { blocks }),
    ]
}

struct Model {
    bytes: Vec<Option<u8>>,
    capacity: u64,
    base: u64,
    next: u64,
    overwritten: u64,
    conflicting: u64,
    /// Bytes given up, those that came after all included.
    given_up: u64,
    filled: u64,
    /// Positions that were held at some time, or skipped by a buffer of capacity 0.
    known: Vec<bool>,
}

impl Model {
    fn held(&self, at: u64) -> Option<u8> {
        self.bytes.get(at as usize).copied().flatten()
    }

    fn newest(&self) -> Option<u64> {
        self.bytes.iter().rposition(Option::is_some).map(|last| last as u64 + 1)
    }

    fn give_up(&mut self, below: u64) {
        if self.capacity == 0 {
            return self.skip_to(below);
        }
        while self.next < below {
            self.given_up += u64::from(self.held(self.next).is_none());
            self.next += 1;
        }
        while self.held(self.next).is_some() {
            self.next += 1;
        }
    }

    fn skip_to(&mut self, below: u64) {
        while self.next < below {
            self.known[self.next as usize] = true;
            self.next += 1;
        }
        self.base = self.next;
    }

    /// What is missing for good or until it comes after all.
    fn gaps(&self) -> Gaps {
        let mut gaps = Gaps::default();
        for first in (0..self.next).filter(|at| !self.known[*at as usize]) {
            gaps.extend(Gaps { count: 1, bytes: 1, first, end: first + 1 });
        }
        gaps
    }

    fn slide(&mut self, base: u64) -> u64 {
        if base > self.base {
            self.give_up(base);
        }
        let mut evicted = 0;
        while self.base < base {
            evicted += u64::from(self.bytes[self.base as usize].take().is_some());
            self.base += 1;
        }
        evicted
    }

    fn place(&mut self, offset: u64, bytes: &[u8], policy: OverlapPolicy) {
        let end = offset + bytes.len() as u64;
        if self.capacity == 0 {
            self.give_up(end);
            return;
        }
        self.overwritten += self.slide(end.saturating_sub(self.capacity));
        for (at, new) in (offset..).zip(bytes).filter(|(at, _)| *at >= self.base) {
            let held = &mut self.bytes[at as usize];
            self.conflicting += u64::from(held.is_some_and(|held| held != *new));
            if held.is_none() || policy == OverlapPolicy::Last {
                *held = Some(*new);
            }
            self.filled += u64::from(!self.known[at as usize] && at < self.next);
            self.known[at as usize] = true;
        }
        self.give_up(0);
    }

    fn resize(&mut self, capacity: u64) -> u64 {
        let before = self.bytes.iter().flatten().count();
        if capacity == 0 {
            self.skip_to(self.newest().unwrap_or(0));
            self.bytes.fill(None);
        } else if let Some(newest) = self.newest() {
            self.slide(newest.saturating_sub(capacity));
        }
        self.capacity = capacity;
        (before - self.bytes.iter().flatten().count()) as u64
    }
}

/// Reads everything held, by offset.
fn contents(buffer: &Reassembler, pool: &BufferPool) -> Vec<Option<u8>> {
    let mut bytes = vec![None; STREAM];
    let (mut at, mut chunk) = (buffer.bounds(pool).0, [0; 700]);
    loop {
        let Ok(peeked) = buffer.peek(pool, Some(at), &mut chunk) else { return bytes };
        for (place, byte) in
            bytes[peeked.offset.0 as usize..].iter_mut().zip(&chunk[..peeked.length])
        {
            *place = Some(*byte);
        }
        match peeked.next_held {
            Some(next) if peeked.length > 0 => at = next,
            _ => return bytes,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn the_buffer_equals_the_model(
        blocks in prop_oneof![0..24u64, Just(600)],
        ops in prop::collection::vec(op(), 1..14),
    ) {
        let mut pool = BufferPool::new(4 << 20).expect("memory");
        let mut buffer = Reassembler::new(blocks * BLOCK);
        let mut model = Model {
            bytes: vec![None; STREAM],
            capacity: blocks * BLOCK,
            base: 0,
            next: 0,
            overwritten: 0,
            conflicting: 0,
            given_up: 0,
            filled: 0,
            known: vec![false; STREAM],
        };
        let mut policy = OverlapPolicy::First;
        // Under the policy `linux`, whose model is below, this one knows no contents.
        let mut knows_contents = true;
        let (mut conflicting, mut given_up, mut filled) = (0, 0, 0);
        let mut passed = Gaps::default();
        for op in ops {
            let placed = match op {
                Op::Place { offset, length, fill } => {
                    let bytes: Vec<u8> =
                        (0..length).map(|n| (offset as usize + n) as u8 / 64 + fill).collect();
                    model.place(offset, &bytes, policy);
                    buffer.place(&mut pool, StreamOffset(offset), &bytes, policy, &mut |_| {})
                }
                Op::GiveUp { below } => {
                    model.give_up(below);
                    buffer.give_up_below(&mut pool, StreamOffset(below), &mut |_| {})
                }
                Op::SetPolicy(new) => {
                    policy = new;
                    knows_contents &= new != OverlapPolicy::Linux;
                    Placed::default()
                }
                Op::Resize { blocks } => {
                    let capacity = blocks * BLOCK;
                    let planned = buffer.shrink_bytes(&pool, capacity);
                    let resized = buffer.resize(&mut pool, capacity, &mut |_| {});
                    prop_assert_eq!(resized.map(|(discarded, _)| discarded), Some(planned));
                    prop_assert_eq!(planned, model.resize(capacity));
                    resized.map(|(_, placed)| placed).unwrap_or_default()
                }
            };
            conflicting += placed.conflicting_bytes;
            given_up += placed.missing_bytes;
            filled += placed.filled_bytes;
            passed.extend(placed.passed);
            prop_assert_eq!(placed.refused_bytes, 0);
            let summary = buffer.summary(&pool);
            prop_assert_eq!(summary.next.0, model.next);
            prop_assert_eq!(summary.overwritten_bytes, model.overwritten);
            prop_assert!(!knows_contents || conflicting == model.conflicting);
            prop_assert_eq!((given_up, filled), (model.given_up, model.filled));
        }
        let held = model.bytes.iter().flatten().count() as u64;
        let beyond = model.bytes.iter().skip(model.next as usize).flatten().count() as u64;
        let summary = buffer.summary(&pool);
        prop_assert_eq!(summary.buffered_bytes + summary.out_of_order_bytes, held);
        prop_assert_eq!(summary.out_of_order_bytes, beyond);
        let mut gaps = passed;
        gaps.extend(buffer.gaps_in(&pool, Span { start: buffer.base(), end: buffer.next().0 }));
        prop_assert_eq!(gaps, model.gaps());
        let in_window = gaps.bytes - passed.bytes;
        prop_assert_eq!(summary.missing_bytes, in_window);
        prop_assert!(in_window > 0 || summary.contiguous == summary.next);
        let contents = contents(&buffer, &pool);
        if knows_contents {
            prop_assert!(contents == model.bytes, "the held bytes differ");
        } else {
            for (held, known) in contents.iter().zip(&model.bytes) {
                prop_assert_eq!(held.is_some(), known.is_some());
            }
        }
        buffer.release(&mut pool);
        prop_assert_eq!(pool.used_bytes(), 0);
    }
}

/// What Linux delivers, and its queue of segments out of order, after `tcp_data_queue` and
/// `tcp_data_queue_ofo`. Nothing is decided before the queue is drained.
#[derive(Default)]
struct Linux {
    delivered: Vec<u8>,
    queue: Vec<(usize, Vec<u8>)>,
}

impl Linux {
    fn receive(&mut self, start: usize, bytes: &[u8]) {
        if start > self.delivered.len() {
            return self.queue_out_of_order(start, bytes);
        }
        self.deliver(start, bytes);
        while self.queue.first().is_some_and(|(start, _)| *start <= self.delivered.len()) {
            let (start, bytes) = self.queue.remove(0);
            self.deliver(start, &bytes);
        }
    }

    fn deliver(&mut self, start: usize, bytes: &[u8]) {
        let known = self.delivered.len() - start;
        self.delivered.extend(bytes.get(known..).unwrap_or_default());
    }

    fn queue_out_of_order(&mut self, start: usize, bytes: &[u8]) {
        let end = start + bytes.len();
        let behind = self.queue.iter().position(|(other, _)| *other > start);
        let mut at = behind.unwrap_or(self.queue.len());
        if let Some((known, held)) = self.queue[..at].last_mut() {
            let known_end = *known + held.len();
            if known_end >= end {
                return;
            } else if known_end == start {
                held.extend(bytes);
            } else if *known == start {
                *held = bytes.into();
            } else {
                self.queue.insert(at, (start, bytes.into()));
                at += 1;
            }
        } else {
            self.queue.insert(at, (start, bytes.into()));
            at += 1;
        }
        while self.queue.get(at).is_some_and(|(start, held)| start + held.len() <= end) {
            self.queue.remove(at);
        }
    }

    /// The stream as it would be if the capture ended here.
    fn stream(mut self) -> Vec<Option<u8>> {
        let mut bytes: Vec<_> = self.delivered.iter().copied().map(Some).collect();
        for (start, held) in self.queue.drain(..) {
            bytes.resize(bytes.len().max(start), None);
            let known = bytes.len() - start;
            bytes.extend(held.get(known..).unwrap_or_default().iter().copied().map(Some));
        }
        bytes
    }
}

/// Segments of a short stream, many of which begin where another one begins or ends.
fn segments() -> impl Strategy<Value = Vec<(usize, usize)>> {
    let place = prop_oneof![(0..24usize).prop_map(|n| n * 16), 0..400usize, Just(0)];
    let length = prop_oneof![(1..8usize).prop_map(|n| n * 16), 1..120usize];
    prop::collection::vec((place, length), 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn under_policy_linux_the_buffer_holds_what_linux_delivers(
        segments in segments(),
        scale in prop_oneof![Just(1), Just(37)],
    ) {
        let mut pool = BufferPool::new(1 << 20).expect("memory");
        let mut buffer = Reassembler::new(64 * BLOCK);
        let mut model = Linux::default();
        for (mark, (start, length)) in (1..).zip(segments) {
            let (start, bytes) = (start * scale, vec![mark; length * scale]);
            model.receive(start, &bytes);
            let offset = StreamOffset(start as u64);
            buffer.place(&mut pool, offset, &bytes, OverlapPolicy::Linux, &mut |_| {});
            prop_assert_eq!(buffer.next().0, model.delivered.len() as u64);
        }
        let mut expected = model.stream();
        expected.resize(STREAM, None);
        prop_assert!(contents(&buffer, &pool) == expected, "the bytes differ");
        buffer.release(&mut pool);
        prop_assert_eq!(pool.used_bytes(), 0);
    }
}

/// Places segments in this order and returns what is held: runs, with a space between any two.
fn held_under(policies: &[OverlapPolicy], segments: &[(u64, &str)]) -> String {
    let (mut pool, mut buffer) = (pool_of(8), Reassembler::new(4 * BLOCK));
    for (policy, (offset, bytes)) in policies.iter().cycle().zip(segments) {
        buffer.place(&mut pool, StreamOffset(*offset), bytes.as_bytes(), *policy, &mut |_| {});
    }
    text(&buffer, &pool)
}

#[test]
fn the_rules_of_policy_linux_hold_one_by_one() {
    for (rule, segments, held) in [
        ("in order wins", &[(2, "BBBB"), (0, "aaaa")][..], "aaaaBB"),
        ("what was in order stays", &[(0, "aaaa"), (2, "BBBB")], "aaaaBB"),
        ("a covered one is replaced", &[(3, "BB"), (2, "CCCC")], "CCCC"),
        ("with the same start, too", &[(3, "BB"), (3, "CCCC")], "CCCC"),
        ("one inside is dropped", &[(2, "BBBB"), (2, "CCC"), (3, "DDD")], "BBBB"),
        ("of two the lower wins", &[(4, "BBBB"), (2, "CCCC")], "CCCCBB"),
        ("whichever came first", &[(2, "BBBB"), (4, "CCCC")], "BBBBCC"),
        ("its own start counts", &[(2, "BBBB"), (4, "CCCC"), (5, "DDDDD")], "BBBBCCDD"),
        ("one behind is appended", &[(2, "BB"), (4, "CC"), (3, "DDDD")], "BBCCD"),
        ("one before is not", &[(4, "CC"), (2, "BB"), (3, "DDDD")], "BBDDD"),
        ("behind a run in order", &[(0, "aa"), (3, "BB"), (1, "cccc")], "aaccc"),
    ] {
        assert_eq!(held_under(&[OverlapPolicy::Linux], segments), held, "{rule}");
    }
}

#[test]
fn a_policy_that_changes_finds_the_runs_of_the_other() {
    use OverlapPolicy::{First, Last, Linux};
    let borders = [(4, "CC"), (2, "BB"), (3, "DDDD")];
    assert_eq!(held_under(&[First, First, Linux], &borders), "BBCCD");
    assert_eq!(held_under(&[Linux, Linux, First], &borders), "BBCCD");
    assert_eq!(held_under(&[Linux, Linux, Last], &borders), "BDDDD");
    let then_in_order = [(4, "CC"), (2, "BB"), (8, "EE"), (0, "aaa")];
    assert_eq!(held_under(&[Linux, Linux, Linux, First], &then_in_order), "aaBBCC EE");
}

#[test]
fn runs_that_touch_are_one_whatever_the_policy() {
    let (mut pool, mut buffer) = (pool_of(8), Reassembler::new(4 * BLOCK));
    for offset in [30, 20, 10] {
        let offset = StreamOffset(offset);
        buffer.place(&mut pool, offset, &[7; 12], OverlapPolicy::Linux, &mut |_| {});
    }
    let summary = buffer.summary(&pool);
    assert_eq!((summary.out_of_order_bytes, buffer.fragments(&pool).1), (32, 1));
    let placed = buffer.give_up_below(&mut pool, StreamOffset(25), &mut |_| {});
    assert_eq!((placed.gaps, placed.missing_bytes, buffer.next().0), (1, 10, 42));
    assert_eq!(buffer.summary(&pool).buffered_bytes, 32);
}

#[test]
fn a_full_list_of_ranges_and_an_exhausted_pool_refuse_together() {
    let mut pool = pool_of(64);
    let mut buffer = Reassembler::new(64 * BLOCK);
    // A segment before the range that begins with a block touches none but it.
    let others = (0..RANGES_MAX as u64 - 2).map(|n| 10 * BLOCK + n * 2);
    for offset in [0, 3 * BLOCK].into_iter().chain(others) {
        let offset = StreamOffset(offset);
        buffer.place(&mut pool, offset, b"a", OverlapPolicy::First, &mut |_| {});
    }
    while pool.take().is_some() {}
    let before = (buffer.summary(&pool), text(&buffer, &pool));
    assert_eq!(buffer.fragments(&pool).1, RANGES_MAX as u32);
    let (offset, bytes) = (StreamOffset(BLOCK - 100), vec![7; 2 * BLOCK as usize + 100]);
    let placed = buffer.place(&mut pool, offset, &bytes, OverlapPolicy::First, &mut |_| {});
    assert_eq!((placed.new_bytes, placed.refused_bytes), (0, bytes.len() as u64));
    assert_eq!((buffer.summary(&pool), text(&buffer, &pool)), before);
}

fn pool_of(blocks: u64) -> BufferPool {
    BufferPool::new(blocks * BLOCK).expect("memory")
}

#[test]
fn an_empty_buffer_costs_no_memory() {
    let pool = pool_of(4);
    assert_eq!(Reassembler::new(1 << 20).summary(&pool), BufferSummary::default());
    assert_eq!(pool.used_bytes(), 0);
}

#[test]
fn every_length_up_to_a_full_buffer_reads_back_at_every_wrap() {
    let mut pool = pool_of(16);
    for start in [0, 1, 2047, 2048, 5000] {
        for length in (1..=8192).step_by(61).chain([8191, 8192]) {
            let mut buffer = Reassembler::new(8192);
            buffer.give_up_below(&mut pool, StreamOffset(start), &mut |_| {});
            let bytes: Vec<u8> = (0..length).map(|n: usize| (n * 7) as u8).collect();
            buffer.place(&mut pool, StreamOffset(start), &bytes, OverlapPolicy::First, &mut |_| {});
            let mut out = vec![0; 9000];
            let peeked = buffer.peek(&pool, None, &mut out).expect("held");
            assert_eq!((peeked.offset.0, peeked.length), (start, length));
            assert_eq!(out[..length], bytes);
            buffer.release(&mut pool);
        }
    }
}

#[test]
fn more_ranges_than_allowed_refuse_the_newest_and_keep_the_rest() {
    let mut pool = pool_of(2048);
    let mut buffer = Reassembler::new(1 << 20);
    for n in 1..=RANGES_MAX as u64 {
        let placed =
            buffer.place(&mut pool, StreamOffset(n * 10), b"ab", OverlapPolicy::First, &mut |_| {});
        assert_eq!((placed.new_bytes, placed.refused_bytes), (2, 0));
    }
    let before = buffer.summary(&pool);
    let placed =
        buffer.place(&mut pool, StreamOffset(90_000), b"ab", OverlapPolicy::First, &mut |_| {});
    assert_eq!((placed.new_bytes, placed.refused_bytes), (0, 2));
    assert_eq!(buffer.summary(&pool), before);
    // One that touches a held range still finds room.
    let placed =
        buffer.place(&mut pool, StreamOffset(12), b"cd", OverlapPolicy::First, &mut |_| {});
    assert_eq!((placed.new_bytes, placed.refused_bytes), (2, 0));
}

#[test]
fn three_thousand_gaps_evict_nothing() {
    let mut pool = pool_of(1024);
    let mut buffer = Reassembler::new(1 << 20);
    let mut sums = Placed::default();
    for n in 0..3_000 {
        let offset = StreamOffset(n * 200);
        let given_up = buffer.give_up_below(&mut pool, offset, &mut |_| {});
        let placed = buffer.place(&mut pool, offset, &[7; 100], OverlapPolicy::First, &mut |_| {});
        sums.gaps += given_up.gaps;
        sums.overwritten_bytes += placed.overwritten_bytes;
        sums.refused_bytes += placed.refused_bytes;
    }
    assert_eq!((sums.gaps, sums.overwritten_bytes, sums.refused_bytes), (2_999, 0, 0));
    assert_eq!(buffer.summary(&pool).buffered_bytes, 300_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn a_list_of_ranges_in_many_blocks_equals_a_list_of_positions(
        odd in Just((0..RANGES_MAX as u64).collect::<Vec<_>>()).prop_shuffle(),
        even in Just((0..RANGES_MAX as u64).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut pool = pool_of(64);
        let mut buffer = Reassembler::new(8 * BLOCK);
        let mut held = vec![false; 2 * RANGES_MAX + 1];
        let positions = odd.into_iter().map(|n| 2 * n + 1).chain(even.into_iter().map(|n| 2 * n));
        for (step, at) in positions.enumerate() {
            let placed =
                buffer.place(&mut pool, StreamOffset(at), b"x", OverlapPolicy::First, &mut |_| {});
            prop_assert_eq!(placed.new_bytes, 1);
            held[at as usize] = true;
            if step % 300 == 0 {
                let known: Vec<_> = buffer
                    .ranges
                    .runs(&pool)
                    .flat_map(|run| [run.start, run.end])
                    .collect();
                let edges = (0..held.len())
                    .filter(|at| held[*at] != at.checked_sub(1).is_some_and(|before| held[before]));
                prop_assert!(known.into_iter().eq(edges.map(|at| at as u64)), "at step {}", step);
            }
        }
        prop_assert_eq!(buffer.next().0, 2 * RANGES_MAX as u64);
        buffer.release(&mut pool);
        prop_assert_eq!(pool.used_bytes(), 0);
    }
}

#[test]
fn ranges_behind_what_was_read_give_way_to_new_ones() {
    let mut pool = pool_of(2048);
    let mut buffer = Reassembler::new(1 << 20);
    for n in 1..=RANGES_MAX as u64 {
        buffer.place(&mut pool, StreamOffset(n * 10), b"ab", OverlapPolicy::First, &mut |_| {});
    }
    buffer.give_up_below(&mut pool, StreamOffset(2_000), &mut |_| {});
    let placed =
        buffer.place(&mut pool, StreamOffset(90_000), b"ab", OverlapPolicy::First, &mut |_| {});
    assert_eq!((placed.new_bytes, placed.overwritten_bytes), (2, 2));
    assert_eq!(placed.crowded_out_bytes, 2);
}

#[test]
fn an_exhausted_pool_refuses_bytes_and_loses_none_that_are_held() {
    let mut pool = pool_of(2);
    let mut buffer = Reassembler::new(4 * BLOCK);
    let placed =
        buffer.place(&mut pool, StreamOffset(0), &[7; 5000], OverlapPolicy::First, &mut |_| {});
    assert_eq!((placed.new_bytes, placed.refused_bytes), (4096, 904));
    assert_eq!(pool.free_bytes(), 0);
    let mut out = [0; 5000];
    assert_eq!(buffer.peek(&pool, None, &mut out).expect("held").length, 4096);
    buffer.release(&mut pool);
    assert_eq!(pool.used_bytes(), 0);
}

#[test]
fn a_large_buffer_grows_from_a_small_one_and_back_to_nothing() {
    let mut pool = BufferPool::new(160 << 20).expect("memory");
    let mut buffer = Reassembler::new(4 * BLOCK);
    let chunk: Vec<u8> = (0..1448).map(|n: usize| n as u8).collect();
    let mut at = 0;
    for capacity in [4 * BLOCK, 100 * BLOCK, 128 << 20] {
        buffer.resize(&mut pool, capacity, &mut |_| {}).expect("room");
        let end = capacity + 3 * BLOCK;
        while at < end {
            buffer.place(&mut pool, StreamOffset(at), &chunk, OverlapPolicy::First, &mut |_| {});
            at += 1448;
        }
        let summary = buffer.summary(&pool);
        assert_eq!(summary.buffered_bytes, capacity);
        let oldest = summary.oldest.0;
        let mut out = [0; 4000];
        let peeked = buffer.peek(&pool, None, &mut out).expect("held");
        assert_eq!(peeked.length, 4000);
        let expected = (0..4000).map(|n| ((oldest + n) % 1448) as u8);
        assert!(out.iter().copied().eq(expected), "at capacity {capacity}");
    }
    assert_eq!(buffer.resize(&mut pool, 0, &mut |_| {}), Some((128 << 20, Placed::default())));
    assert_eq!(pool.used_bytes(), 0);
    buffer.resize(&mut pool, 8 * BLOCK, &mut |_| {}).expect("room");
    let placed =
        buffer.place(&mut pool, StreamOffset(at), b"next", OverlapPolicy::First, &mut |_| {});
    assert_eq!(placed.new_bytes, 4);
    assert_eq!(buffer.bounds(&pool).0, StreamOffset(at));
}

#[test]
fn a_peek_tells_what_is_gone_and_what_is_not_there_yet() {
    let mut pool = pool_of(16);
    let mut buffer = Reassembler::new(2 * BLOCK);
    buffer.place(&mut pool, StreamOffset(0), &[1; 5000], OverlapPolicy::First, &mut |_| {});
    let mut out = [0; 16];
    let at = |offset| Some(StreamOffset(offset));
    assert_eq!(buffer.peek(&pool, at(903), &mut out), Err(OutOfBuffer::Overwritten));
    assert_eq!(buffer.peek(&pool, at(904), &mut out).map(|peeked| peeked.length), Ok(16));
    assert_eq!(buffer.peek(&pool, at(5000), &mut out).map(|peeked| peeked.length), Ok(0));
    assert_eq!(buffer.peek(&pool, at(5001), &mut out), Err(OutOfBuffer::NotYetReceived));
}

#[test]
fn below_what_was_acknowledged_what_is_held_stays_and_holes_are_filled() {
    let (mut pool, mut buffer) = (pool_of(8), Reassembler::new(4 * BLOCK));
    buffer.place(&mut pool, StreamOffset(0), b"aa", OverlapPolicy::Last, &mut |_| {});
    buffer.place(&mut pool, StreamOffset(4), b"aaaa", OverlapPolicy::Last, &mut |_| {});
    let rule = OverlapRule::Policy(OverlapPolicy::Last);
    let mut told = vec![];
    let mut tell = |fact| {
        if let BufferFact::Conflict { offset, length, rule, .. } = fact {
            told.push((offset, length, rule));
        }
    };
    let overlap = Overlap { rule, acknowledged: 6 };
    let placed = buffer.place(&mut pool, StreamOffset(0), b"bbbbbbbb", overlap, &mut tell);
    assert_eq!((placed.new_bytes, placed.conflicting_bytes), (2, 6));
    assert_eq!(text(&buffer, &pool), "aabbaabb");
    assert_eq!(told, [(0, 6, OverlapRule::Acknowledged), (6, 2, rule)]);
}

#[test]
fn a_conflict_shows_both_copies_and_is_told_once() {
    for policy in [OverlapPolicy::First, OverlapPolicy::Last] {
        let mut pool = pool_of(8);
        let mut buffer = Reassembler::new(4 * BLOCK);
        buffer.place(&mut pool, StreamOffset(2000), &[b'a'; 100], policy, &mut |_| {});
        let mut arriving = [b'a'; 100];
        (arriving[40], arriving[90]) = (b'x', b'y');
        let mut told = vec![];
        let placed = buffer
            .place(&mut pool, StreamOffset(2000), &arriving, policy, &mut |fact| told.push(fact));
        assert_eq!(placed.conflicting_bytes, 2);
        let (held, arrived) = (Head::of(&[b'a'; 32]), Head::of(&arriving[40..]));
        let rule = OverlapRule::Policy(policy);
        assert_eq!(told, [BufferFact::Conflict { offset: 2040, length: 51, held, arrived, rule }]);
    }
}

#[test]
fn the_example_of_the_type_is_true() {
    let mut pool = pool_of(4);
    let mut buffer = Reassembler::new(8);
    let steps: [(u64, &[u8], u64, &str); 5] = [
        (0, b"abcd", 4, "abcd"),
        (6, b"gh", 4, "abcd gh"),
        (4, b"ef", 8, "abcdefgh"),
        (8, b"ij", 10, "cdefghij"),
        (12, b"mn", 10, "ghij mn"),
    ];
    for (offset, bytes, next, held) in steps {
        let offset = StreamOffset(offset);
        buffer.place(&mut pool, offset, bytes, OverlapPolicy::First, &mut |_| {});
        assert_eq!((buffer.next().0, text(&buffer, &pool).as_str()), (next, held));
    }
    let placed = buffer.give_up_below(&mut pool, StreamOffset(12), &mut |_| {});
    assert_eq!((placed.gaps, placed.missing_bytes, buffer.next().0), (1, 2, 14));
    assert_eq!(text(&buffer, &pool), "ghij mn");
}

/// Gives up, and places, in this order, in a buffer of `capacity` bytes. Returns the gaps that the
/// window has moved past, and the summary.
fn after(capacity: u64, steps: &[(Option<u64>, u64, usize)]) -> (Gaps, BufferSummary) {
    let (mut pool, mut buffer) = (pool_of(8), Reassembler::new(capacity));
    let mut passed = Gaps::default();
    for (below, offset, length) in steps {
        let end = StreamOffset(below.unwrap_or_default());
        let given_up = buffer.give_up_below(&mut pool, end, &mut |_| {});
        let (offset, bytes) = (StreamOffset(*offset), vec![7; *length]);
        let placed = buffer.place(&mut pool, offset, &bytes, OverlapPolicy::First, &mut |_| {});
        passed.extend(given_up.passed);
        passed.extend(placed.passed);
    }
    (passed, buffer.summary(&pool))
}

#[test]
fn a_gap_that_is_filled_is_missing_no_longer() {
    let begun = (None, 0, 10);
    let missing = |steps: &[_]| {
        let (passed, summary) = after(100, steps);
        assert_eq!(passed, Gaps::default());
        (summary.gaps, summary.missing_bytes, summary.contiguous.0)
    };
    assert_eq!(missing(&[begun, (Some(30), 30, 10)]), (1, 20, 10));
    assert_eq!(missing(&[begun, (Some(30), 30, 10), (None, 10, 20)]), (0, 0, 40), "whole");
    assert_eq!(missing(&[begun, (Some(30), 30, 10), (None, 10, 5)]), (1, 15, 15), "its beginning");
    assert_eq!(missing(&[begun, (Some(30), 30, 10), (None, 25, 5)]), (1, 15, 10), "its end");
    assert_eq!(missing(&[begun, (Some(30), 30, 10), (None, 15, 5)]), (2, 15, 10), "its middle");
    assert_eq!(missing(&[begun, (Some(20), 30, 0), (Some(30), 30, 10)]), (1, 20, 10), "in two");
}

#[test]
fn a_gap_that_the_window_has_passed_stays_missing() {
    let begun = [(None, 0, 10), (Some(30), 30, 10)];
    let after = |capacity, more: &[_]| after(capacity, &[&begun[..], more].concat());
    let (passed, window) = after(25, &[]);
    assert_eq!(passed, Gaps { count: 1, bytes: 5, first: 10, end: 15 });
    assert_eq!((window.gaps, window.missing_bytes, window.contiguous.0), (1, 15, 15));
    // The rest of it comes, after all; what comes before the window does not count.
    let (passed, window) = after(25, &[(None, 10, 20)]);
    assert_eq!(passed, Gaps { count: 1, bytes: 5, first: 10, end: 15 });
    assert_eq!((window.gaps, window.missing_bytes, window.contiguous.0), (0, 0, 40));
    // The next bytes in order move the window past it.
    let (passed, window) = after(25, &[(None, 40, 10), (None, 50, 10)]);
    assert_eq!(passed, Gaps { count: 1, bytes: 20, first: 10, end: 30 });
    assert_eq!((window.gaps, window.overwritten_bytes), (0, 15));
}

/// The runs of bytes held, with a space between any two.
fn text(buffer: &Reassembler, pool: &BufferPool) -> String {
    let runs = buffer.fragments(pool).0.into_iter().map(|run| {
        let mut bytes = vec![0; run.length as usize];
        buffer.read(pool, run.offset.0, &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    runs.collect::<Vec<_>>().join(" ")
}
