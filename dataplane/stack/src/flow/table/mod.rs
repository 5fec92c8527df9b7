//! The flow table: a slab of flows and an index over their keys.
//!
//! ```text
//!  index   [ tags ─▶ slots ][ tags ─▶ slots ] ...
//!                      │
//!  slots   [ key, flow ][ free since t ] ...  a flow never moves
//! ```
//!
//! All memory is reserved at the start and touched when it is first used. The hash is keyed, so
//! that an attacker cannot choose colliding keys; probes are bounded nevertheless.

mod index;

pub(crate) use index::Tag;

use index::Index;
use mos_memory::{CACHE_LINE, Slab, prefetch, prefetch_line};

use super::{
    FlowId, FlowKey, WorkerId,
    key::{KeyHead, KeyTail},
};
use crate::{Instant, limits::SLOT_REST};

const NONE: u32 = u32::MAX;

/// Flows by slot and by key. `E` says how the last flow of a free slot ended.
#[derive(Debug)]
pub(crate) struct FlowTable<T, E> {
    worker: WorkerId,
    hasher: ahash::RandomState,
    index: Index,
    slots: Slab<Slot<T, E>>,
    /// For each slot, how often it was given to another flow, counted from a random start.
    generations: Slab<u32>,
    slots_max: u32,
    live: u32,
    /// Free slots, first released first.
    free_head: u32,
    free_tail: u32,
}

/// A slot, aligned to a line of the cache.
#[derive(Debug)]
#[repr(align(64))]
struct Slot<T, E>(State<T, E>);

#[derive(Debug)]
enum State<T, E> {
    Live(Entry<T>),
    Free { next: u32, released: Instant, cause: E },
}

/// The head of the key and the beginning of the value share the first line of the cache.
#[derive(Debug)]
#[repr(C)]
struct Entry<T> {
    head: KeyHead,
    value: T,
    tail: KeyTail,
}

impl<T> Entry<T> {
    #[inline]
    const fn key(&self) -> FlowKey {
        FlowKey::from_parts(self.head, &self.tail)
    }

    #[inline]
    fn has_key(&self, key: &FlowKey) -> bool {
        key.consists_of(&self.head, &self.tail)
    }
}

/// Why a handle does not name a live value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent<E> {
    /// No flow of this table had the handle, as far as its generation shows.
    Unknown,
    /// Its flow has ended; the cause is kept until the slot is used again.
    Gone(Option<E>),
}

impl<T, E: Copy> FlowTable<T, E> {
    /// Bytes of one slot.
    pub(crate) const SLOT_BYTES: usize = size_of::<Slot<T, E>>();

    /// The line of a slot that holds the rest of a key of IPv6.
    const TAIL_LINE: usize = core::mem::offset_of!(Entry<T>, tail) / CACHE_LINE;

    /// Most bytes that a flow costs: its slot, the generation, and its part of the index.
    pub(crate) const SLOT_BYTES_MAX: usize =
        Self::SLOT_BYTES + size_of::<u32>() + Index::ENTRY_BYTES_MAX;

