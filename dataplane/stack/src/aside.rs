//! What is neither believed nor refused: kept aside until the receiver acknowledges.
//!
//! Bounded in number, for each flow and in total, and in bytes, which come from the pool. The table
//! is set-associative, like that of fragments: a keyed hash of the flow's slot picks a set, and in
//! a full set the oldest gives way, so that the cost of a segment is constant even in a flood.

use alloc::vec::Vec;

use arrayvec::ArrayVec;

use crate::{
    OverlapPolicy, SeqNum, Side, StreamOffset,
    flow::{Trait, Traits},
    limits::{ASIDE_BYTES_MAX, ASIDES_MAX},
    opening::Opening,
    reassembly::{BufferPool, Reassembler},
    wire::{Options, Segment},
};

/// Places in one set.
const WAYS: usize = 8;
const SETS: usize = ASIDES_MAX / WAYS;

/// Most stretches of payload that are kept of one side: one is the true one.
pub(crate) const STRETCHES_MAX: usize = 4;

/// Most FINs that are kept of one side.
const FINS_MAX: usize = 2;

/// Most SYNs, and most SYN/ACKs, that are kept of one side.
const OPENINGS_MAX: usize = 2;

/// Everything that is kept aside in one stack.
#[derive(Debug)]
pub(crate) struct Asides {
    hasher: ahash::RandomState,
    places: Vec<Option<Kept>>,
    /// Grows by one with everything that is kept.
    clock: u64,
    /// What gave way, until the flow tells it that has pushed it out.
    pushed_out: ArrayVec<PushedOut, WAYS>,
}

/// What is kept of one segment, or of several that follow each other.
#[derive(Debug)]
pub(crate) struct Kept {
    slot: u32,
    order: u64,
    pub(crate) from: Side,
    pub(crate) what: What,
    pub(crate) stretch: Stretch,
    pub(crate) standing: Standing,
    /// How many bytes of the payload, from the first on, the receiver has taken.
    pub(crate) taken: u32,
    /// Whether a FIN was told of that stands in the place of some of them.
    pub(crate) is_cut: bool,
    /// What the last segment of it has acknowledged, where that is known.
    pub(crate) ack: Option<SeqNum>,
    /// Its timestamp.
    pub(crate) stamp: Option<u32>,
    bytes: Reassembler,
}

/// Sequence numbers that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The first number: of the payload, or of the SYN; what a claim acknowledges.
    pub(crate) seq: SeqNum,
    /// Length of the payload.
    pub(crate) length: u32,
    /// Whether a FIN follows it.
    pub(crate) is_fin: bool,
}

impl Stretch {
    /// The number behind the payload.
    pub(crate) const fn end(self) -> SeqNum {
        self.seq.plus(self.length)
    }

    /// The number behind the payload and the FIN.
    pub(crate) fn next(self) -> SeqNum {
        self.end().plus(u32::from(self.is_fin))
    }

    /// Whether it is kept no longer if so many bytes more follow.
    pub(crate) fn is_too_long_with(self, bytes: u32) -> bool {
        u64::from(self.length) + u64::from(bytes) > ASIDE_BYTES_MAX
    }

    /// Whether an acknowledgement number acknowledges any of it, and nothing behind it.
    pub(crate) fn is_acknowledged_by(self, ack: SeqNum) -> bool {
        ack.distance_from(self.seq) > 0 && self.next().distance_from(ack) >= 0
    }
}

/// What is known of something that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The receiver has not sent anything since.
    Doubtful,
    /// Likewise, and the monitor may have missed what would make it certain.
    MaybeGenuine,
    /// The receiver has sent something since.
    Answered,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Payload, or a FIN, or both, that the receiver may not take.
    Data,
    /// A FIN that the receiver takes if its stream reaches it before another one.
    Fin,
    /// A SYN that the connection does not explain.
    Syn(Opening),
    /// A SYN/ACK that the connection does not explain.
    SynAck(Opening),
    /// That a side has acknowledged what was not captured, and the window that it granted then.
    Claim(u32),
}

impl What {
    /// Whether both are of one kind.
    fn is_like(self, other: Self) -> bool {
        core::mem::discriminant(&self) == core::mem::discriminant(&other)
    }

