//! Flows that go first when room is needed: those that were never established, and those that
//! have ended and only wait for stray packets. Oldest first, each in constant time.

use mos_memory::{Slab, prefetch};

const NONE: u32 = u32::MAX;

/// Why a flow may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dispensable {
    /// Its handshake is not complete.
    HalfOpen,
    /// It has ended.
    Ended,
}

/// Two queues over the slots of the flow table; a slot stands in one of them, or in none.
#[derive(Debug)]
pub(crate) struct Backlog {
    links: Slab<Link>,
    half_open: Queue,
    ended: Queue,
}

#[derive(Debug)]
struct Queue {
    head: u32,
    tail: u32,
    length: u32,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
    queue: Option<Dispensable>,
}

impl Backlog {
    /// Bytes that a slot costs.
    pub(crate) const SLOT_BYTES: usize = size_of::<Link>();

    /// Reserves room for `slots` slots. `None` when there is not enough memory.
    pub(crate) fn new(slots: u32) -> Option<Self> {
        let links = Slab::with_capacity(usize::try_from(slots).ok()?)?;
        let queue = || Queue { head: NONE, tail: NONE, length: 0 };
        Some(Self { links, half_open: queue(), ended: queue() })
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

    /// Puts a slot at the end of a queue, or in none.
    pub(crate) fn file(&mut self, slot: u32, queue: Option<Dispensable>) {
        if self.links.get(index(slot)).is_some_and(|link| link.queue == queue) {
            return;
        }
        self.remove(slot);
        let Some(kind) = queue else { return };
        self.links.fill_to(index(slot) + 1, Link { previous: NONE, next: NONE, queue: None });
        let tail = self.queue(kind).tail;
        self.links[index(slot)] = Link { previous: tail, next: NONE, queue };
        match tail {
            NONE => self.queue(kind).head = slot,
            tail => self.links[index(tail)].next = slot,
        }
        let queue = self.queue(kind);
        queue.tail = slot;
        queue.length += 1;
    }

    /// Takes a slot out of its queue.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(link) = self.links.get_mut(index(slot)) else { return };
        let Link { previous, next, queue } = *link;
        let Some(kind) = queue else { return };
        link.queue = None;
        match previous {
            NONE => self.queue(kind).head = next,
            previous => self.links[index(previous)].next = next,
        }
        match next {
            NONE => self.queue(kind).tail = previous,
            next => self.links[index(next)].previous = previous,
        }
        self.queue(kind).length -= 1;
    }

    /// The slot that has stood longest in a queue.
    pub(crate) fn oldest(&self, kind: Dispensable) -> Option<u32> {
        let Queue { head, .. } = *match kind {
            Dispensable::HalfOpen => &self.half_open,
            Dispensable::Ended => &self.ended,
        };
        (head != NONE).then_some(head)
    }

    /// Slots in the queue of half-open flows.
    pub(crate) const fn half_open(&self) -> u32 {
        self.half_open.length
    }

    const fn queue(&mut self, kind: Dispensable) -> &mut Queue {
        match kind {
            Dispensable::HalfOpen => &mut self.half_open,
            Dispensable::Ended => &mut self.ended,
        }
    }
}

const fn index(slot: u32) -> usize {
    slot as usize
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_queues_equal_two_lists(ops in prop::collection::vec((0..8u32, 0..4u8), 0..200)) {
            let mut backlog = Backlog::new(8).expect("memory");
            let mut model: [Vec<u32>; 2] = Default::default();
            for (slot, op) in ops {
                let queue = match op {
                    0 => Some(Dispensable::HalfOpen),
                    1 => Some(Dispensable::Ended),
                    _ => None,
                };
                backlog.file(slot, queue);
                let stays = queue.is_some_and(|queue| model[queue as usize].contains(&slot));
                if !stays {
                    for list in &mut model {
                        list.retain(|other| *other != slot);
                    }
                    if let Some(queue) = queue {
                        model[queue as usize].push(slot);
                    }
                }
                for kind in [Dispensable::HalfOpen, Dispensable::Ended] {
                    prop_assert_eq!(backlog.oldest(kind), model[kind as usize].first().copied());
                }
                prop_assert_eq!(backlog.half_open() as usize, model[0].len());
            }
        }
    }
}
