//! Which slot a tag has: an open-addressed hash table of buckets, each a line of the cache.
//!
//! ```text
//!  bucket   [ 8 tags | 8 slots ]─▶ where it is full, the next one
//! ```
//!
//! A bucket is searched without branches, because the place of a tag in it is not predictable.
//! Buckets are at most half full on average, so that nearly every lookup reads one line. Removal
//! fills the hole with an entry that overflowed past it: there are no tombstones, and the table is
//! never rehashed.

use mos_memory::{FEW, Slab, find_word, prefetch};

/// Entries of a bucket.
const ENTRIES: usize = FEW;

/// Most buckets that a lookup reads. At half load, a keyed hash makes longer probes practically
/// impossible.
const PROBE_MAX: usize = 16;

/// Keyed hash with the top bit set, so that 0 can mean "empty".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tag(u32);

impl Tag {
    /// The tag of a hash.
    #[inline]
    pub(super) const fn new(hash: u64) -> Self {
        Self((hash >> 32) as u32 | 1 << 31)
    }
}

/// Tags and slots of a bucket. The first one begins a page, so that each is one line.
type Bucket = [[u32; ENTRIES]; 2];

/// The index of a flow table.
#[derive(Debug)]
pub(super) struct Index {
    buckets: Slab<Bucket>,
    mask: usize,
}

/// A place for an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    bucket: usize,
    entry: usize,
}

impl Index {
    /// Most bytes that an entry costs: the number of buckets is rounded up to a power of two, and
    /// they have room for two entries per slot.
    pub(super) const ENTRY_BYTES_MAX: usize = 4 * size_of::<Bucket>() / ENTRIES;

    /// An index for `slots` slots. `None` when there is not enough memory.
    pub(super) fn new(slots: u32) -> Option<Self> {
        let entries = usize::try_from(slots).ok()?.checked_mul(2)?;
        let buckets = entries.div_ceil(ENTRIES).next_power_of_two();
        Some(Self { buckets: Slab::zeroed(buckets)?, mask: buckets - 1 })
    }

    /// See [`Slab::populate`].
    pub(super) fn populate(&self) -> Option<()> {
        self.buckets.populate()
    }

    /// Prefetches the bucket where a tag belongs.
    #[inline]
    pub(super) fn prefetch(&self, tag: Tag) {
        if let Some(bucket) = self.buckets.get(self.home(tag)) {
            prefetch(bucket);
        }
    }

    /// The first slot with this tag for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, tag: Tag, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.place_of(tag, is_it).map(|Place { bucket, entry }| self.buckets[bucket][1][entry])
    }

    #[inline]
    fn place_of(&self, tag: Tag, is_it: impl Fn(u32) -> bool) -> Option<Place> {
        let mut bucket = self.home(tag);
        for _ in 0..PROBE_MAX {
            let [tags, slots] = &self.buckets[bucket];
            if let Some(entry) = entries_with(tags, tag).find(|entry| is_it(slots[*entry])) {
                return Some(Place { bucket, entry });
            }
            if !is_full(tags) {
                return None;
            }
            bucket = self.next(bucket);
        }
        None
    }

    /// The place for a new entry with this tag. `None` if there is no room.
    pub(super) fn vacancy(&self, tag: Tag) -> Option<Place> {
        let mut bucket = self.home(tag);
        for _ in 0..PROBE_MAX {
            let [tags, _] = &self.buckets[bucket];
            if let Some(entry) = entries_with(tags, Tag::default()).next() {
                return Some(Place { bucket, entry });
            }
            bucket = self.next(bucket);
        }
        None
    }

    /// Enters a slot where there was a vacancy.
    pub(super) fn enter(&mut self, place: Place, tag: Tag, slot: u32) {
        let [tags, slots] = &mut self.buckets[place.bucket];
        (tags[place.entry], slots[place.entry]) = (tag.0, slot);
    }

    /// Removes the entry of a slot.
    pub(super) fn remove(&mut self, tag: Tag, slot: u32) {
        let Some(mut hole) = self.place_of(tag, |other| other == slot) else {
            debug_assert!(false, "a live slot is in the index");
            return;
        };
        let mut bucket = hole.bucket;
        while is_full(&self.buckets[bucket][0]) {
            bucket = self.next(bucket);
            let [tags, slots] = self.buckets[bucket];
            // Entries that overflowed past the hole have their home at it or before it.
            let distance = |from: usize| bucket.wrapping_sub(from) & self.mask;
            let passed =
                |tag: &u32| *tag != 0 && distance(self.home(Tag(*tag))) >= distance(hole.bucket);
            if let Some(entry) = tags.iter().position(passed) {
                self.enter(hole, Tag(tags[entry]), slots[entry]);
                hole = Place { bucket, entry };
            }
        }
        self.enter(hole, Tag::default(), 0);
    }

    /// The bucket where a tag belongs.
    #[inline]
    pub(super) const fn home(&self, tag: Tag) -> usize {
        tag.0 as usize & self.mask
    }

    const fn next(&self, bucket: usize) -> usize {
        (bucket + 1) & self.mask
    }
}

/// Entries of a bucket, one bit for each.
struct Entries(u32);

impl Iterator for Entries {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let entry = (self.0 != 0).then_some(self.0.trailing_zeros() as usize % ENTRIES)?;
        self.0 &= self.0 - 1;
        Some(entry)
    }
}

/// The entries with a tag.
#[inline]
fn entries_with(tags: &[u32; ENTRIES], tag: Tag) -> Entries {
    Entries(find_word(tags, tag.0))
}

/// Whether an entry that belongs here may have overflowed into the next bucket.
#[inline]
fn is_full(tags: &[u32; ENTRIES]) -> bool {
    entries_with(tags, Tag::default()).next().is_none()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SLOTS: u32 = 24;

    fn tag(n: u32) -> Tag {
        Tag::new(u64::from(n) << 32)
    }

    fn find(index: &Index, n: u32, slot: u32) -> Option<u32> {
        index.find(tag(n), |other| other == slot)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Nearly all tags belong to two of eight buckets, which overflow; some are the same.
        #[test]
        fn the_index_equals_a_map(
            ops in prop::collection::vec(
                (0..SLOTS, prop_oneof![6..8u32, 14..16u32, 0..16u32]),
                0..120,
            ),
        ) {
            let mut index = Index::new(SLOTS).expect("memory");
            let mut model = BTreeMap::new();
            for (slot, n) in ops {
                if let Some(n) = model.remove(&slot) {
                    index.remove(tag(n), slot);
                } else {
                    let vacancy = index.vacancy(tag(n)).expect("room");
                    index.enter(vacancy, tag(n), slot);
                    model.insert(slot, n);
                }
                for slot in 0..SLOTS {
                    for n in 0..16 {
                        let expected = (model.get(&slot) == Some(&n)).then_some(slot);
                        prop_assert_eq!(find(&index, n, slot), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn an_index_that_is_too_crowded_refuses() {
        let mut index = Index::new(1024).expect("memory");
        let room = PROBE_MAX * ENTRIES;
        for slot in 0..1024 {
            let vacancy = index.vacancy(tag(5));
            assert_eq!(vacancy.is_some(), (slot as usize) < room);
            if let Some(vacancy) = vacancy {
                index.enter(vacancy, tag(5), slot);
            }
        }
        index.remove(tag(5), 0);
        assert!(index.vacancy(tag(5)).is_some());
        assert_eq!(find(&index, 5, 127), Some(127));
    }
}