    const fn syn(self) -> Option<Opening> {
        if let Self::Syn(opening) = self { Some(opening) } else { None }
    }

    const fn syn_ack(self) -> Option<Opening> {
        if let Self::SynAck(opening) = self { Some(opening) } else { None }
    }

    const fn places_max(self) -> usize {
        match self {
            Self::Data => STRETCHES_MAX,
            Self::Fin => FINS_MAX,
            Self::Syn(_) | Self::SynAck(_) => OPENINGS_MAX,
            Self::Claim(_) => 1,
        }
    }
}

/// What is kept of one flow.
#[derive(Debug)]
pub(crate) struct Aside<'a> {
    pub(crate) table: &'a mut Asides,
    pub(crate) slot: u32,
    /// Whether anything is kept: [`Trait::HasAside`].
    pub(crate) traits: &'a Traits,
}

impl Asides {
    /// Reserves the places. `None` when there is not enough memory.
    pub(crate) fn new(seed: u64) -> Option<Self> {
        let mut places = Vec::new();
        places.try_reserve_exact(ASIDES_MAX).ok()?;
        places.resize_with(ASIDES_MAX, || None);
        let hasher = ahash::RandomState::with_seeds(!seed, seed, seed.rotate_left(29), 2);
        Some(Self { hasher, places, clock: 0, pushed_out: ArrayVec::new() })
    }

    /// Drops what is kept of the flow in a slot.
    pub(crate) fn clear(&mut self, slot: u32, pool: &mut BufferPool) {
        let set = self.set_of(slot);
        for place in &mut self.places[set..set + WAYS] {
            if place.as_ref().is_some_and(|kept| kept.slot == slot) {
                free(place, pool);
            }
        }
    }

    /// Frees the kept bytes of what one side of the flow in a slot has sent. What else is known of
    /// them stays: it still proves where the connection goes on.
    pub(crate) fn discard_bytes(&mut self, slot: u32, from: Side, pool: &mut BufferPool) {
        let set = self.set_of(slot);
        for kept in self.places[set..set + WAYS].iter_mut().flatten() {
            if kept.slot == slot && kept.from == from {
                kept.bytes.release(pool);
            }
        }
    }

    fn set_of(&self, slot: u32) -> usize {
        let hash = self.hasher.hash_one(slot) >> 32;
        usize::try_from(hash).unwrap_or_default() % SETS * WAYS
    }
}

fn free(place: &mut Option<Kept>, pool: &mut BufferPool) {
    if let Some(mut kept) = place.take() {
        kept.bytes.release(pool);
    }
}

/// Payload, or a FIN, that gave way to something newer before anything decided about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PushedOut {
    pub(crate) slot: u32,
    pub(crate) from: Side,
}

/// A place in [`Asides`].
pub(crate) type Place = usize;

