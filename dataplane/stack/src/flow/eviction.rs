//! Queues of the flows that are evicted when room is needed: those that were never established, and
//! those that have ended and only absorb stray packets. The oldest goes first, in constant time.

use super::rings::Rings;

/// Why a flow may be evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evictable {
    /// Its handshake is not complete.
    HalfOpen,
    /// It has ended.
    Ended,
}

impl Evictable {
    /// The number of its queue.
    const fn list(self) -> u32 {
        self as u32
    }
}

/// Two queues of slots; a slot stands in one of them, or in none.
#[derive(Debug)]
pub(crate) struct EvictionQueues {
    queues: Rings,
    /// Slots in the queue of half-open flows.
    half_open: u32,
}

impl EvictionQueues {
    /// Bytes that a slot costs.
    pub(crate) const SLOT_BYTES: usize = Rings::SLOT_BYTES;

    /// Reserves room for `slots` slots. `None` when there is not enough memory.
    pub(crate) fn new(slots: u32) -> Option<Self> {
        Some(Self { queues: Rings::new(2, slots)?, half_open: 0 })
    }

    /// See [`mos_memory::Slab::populate`].
    pub(crate) fn populate(&self) -> Option<()> {
        self.queues.populate()
    }

    /// Prefetches the links of a slot.
    pub(crate) fn prefetch(&self, slot: u32) {
        self.queues.prefetch(slot);
    }

    /// Puts a slot at the end of a queue, unless it is there already, or in none.
    pub(crate) fn file(&mut self, slot: u32, queue: Option<Evictable>) {
        let (before, after) = (self.queues.list_of(slot), queue.map(Evictable::list));
        if before == after {
            return;
        }
        let is_half_open = |list| u32::from(list == Some(Evictable::HalfOpen.list()));
        self.half_open = self.half_open + is_half_open(after) - is_half_open(before);
        match after {
            Some(list) => self.queues.enter(slot, list),
            None => self.queues.leave(slot),
        }
    }

    /// Takes a slot out of its queue.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.file(slot, None);
    }

    /// The slot that has been in a queue for longest.
    pub(crate) fn oldest(&self, kind: Evictable) -> Option<u32> {
        self.queues.first(kind.list())
    }

    /// Slots in the queue of half-open flows.
    pub(crate) const fn half_open(&self) -> u32 {
        self.half_open
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_queues_equal_two_lists(ops in prop::collection::vec((0..8u32, 0..4u8), 0..200)) {
            let mut queues = EvictionQueues::new(8).expect("memory");
            let mut model: [Vec<u32>; 2] = Default::default();
            for (slot, op) in ops {
                let queue = match op {
                    0 => Some(Evictable::HalfOpen),
                    1 => Some(Evictable::Ended),
                    _ => None,
                };
                queues.file(slot, queue);
                let stays = queue.is_some_and(|queue| model[queue as usize].contains(&slot));
                if !stays {
                    for list in &mut model {
                        list.retain(|other| *other != slot);
                    }
                    if let Some(queue) = queue {
                        model[queue as usize].push(slot);
                    }
                }
                for kind in [Evictable::HalfOpen, Evictable::Ended] {
                    prop_assert_eq!(queues.oldest(kind), model[kind as usize].first().copied());
                }
                prop_assert_eq!(queues.half_open() as usize, model[0].len());
            }
        }
    }
}
