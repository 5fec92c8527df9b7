//! Reassembly of IP packets from their fragments, RFC 791 section 3.2 and RFC 8200 section 4.5.
//!
//! Bounded in number, in bytes and in time. Where fragments overlap, the earliest copy of a byte
//! wins. The table is set-associative: a keyed hash picks a set of four places, and in a full set
//! the oldest packet is dropped, so that the cost of a fragment is constant even in a flood.

use alloc::vec::Vec;
use core::{hash::Hash, net::IpAddr, time::Duration};

use crate::{
    Instant, OverlapPolicy, StreamOffset,
    limits::ASSEMBLIES_MAX,
    reassembly::{BufferPool, Reassembler},
    wire::{Fragment, ParseError},
};

/// Places in one set.
const WAYS: usize = 4;
const SETS: usize = ASSEMBLIES_MAX / WAYS;

/// Longest payload of an IP packet, in bytes.
const PAYLOAD_MAX: usize = 65_535;

/// Capacity of the buffer of one packet.
const CAPACITY: u64 = 65_536;

/// The packets that wait for fragments.
#[derive(Debug)]
pub(crate) struct Assemblies {
    hasher: ahash::RandomState,
    places: Vec<Option<Assembly>>,
    timeout: Duration,
    /// The set that is checked next for packets that have timed out.
    sweep: usize,
}

#[derive(Debug)]
struct Assembly {
    key: Key,
    started: Instant,
    /// Length of the whole payload, known from the last fragment.
    length: Option<u64>,
    bytes: Reassembler,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
}

impl Assemblies {
    /// Reserves the places. `None` when there is not enough memory.
    pub(crate) fn new(seed: u64, timeout: Duration) -> Option<Self> {
        let mut places = Vec::new();
        places.try_reserve_exact(ASSEMBLIES_MAX).ok()?;
        places.resize_with(ASSEMBLIES_MAX, || None);
        let hasher = ahash::RandomState::with_seeds(seed, !seed, seed.rotate_left(17), 1);
        Some(Self { hasher, places, timeout, sweep: 0 })
    }

    /// Adds a fragment. When it completes its packet, the payload is copied to `whole` and its
    /// length returned.
    ///
    /// # Errors
    ///
    /// There is no room for the fragment, or it contradicts the others; it is not held.
    pub(crate) fn add(
        &mut self,
        fragment: &Fragment<'_>,
        now: Instant,
        pool: &mut BufferPool,
        whole: &mut [u8],
    ) -> Result<Option<usize>, ParseError> {
        let offset = u64::from(fragment.part.offset);
        let end = offset + fragment.payload.len() as u64;
        let is_aligned = fragment.part.is_last || fragment.payload.len().is_multiple_of(8);
        if end > PAYLOAD_MAX as u64 || fragment.payload.is_empty() || !is_aligned {
            return Err(ParseError::Malformed);
        }
        let Fragment { source, destination, .. } = *fragment;
        let key = Key { source, destination, identification: fragment.part.identification };
        let place = self.place(&key, now, pool);
        let assembly = place.get_or_insert_with(|| Assembly {
            key,
            started: now,
            length: None,
            bytes: Reassembler::new(CAPACITY),
        });
        let known = assembly.length.unwrap_or(u64::MAX);
        let contradicts =
            end > known || (fragment.part.is_last && known != u64::MAX && end != known);
        if contradicts {
            return Err(ParseError::Fragment);
        }
        if fragment.part.is_last {
            assembly.length = Some(end);
        }
        let first = OverlapPolicy::First;
        let offset = StreamOffset(offset);
        let placed = assembly.bytes.place(pool, offset, fragment.payload, first, &mut |_| {});
        if placed.refused_bytes > 0 {
            return Err(ParseError::Fragment);
        }
        let Some(length) = assembly.length.filter(|length| assembly.bytes.next().0 >= *length)
        else {
            return Ok(None);
        };
        let length = usize::try_from(length).unwrap_or(PAYLOAD_MAX).min(whole.len());
        let copied = assembly.bytes.peek(pool, Some(StreamOffset::ZERO), &mut whole[..length]);
        free(place, pool);
        Ok(copied.ok().map(|peeked| peeked.length))
    }

    /// Drops packets that have timed out, in one set per call.
    pub(crate) fn expire(&mut self, now: Instant, pool: &mut BufferPool) {
        let set = self.sweep * WAYS..(self.sweep + 1) * WAYS;
        self.sweep = (self.sweep + 1) % SETS;
        for place in &mut self.places[set] {
            if place.as_ref().is_some_and(|held| held.started.after(self.timeout) <= now) {
                free(place, pool);
            }
        }
    }

    /// Drops all packets.
    pub(crate) fn clear(&mut self, pool: &mut BufferPool) {
        self.places.iter_mut().for_each(|place| free(place, pool));
    }

    /// The place of this packet: its own, an empty one, or that of the oldest in the set.
    fn place(&mut self, key: &Key, now: Instant, pool: &mut BufferPool) -> &mut Option<Assembly> {
        let hash = self.hasher.hash_one(key) >> 32;
        let set = usize::try_from(hash).unwrap_or_default() % SETS * WAYS;
        let timeout = self.timeout;
        let places = &mut self.places[set..set + WAYS];
        for place in &mut *places {
            if place.as_ref().is_some_and(|held| held.started.after(timeout) <= now) {
                free(place, pool);
            }
        }
        let is_own = |place: &Option<Assembly>| place.as_ref().is_some_and(|held| held.key == *key);
        let age =
            |place: &Option<Assembly>| place.as_ref().map_or(Instant::EPOCH, |held| held.started);
        let own = places.iter().position(is_own);
        let at = own.or_else(|| (0..WAYS).min_by_key(|at| age(&places[*at]))).unwrap_or_default();
        if own.is_none() {
            free(&mut places[at], pool);
        }
        &mut places[at]
    }
}

fn free(place: &mut Option<Assembly>, pool: &mut BufferPool) {
    if let Some(mut assembly) = place.take() {
        assembly.bytes.release(pool);
    }
}