impl Aside<'_> {
    /// Whether anything is kept.
    #[inline]
    pub(crate) const fn is_used(&self) -> bool {
        self.traits.has(Trait::HasAside)
    }

    /// The places of what is kept of one side, the oldest first.
    #[inline]
    pub(crate) fn of(&self, from: Side) -> ArrayVec<Place, WAYS> {
        if self.is_used() { self.places_of(from) } else { ArrayVec::new() }
    }

    #[cold]
    fn places_of(&self, from: Side) -> ArrayVec<Place, WAYS> {
        let set = self.table.set_of(self.slot);
        let is_mine = |place: &Place| {
            self.get(*place).is_some_and(|kept| kept.slot == self.slot && kept.from == from)
        };
        let mut mine: ArrayVec<Place, WAYS> = (set..set + WAYS).filter(is_mine).collect();
        mine.sort_unstable_by_key(|place| self.get(*place).map(|kept| kept.order));
        mine
    }

    /// What is kept in a place.
    pub(crate) fn get(&self, place: Place) -> Option<&Kept> {
        self.table.places.get(place)?.as_ref()
    }

    /// What is kept in a place.
    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut Kept> {
        self.table.places.get_mut(place)?.as_mut()
    }

    /// The first thing that is kept of a side and meets a condition.
    pub(crate) fn find(&self, from: Side, meets: impl Fn(&Kept) -> bool) -> Option<Place> {
        self.of(from).into_iter().find(|place| self.get(*place).is_some_and(&meets))
    }

    /// What is kept of the payload of a side, or of its FINs, if an acknowledgement number ends
    /// within it.
    pub(crate) fn acknowledged(&self, from: Side, ack: SeqNum) -> Option<&Kept> {
        let is_it = |kept: &Kept, what| kept.what == what && kept.stretch.is_acknowledged_by(ack);
        let place = self
            .find(from, |kept| is_it(kept, What::Data))
            .or_else(|| self.find(from, |kept| is_it(kept, What::Fin)))?;
        self.get(place)
    }

    /// The kept SYN of a side behind which this number comes.
    pub(crate) fn syn_before(&self, from: Side, number: SeqNum) -> Option<Opening> {
        self.opening_before(from, number, What::syn)
    }

    /// The kept SYN/ACK of a side behind which this number comes.
    pub(crate) fn syn_ack_before(&self, from: Side, number: SeqNum) -> Option<Opening> {
        self.opening_before(from, number, What::syn_ack)
    }

    fn opening_before(
        &self,
        from: Side,
        number: SeqNum,
        opening: impl Fn(What) -> Option<Opening>,
    ) -> Option<Opening> {
        let kept = self.of(from).into_iter().filter_map(|place| self.get(place));
        kept.filter_map(|kept| opening(kept.what)).find(|opening| opening.seq.plus(1) == number)
    }

    /// Copies the kept bytes from a position on, up to one that was not captured or the end of a
    /// block. Returns how many.
    pub(crate) fn copy(&self, place: Place, at: u32, out: &mut [u8], pool: &BufferPool) -> usize {
        let piece = |kept: &Kept| {
            let piece = kept.bytes.piece_at(pool, StreamOffset(at.into()))?;
            let length = piece.len().min(out.len());
            out[..length].copy_from_slice(&piece[..length]);
            Some(length)
        };
        self.get(place).and_then(piece).unwrap_or(0)
    }

    /// Forgets that anything is kept where others have taken all its places.
    pub(crate) fn settle(&mut self) {
        if self.mine().next().is_none() {
            self.traits.clear(Trait::HasAside);
        }
    }

    /// Drops what is kept in a place.
    pub(crate) fn drop(&mut self, place: Place, pool: &mut BufferPool) {
        free(&mut self.table.places[place], pool);
        self.settle();
    }

    /// Drops everything that is kept of a side and meets a condition.
    pub(crate) fn drop_all(
        &mut self,
        from: Side,
        pool: &mut BufferPool,
        meets: impl Fn(What) -> bool,
    ) {
        for place in self.of(from) {
            if self.get(place).is_some_and(|kept| meets(kept.what)) {
                self.drop(place, pool);
            }
        }
    }

    /// Keeps a stretch of payload of `segment`, and those `bytes` of it that were captured and are
    /// wanted. Payload that follows what is kept already is added to it. `None`: there is no room
    /// for it.
    pub(crate) fn keep_data(
        &mut self,
        pool: &mut BufferPool,
        from: Side,
        stretch: Stretch,
        segment: &Segment<'_>,
        bytes: &[u8],
        standing: Standing,
    ) -> Option<()> {
        let Stretch { seq, length, is_fin } = stretch;
        let at = |distance: i32| StreamOffset(distance.unsigned_abs().into());
        // From within it, or from its end, on.
        let continues = |kept: &Kept| {
            let before = seq.distance_from(kept.stretch.seq);
            let common = kept.stretch.end().distance_from(seq);
            let repeated = bytes.get(..usize::try_from(common).unwrap_or_default());
            kept.what == What::Data
                && !kept.stretch.is_fin
                && before >= 0
                && common >= 0
                && stretch.end().distance_from(kept.stretch.end()) >= 0
                && kept.bytes.holds(pool, at(before), repeated.unwrap_or(bytes))
        };
        let repeats = |kept: &Kept| {
            let before = seq.distance_from(kept.stretch.seq);
            let after = kept.stretch.end().distance_from(stretch.end());
            kept.what == What::Data
                && before >= 0
                && after >= 0
                && kept.stretch.is_fin == is_fin
                && (!is_fin || after == 0)
                && kept.bytes.holds(pool, at(before), bytes)
        };
        if let Some(place) = self.find(from, repeats) {
            if let Some(kept) = &mut self.table.places[place] {
                kept.standing = standing;
            }
            return Some(());
        }
        let place = match self.find(from, continues) {
            Some(place) => place,
            None => self.place(pool, from, What::Data, seq),
        };
        let Some(kept) = &mut self.table.places[place] else { return None };
        let common = kept.stretch.end().distance_from(seq).unsigned_abs();
        let more = length.saturating_sub(common);
        if kept.stretch.is_too_long_with(more) {
            return None;
        }
        let at = StreamOffset(kept.stretch.length.into());
        let bytes = bytes.get(usize::try_from(common).unwrap_or(usize::MAX)..).unwrap_or_default();
        let placed = kept.bytes.place(pool, at, bytes, OverlapPolicy::First, &mut |_| {});
        if placed.refused_bytes > 0 {
            return None;
        }
        kept.stretch = Stretch { length: kept.stretch.length + more, is_fin, ..kept.stretch };
        (kept.standing, kept.ack) = (standing, Some(segment.ack));
        kept.stamp = Options::parse(segment.options).stamp.map(|stamp| stamp.value);
        Some(())
    }

    /// Keeps something without payload; of copies, the last one.
    pub(crate) fn keep(&mut self, pool: &mut BufferPool, from: Side, what: What, seq: SeqNum) {
        let is_copy = |kept: &Kept| kept.what.is_like(what) && kept.stretch.seq == seq;
        let place = match self.find(from, is_copy) {
            Some(place) => place,
            None => self.place(pool, from, what, seq),
        };
        if let Some(kept) = &mut self.table.places[place] {
            kept.what = what;
        }
    }

    /// Notes that a side has sent something: an answer to what is kept of its peer.
    pub(crate) fn note_answer(&mut self, by: Side) {
        for kept in self.mine().filter(|kept| kept.from == by.peer()) {
            kept.standing = Standing::Answered;
        }
    }

    /// Everything that is kept of the flow, in no order.
    fn mine(&mut self) -> impl Iterator<Item = &mut Kept> {
        let (set, slot) = (self.table.set_of(self.slot), self.slot);
        let places = &mut self.table.places[set..set + WAYS];
        places.iter_mut().flatten().filter(move |kept| kept.slot == slot)
    }

    /// What gave way since the last call, of this flow and of others.
    pub(crate) fn take_pushed_out(&mut self) -> ArrayVec<PushedOut, WAYS> {
        self.table.pushed_out.take()
    }

    fn push_out(&mut self, place: Place, pool: &mut BufferPool) {
        let Asides { places, pushed_out, .. } = &mut *self.table;
        if let Some(Kept { slot, from, what: What::Data, .. }) = places[place]
            && !pushed_out.is_full()
        {
            pushed_out.push(PushedOut { slot, from });
        }
        free(&mut places[place], pool);
    }

    /// A place for something: an empty one, that of the oldest of its kind where the flow has as
    /// many as it may, or that of the oldest in the set.
    fn place(&mut self, pool: &mut BufferPool, from: Side, what: What, seq: SeqNum) -> Place {
        let is_alike = |place: &Place| self.get(*place).is_some_and(|kept| kept.what.is_like(what));
        let alike: ArrayVec<Place, WAYS> = self.of(from).into_iter().filter(is_alike).collect();
        let set = self.table.set_of(self.slot);
        let age = |place: &Place| self.get(*place).map_or(0, |kept| kept.order);
        let oldest = || (set..set + WAYS).min_by_key(age).unwrap_or(set);
        let place = match alike.first() {
            Some(first) if alike.len() >= what.places_max() => *first,
            _ => oldest(),
        };
        self.push_out(place, pool);
        self.table.clock += 1;
        self.table.places[place] = Some(Kept {
            slot: self.slot,
            order: self.table.clock,
            from,
            what,
            stretch: Stretch { seq, length: 0, is_fin: what == What::Fin },
            standing: Standing::Doubtful,
            taken: 0,
            is_cut: false,
            ack: None,
            stamp: None,
            bytes: Reassembler::new(ASIDE_BYTES_MAX),
        });
        self.traits.set(Trait::HasAside);
        place
    }
}
