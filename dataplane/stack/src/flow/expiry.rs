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

use alloc::vec::Vec;

use mos_memory::{Slab, prefetch};

use crate::Instant;

const BUCKETS: u32 = 4096;

/// Nanoseconds of one bucket: 2^24, about 17 ms; the whole wheel spans 69 s.
const TICK_SHIFT: u32 = 24;

const NONE: u32 = u32::MAX;

/// The wheel. Slots are named by their index in the flow table.
#[derive(Debug)]
pub(crate) struct TimerWheel {
    heads: Vec<u32>,
    links: Slab<Link>,
    /// The tick whose bucket is looked at next.
    hand: u64,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
    /// [`NONE`] while the slot is not on the wheel.
    bucket: u32,
}

impl TimerWheel {
    /// Bytes that a slot costs.
    pub(crate) const SLOT_BYTES: usize = size_of::<Link>();

    /// Reserves room for `slots` slots. `None` when there is not enough memory.
    pub(crate) fn new(slots: u32) -> Option<Self> {
        let links = Slab::with_capacity(usize::try_from(slots).ok()?)?;
        Some(Self { heads: alloc::vec![NONE; index(BUCKETS)], links, hand: 0 })
    }

    /// See [`Slab::populate`].
    pub(crate) fn populate(&self) -> Option<()> {
        self.links.populate()
    }

    /// Asks the cache for what is known of a slot.
    pub(crate) fn approach(&self, slot: u32) {
        if let Some(link) = self.links.get(index(slot)) {
            prefetch(link);
        }
    }

    /// Files a slot under its deadline, wherever it was before.
    pub(crate) fn file(&mut self, slot: u32, deadline: Instant) {
        self.remove(slot);
        self.links.fill_to(index(slot) + 1, Link { previous: NONE, next: NONE, bucket: NONE });
        let bucket = bucket_of(self.tick_of(deadline));
        let next = self.heads[index(bucket)];
        self.links[index(slot)] = Link { previous: NONE, next, bucket };
        if next != NONE {
            self.links[index(next)].previous = slot;
        }
        self.heads[index(bucket)] = slot;
    }

    /// Files a slot under its deadline, unless the hand finds it before that anyway.
    pub(crate) fn hasten(&mut self, slot: u32, deadline: Instant) {
        let due = self.tick_of(deadline) - self.hand;
        let filed = self.links.get(index(slot)).map_or(NONE, |link| link.bucket);
        // Buckets are fewer than a wheel's turn: the way from the hand to one is its time.
        let ahead = u64::from(filed.wrapping_sub(bucket_of(self.hand)) % BUCKETS);
        if filed == NONE || ahead > due {
            self.file(slot, deadline);
        }
    }

    /// Takes a slot off the wheel.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(link) = self.links.get_mut(index(slot)) else { return };
        let Link { previous, next, bucket } = *link;
        if bucket == NONE {
            return;
        }
        link.bucket = NONE;
        if previous == NONE {
            self.heads[index(bucket)] = next;
        } else {
            self.links[index(previous)].next = next;
        }
        if next != NONE {
            self.links[index(next)].previous = previous;
        }
    }

    /// The tick behind the deadline's: when the hand gets there, the deadline has passed.
    fn tick_of(&self, deadline: Instant) -> u64 {
        let due = (deadline.as_nanos() >> TICK_SHIFT).saturating_add(1);
        due.clamp(self.hand, self.hand + u64::from(BUCKETS - 1))
    }

    /// Takes the next slot that may be due by `now` off the wheel, moving the hand over at most
    /// `steps` empty buckets, which it counts down.
    pub(crate) fn pop(&mut self, now: Instant, steps: &mut u32) -> Option<u32> {
        let today = now.as_nanos() >> TICK_SHIFT;
        // After a leap of more than a turn every bucket is due; one turn sees them all.
        self.hand = self.hand.max(today.saturating_sub(u64::from(BUCKETS - 1)));
        while self.hand <= today {
            let slot = self.heads[index(bucket_of(self.hand))];
            if slot != NONE {
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

const fn index(slot: u32) -> usize {
    slot as usize
}