    /// Reserves room for `slots_max` flows. `None` when there is not enough memory.
    pub(crate) fn new(worker: WorkerId, slots_max: u32, seed: u64) -> Option<Self> {
        let index = Index::new(slots_max)?;
        let slots = Slab::with_capacity(usize::try_from(slots_max).ok()?)?;
        let generations = Slab::with_capacity(slots.capacity())?;
        let mix = |n: u64| (seed ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ seed;
        Some(Self {
            worker,
            hasher: ahash::RandomState::with_seeds(mix(1), mix(2), mix(3), mix(4)),
            index,
            slots,
            generations,
            slots_max,
            live: 0,
            free_head: NONE,
            free_tail: NONE,
        })
    }

    /// See [`Slab::populate`].
    pub(crate) fn populate(&self) -> Option<()> {
        self.index.populate()?;
        self.slots.populate()?;
        self.generations.populate()
    }

    /// Hashes a key and prefetches its bucket of the index.
    #[inline]
    pub(crate) fn hash_and_prefetch(&self, key: &FlowKey) -> Tag {
        let tag = self.tag(key);
        self.index.prefetch(tag);
        tag
    }

    /// The first slot with this tag: nearly always the key's own. Prefetches the line of it that
    /// every packet needs, and the line with the rest of an IPv6 key.
    #[inline]
    pub(crate) fn prefetch_likely(&self, key: &FlowKey, tag: Tag) -> Option<u32> {
        let slot = self.index.find(tag, |_| true)?;
        if let Some(slot) = self.slots.get(at(slot)) {
            prefetch_line(slot, 0);
            // IPv4 prefetches line 0 twice: cheaper than a mispredicted branch.
            prefetch_line(slot, usize::from(key.is_v6()) * Self::TAIL_LINE);
        }
        Some(slot)
    }

    /// Prefetches the generation of a slot, which its handle needs.
    #[inline]
    pub(crate) fn prefetch_id(&self, slot: u32) {
        if let Some(generation) = self.generations.get(at(slot)) {
            prefetch(generation);
        }
    }

    /// Prefetches all of a slot, if it exists, except its generation.
    pub(crate) fn prefetch_slot(&self, slot: u32) {
        if let Some(slot) = self.slots.get(at(slot)) {
            prefetch(slot);
        }
    }

    /// The slot of the flow with this key; `likely` is tried first.
    #[inline]
    pub(crate) fn lookup(&self, key: &FlowKey, tag: Tag, likely: Option<u32>) -> Option<u32> {
        likely.filter(|slot| self.has_key(*slot, key)).or_else(|| self.find(key, tag))
    }

    /// The slot of the flow with this key.
    #[inline(never)]
    pub(crate) fn find(&self, key: &FlowKey, tag: Tag) -> Option<u32> {
        self.index.find(tag, |slot| self.has_key(slot, key))
    }

    /// Adds a flow whose key is not in the table. `None`, and the value is dropped, when the table
    /// is full.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        key: FlowKey,
        tag: Tag,
        value: impl FnOnce() -> T,
        now: Instant,
    ) -> Option<u32> {
        let vacancy = self.index.vacancy(tag)?;
        let slot = self.take_slot(key, value, now)?;
        self.index.enter(vacancy, tag, slot);
        self.live += 1;
        Some(slot)
    }

    /// Removes the flow in a slot. Its handle resolves to `cause` until the slot is used again.
    pub(crate) fn remove(&mut self, slot: u32, now: Instant, cause: E) {
        let Some((key, _)) = self.get(slot) else { return };
        self.index.remove(self.tag(&key), slot);
        let free = State::Free { next: NONE, released: now, cause };
        self.slots[at(slot)].0 = free;
        match self.free_tail {
            NONE => self.free_head = slot,
            tail => self.set_next_free(tail, slot),
        }
        self.free_tail = slot;
        self.live -= 1;
    }

    /// The flow in a slot.
    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<(FlowKey, &T)> {
        match &self.slots.get(at(slot))?.0 {
            State::Live(entry) => Some((entry.key(), &entry.value)),
            State::Free { .. } => None,
        }
    }

    /// The flow in a slot, to be changed, if it has this key.
    #[inline]
    pub(crate) fn get_mut_if(&mut self, slot: u32, wanted: &FlowKey) -> Option<&mut T> {
        match &mut self.slots.get_mut(at(slot))?.0 {
            State::Live(entry) if entry.has_key(wanted) => Some(&mut entry.value),
            State::Live(_) | State::Free { .. } => None,
        }
    }

