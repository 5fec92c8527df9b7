//! Lists over the slots of the flow table: a slot stands in one of them, or in none.
//!
//! ```text
//!  ┌─▶ list ◀──▶ slot ◀──▶ slot ◀──▶ slot ◀─┐
//!  └─────────────────────────────────────────┘
//! ```
//!
//! Each is a ring with a link for the list itself. So every slot has two neighbours, and no code
//! branches on whether it is the first or the last of its list, which a CPU mispredicts often.

use mos_memory::{Slab, prefetch};

/// In place of a list's number.
const NONE: u32 = u32::MAX;

/// The lists, numbered from 0.
#[derive(Debug)]
pub(crate) struct Rings {
    /// The links of the lists come first, then those of the slots.
    links: Slab<Link>,
    lists: u32,
}

/// A place in a ring. The neighbours are places among the links.
#[derive(Debug, Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
    /// The list, or [`NONE`].
    list: u32,
}

impl Rings {
    /// Bytes that a slot costs.
    pub(crate) const SLOT_BYTES: usize = size_of::<Link>();

    /// Empty lists, and room for `slots` slots. `None` when there is not enough memory.
    pub(crate) fn new(lists: u32, slots: u32) -> Option<Self> {
        let mut links = Slab::with_capacity(index(lists.checked_add(slots)?))?;
        for list in 0..lists {
            links.push(Link { previous: list, next: list, list }).ok()?;
        }
        Some(Self { links, lists })
    }

    /// See [`Slab::populate`].
    pub(crate) fn populate(&self) -> Option<()> {
        self.links.populate()
    }

    /// Prefetches the links of a slot.
    pub(crate) fn prefetch(&self, slot: u32) {
        if let Some(link) = self.links.get(index(self.place_of(slot))) {
            prefetch(link);
        }
    }

    /// The list in which a slot stands.
    pub(crate) fn list_of(&self, slot: u32) -> Option<u32> {
        let link = self.links.get(index(self.place_of(slot)))?;
        (link.list != NONE).then_some(link.list)
    }

    /// Puts a slot at the end of a list, wherever it was before.
    pub(crate) fn enter(&mut self, slot: u32, list: u32) {
        self.leave(slot);
        let place = self.place_of(slot);
        self.links.fill_to(index(place) + 1, Link { previous: NONE, next: NONE, list: NONE });
        let last = core::mem::replace(&mut self.links[index(list)].previous, place);
        self.links[index(last)].next = place;
        self.links[index(place)] = Link { previous: last, next: list, list };
    }

    /// Takes a slot out of its list.
    pub(crate) fn leave(&mut self, slot: u32) {
        let place = index(self.place_of(slot));
        let Some(link) = self.links.get_mut(place).filter(|link| link.list != NONE) else { return };
        let Link { previous, next, .. } = *link;
        link.list = NONE;
        self.links[index(previous)].next = next;
        self.links[index(next)].previous = previous;
    }

    /// The slot that has been in a list for longest.
    pub(crate) fn first(&self, list: u32) -> Option<u32> {
        // In an empty list the next link is the list's own, which is below `lists`.
        self.links[index(list)].next.checked_sub(self.lists)
    }

    /// Does not wrap: [`Self::new`] has checked the sum for all slots.
    const fn place_of(&self, slot: u32) -> u32 {
        self.lists.wrapping_add(slot)
    }
}

const fn index(place: u32) -> usize {
    place as usize
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rings_equal_lists(ops in prop::collection::vec((0..8u32, 0..4u32), 0..200)) {
            let mut rings = Rings::new(3, 8).expect("memory");
            let mut model: [Vec<u32>; 3] = Default::default();
            for (slot, op) in ops {
                for list in &mut model {
                    list.retain(|other| *other != slot);
                }
                match model.get_mut(op as usize) {
                    Some(list) => {
                        list.push(slot);
                        rings.enter(slot, op);
                    }
                    None => rings.leave(slot),
                }
                prop_assert_eq!(rings.list_of(slot), (op < 3).then_some(op));
                for (list, slots) in (0..).zip(&model) {
                    prop_assert_eq!(rings.first(list), slots.first().copied());
                }
            }
            // What is left comes out in order.
            for (list, slots) in (0..).zip(model) {
                for slot in slots {
                    prop_assert_eq!(rings.first(list), Some(slot));
                    rings.leave(slot);
                }
                prop_assert_eq!(rings.first(list), None);
            }
        }
    }
}
