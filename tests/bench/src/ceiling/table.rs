//! An open-addressed table of slots: buckets of one cache line, with tags, so that a probe nearly
//! always costs one line, and a removal leaves no tombstone.
//!
//! ```text
//! word 0, 1: eight tags of 16 bits, 0 = empty    word 2 to 5: their slots
//! word 6: entries that found this bucket full and went on to the next
//! ```

use std::io;

use crate::memory::{LINE_BYTES, Line, Pages};

/// Entries of a bucket.
const ENTRIES: usize = 8;

/// A word of four tags of 1.
const ONES: u64 = 0x0001_0001_0001_0001;
/// The highest bit of each of the four tags.
const HIGHS: u64 = 0x8000_8000_8000_8000;
/// The word that counts the entries that found the bucket full.
const PASSED: usize = 6;

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    buckets: Pages,
    mask: usize,
}

/// Where a key belongs: its bucket and its tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe {
    bucket: usize,
    tag: u16,
}

impl Table {
    /// A table that is at most half full with `entries`.
    pub(super) fn new(entries: u32) -> io::Result<Self> {
        let buckets = (2 * entries as usize).div_ceil(ENTRIES).next_power_of_two();
        Ok(Self { buckets: Pages::new(buckets * LINE_BYTES)?, mask: buckets - 1 })
    }

    /// Removes all entries.
    pub(super) fn clear(&mut self) {
        self.buckets.bytes_mut().fill(0);
    }

    /// Where a key belongs.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "some bits of the hash are wanted")]
    pub(super) const fn probe(&self, addresses: u64, ports: u64) -> Probe {
        // Two folded multiplications with fixed random factors.
        let first = fold(addresses ^ 0x2d35_8dcc_aa6c_78a5, ports ^ 0x8bb8_4b93_962e_acc9);
        let hash = fold(first ^ 0x4b33_a62e_d433_d4a3, 0x4d5a_2da5_1de1_aa47);
        Probe { bucket: hash as usize & self.mask, tag: (hash >> 48) as u16 | 1 }
    }

    /// The line that a probe reads first.
    #[inline]
    pub(super) fn bucket(&self, probe: Probe) -> &Line {
        &self.buckets.lines()[probe.bucket]
    }

    /// The first slot with the tag of `probe` in its home bucket.
    #[inline]
    pub(super) fn first(&self, probe: Probe) -> Option<u32> {
        let bucket = self.bucket(probe);
        let entry = matches(bucket, probe.tag).next()?;
        Some(slot(bucket, entry))
    }

    /// The slot with the tag of `probe` for which `is_it` holds, in whichever bucket it is.
    pub(super) fn find(&self, probe: Probe, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let buckets = self.buckets.lines();
        let mut at = probe.bucket;
        for _ in 0..buckets.len() {
            let bucket = &buckets[at];
            let mut slots = matches(bucket, probe.tag).map(|entry| slot(bucket, entry));
            if let Some(found) = slots.find(|slot| is_it(*slot)) {
                return Some(found);
            }
            if bucket[PASSED] == 0 {
                return None;
            }
            at = (at + 1) & self.mask;
        }
        None
    }

    /// Inserts a slot. The table has room, because it is at most half full.
    pub(super) fn insert(&mut self, probe: Probe, slot: u32) {
        let buckets = self.buckets.lines_mut();
        let mut at = probe.bucket;
        loop {
            let bucket = &mut buckets[at];
            if let Some(entry) = matches(bucket, 0).next() {
                set(bucket, entry, probe.tag, slot);
                return;
            }
            bucket[PASSED] += 1;
            at = (at + 1) & self.mask;
        }
    }

    /// Removes a slot that was inserted with this probe.
    pub(super) fn remove(&mut self, probe: Probe, gone: u32) {
        let buckets = self.buckets.lines_mut();
        let mut at = probe.bucket;
        loop {
            let bucket = &mut buckets[at];
            let entry = matches(bucket, probe.tag).find(|entry| slot(bucket, *entry) == gone);
            if let Some(entry) = entry {
                set(bucket, entry, 0, 0);
                return;
            }
            bucket[PASSED] -= 1;
            at = (at + 1) & self.mask;
        }
    }
}

/// A multiplication whose upper half is folded into the lower.
#[expect(clippy::cast_possible_truncation, reason = "both halves are wanted")]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// The entries with this tag. After a match, an entry whose tag differs in the lowest bit may be
/// returned by mistake, so the caller compares the key or the slot.
#[inline]
fn matches(bucket: &Line, tag: u16) -> impl Iterator<Item = usize> + use<> {
    let wanted = u64::from(tag) * ONES;
    let hits = |word: u64| {
        let zero_where_equal = word ^ wanted;
        zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & HIGHS
    };
    let mut left = u128::from(hits(bucket[1])) << 64 | u128::from(hits(bucket[0]));
    std::iter::from_fn(move || {
        let bit = left.trailing_zeros() as usize;
        left &= left.wrapping_sub(1);
        (bit < 128).then_some(bit / 16)
    })
}

#[expect(clippy::cast_possible_truncation, reason = "the half that the shift brought down")]
fn slot(bucket: &Line, entry: usize) -> u32 {
    (bucket[2 + entry / 2] >> (32 * (entry % 2))) as u32
}

fn set(bucket: &mut Line, entry: usize, tag: u16, slot: u32) {
    let shift = 16 * (entry % 4);
    let tags = &mut bucket[entry / 4];
    *tags = *tags & !(0xffff << shift) | u64::from(tag) << shift;
    let shift = 32 * (entry % 2);
    let slots = &mut bucket[2 + entry / 2];
    *slots = *slots & !(0xffff_ffff << shift) | u64::from(slot) << shift;
}