    /// The flow in a slot, to be changed.
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        match &mut self.slots.get_mut(at(slot))?.0 {
            State::Live(Entry { value, .. }) => Some(value),
            State::Free { .. } => None,
        }
    }

    /// The slot that a handle names.
    pub(crate) fn resolve(&self, id: FlowId) -> Result<u32, Absent<E>> {
        let slot = id.slot();
        if id.worker() != self.worker {
            return Err(Absent::Unknown);
        }
        let Some(Slot(state)) = self.slots.get(at(slot)) else { return Err(Absent::Unknown) };
        let generation = self.generation(slot);
        // Generations wrap: one in the half before the slot's, and not older than the table, was
        // given out; one in the half after it was not.
        let behind = generation.wrapping_sub(id.generation()) & GENERATION_MASK;
        let age = generation.wrapping_sub(self.first_generation(slot)) & GENERATION_MASK;
        match state {
            State::Live(_) if behind == 0 => Ok(slot),
            State::Free { cause, .. } if behind == 0 => Err(Absent::Gone(Some(*cause))),
            _ if behind < (1 << (FlowId::GENERATION_BITS - 1)) && behind <= age => {
                Err(Absent::Gone(None))
            }
            State::Live(_) | State::Free { .. } => Err(Absent::Unknown),
        }
    }

    /// The handle of the flow in a slot.
    pub(crate) fn id(&self, slot: u32) -> FlowId {
        FlowId::from_parts(self.worker, slot, self.generation(slot))
    }

    fn generation(&self, slot: u32) -> u32 {
        self.generations.get(at(slot)).copied().unwrap_or_default()
    }

    /// Flows in the table.
    pub(crate) const fn len(&self) -> u32 {
        self.live
    }

    /// Number of slots that were ever used: every live flow is in a lower slot.
    pub(crate) fn slots_used(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    #[inline]
    fn take_slot(&mut self, key: FlowKey, value: impl FnOnce() -> T, now: Instant) -> Option<u32> {
        let live = || State::Live(Entry { head: key.head, value: value(), tail: key.tail });
        let fresh = self.slots_used();
        if let Some(Slot(state)) = self.slots.get_mut(at(self.free_head))
            && let State::Free { next, released, .. } = *state
            && (released.after(SLOT_REST) <= now || fresh >= self.slots_max)
        {
            *state = live();
            let taken = core::mem::replace(&mut self.free_head, next);
            if let Some(generation) = self.generations.get_mut(at(taken)) {
                *generation = (*generation + 1) & GENERATION_MASK;
            }
            match self.slots.get(at(next)) {
                // The next flow needs the next free slot, which was last touched long ago.
                Some(following) => prefetch(following),
                None => self.free_tail = NONE,
            }
            return Some(taken);
        }
        if fresh >= self.slots_max {
            return None;
        }
        self.generations.push(self.first_generation(fresh)).ok()?;
        self.slots.push(Slot(live())).ok()?;
        Some(fresh)
    }

    /// Random, so that a handle from before a restart resolves to nothing.
    fn first_generation(&self, slot: u32) -> u32 {
        u32::try_from(self.hasher.hash_one(slot) >> 34).unwrap_or_default()
    }

    fn set_next_free(&mut self, slot: u32, following: u32) {
        if let Some(Slot(State::Free { next, .. })) = self.slots.get_mut(at(slot)) {
            *next = following;
        }
    }

    /// Whether the flow in a slot has this key.
    fn has_key(&self, slot: u32, key: &FlowKey) -> bool {
        let Some(Slot(State::Live(entry))) = self.slots.get(at(slot)) else { return false };
        entry.has_key(key)
    }

    /// The hash of a key.
    pub(crate) fn tag(&self, key: &FlowKey) -> Tag {
        Tag::new(self.hasher.hash_one(key))
    }
}

const GENERATION_MASK: u32 = (1 << FlowId::GENERATION_BITS) - 1;

/// A slot as an index; `usize` has at least 32 bits wherever DPDK runs.
const fn at(slot: u32) -> usize {
    slot as usize
}

#[cfg(test)]
mod tests;
