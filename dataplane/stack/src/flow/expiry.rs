//! A timer wheel over the slots of the flow table.
//!
//! ```text
//!  bucket   t      t+1    t+2            t+4095
//!          [ ]    [ ]─▶slot─▶slot  ...  [ ]─▶slot
//!           ▲ hand
//! ```
//!
//! Packets do not touch the wheel: a flow stays where its deadline was when it was filed, and is
//! filed again if the deadline has moved when the hand comes by. Only a deadline that comes
//! nearer (a flow that begins to close) is filed anew at once. Filing, removing and one step of
//! the hand each take constant time. Deadlines beyond the wheel's span wait at its far end.

use super::rings::Rings;
use crate::Instant;

const BUCKETS: u32 = 4096;

/// Nanoseconds of one bucket: 2^24, about 17 ms; the whole wheel spans 69 s.
const TICK_SHIFT: u32 = 24;

/// The wheel. Slots are named by their index in the flow table.
#[derive(Debug)]
pub(crate) struct TimerWheel {
    buckets: Rings,
    /// The tick whose bucket is examined next.
    hand: u64,
}

impl TimerWheel {
    /// Bytes that a slot costs.
    pub(crate) const SLOT_BYTES: usize = Rings::SLOT_BYTES;

    /// Reserves room for `slots` slots. `None` when there is not enough memory.
    pub(crate) fn new(slots: u32) -> Option<Self> {
        Some(Self { buckets: Rings::new(BUCKETS, slots)?, hand: 0 })
    }

    /// See [`mos_memory::Slab::populate`].
    pub(crate) fn populate(&self) -> Option<()> {
        self.buckets.populate()
    }

    /// Prefetches the links of a slot.
    pub(crate) fn prefetch(&self, slot: u32) {
        self.buckets.prefetch(slot);
    }

    /// Files a slot under its deadline, wherever it was before.
    pub(crate) fn file(&mut self, slot: u32, deadline: Instant) {
        self.buckets.enter(slot, bucket_of(self.tick_of(deadline)));
    }

    /// Files a slot under its deadline, unless the hand finds it before that anyway.
    pub(crate) fn hasten(&mut self, slot: u32, deadline: Instant) {
        let due = self.tick_of(deadline) - self.hand;
        // The distance of a bucket from the hand, in ticks, is its time.
        let way = |bucket: u32| u64::from(bucket.wrapping_sub(bucket_of(self.hand)) % BUCKETS);
        if self.buckets.list_of(slot).is_none_or(|bucket| way(bucket) > due) {
            self.file(slot, deadline);
        }
    }

    /// Takes a slot off the wheel.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.buckets.leave(slot);
    }

    /// The tick after the deadline's: when the hand reaches it, the deadline has passed.
    fn tick_of(&self, deadline: Instant) -> u64 {
        let due = (deadline.as_nanos() >> TICK_SHIFT).saturating_add(1);
        due.clamp(self.hand, self.hand + u64::from(BUCKETS - 1))
    }

    /// Removes and returns the next slot that may be due by `now`. Moves the hand over at most
    /// `steps` empty buckets, and subtracts them from `steps`.
    pub(crate) fn pop(&mut self, now: Instant, steps: &mut u32) -> Option<u32> {
        let today = now.as_nanos() >> TICK_SHIFT;
        if self.hand > today.saturating_add(u64::from(BUCKETS)) {
            // Time was set back: the next turn visits every bucket, and no slot too early.
            self.hand = today;
        }
        // After a leap of more than one turn every bucket is due, and one turn visits them all.
        self.hand = self.hand.max(today.saturating_sub(u64::from(BUCKETS - 1)));
        while self.hand <= today {
            if let Some(slot) = self.buckets.first(bucket_of(self.hand)) {
                self.remove(slot);
                return Some(slot);
            }
            if *steps == 0 {
                return None;
            }
            *steps -= 1;
            self.hand += 1;
        }
        None
    }
}

#[expect(clippy::cast_possible_truncation, reason = "less than BUCKETS")]
const fn bucket_of(tick: u64) -> u32 {
    (tick % BUCKETS as u64) as u32
}
