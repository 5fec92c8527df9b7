//! Reassembly of IP packets from their fragments, RFC 791 section 3.2 and RFC 8200 section 4.5.
//!
//! Bounded in number, in bytes and in time. Fragments that overlap discard their packet, as hosts
//! do; what lies within a run of fragments that came in order is a duplicate and dropped alone. The
//! table is set-associative: a keyed hash picks a set of four places, and in a full set the oldest
//! packet is dropped, so that the cost of a fragment is constant even in a flood.

use alloc::vec::Vec;
use core::{hash::Hash, net::IpAddr, time::Duration};

use arrayvec::ArrayVec;

use crate::{
    Instant, Limits, OverlapPolicy, StreamOffset,
    flow::Vlans,
    limits::ASSEMBLIES_MAX,
    reassembly::{BufferPool, Reassembler},
    wire::{Fragment, FragmentPart, ParseError},
};

/// Places in one set.
const WAYS: usize = 4;
const SETS: usize = ASSEMBLIES_MAX / WAYS;

/// Longest payload of an IP packet, in bytes.
const PAYLOAD_MAX: u32 = 65_535;

/// Capacity of the buffer of one packet.
const CAPACITY: u64 = 65_536;

/// Bytes of the unit in which fragments are placed.
const UNIT: u32 = 8;

/// Most runs of one packet.
const RUNS_MAX: usize = 256;

/// The packets that wait for fragments.
#[derive(Debug)]
pub(crate) struct Assemblies {
    hasher: ahash::RandomState,
    places: Vec<Option<Assembly>>,
    timeout: Duration,
    /// Whether fragments in different VLANs belong to different packets.
    vlan_in_key: bool,
    /// The set that is checked next for packets that have timed out.
    sweep: usize,
}

#[derive(Debug)]
struct Assembly {
    key: Key,
    started: Instant,
    /// Of the first fragment: what the payload begins with, and the bytes in front of it.
    first: Option<(u8, u32)>,
    /// Length of the whole payload, known from the last fragment.
    length: Option<u32>,
    /// Where the fragment that lies farthest ends.
    end: u32,
    /// Bytes in all runs.
    held: u32,
    /// The congestion marks of all fragments: bit n for the mark n.
    congestion: u8,
    /// In order, apart from each other.
    runs: ArrayVec<Run, RUNS_MAX>,
    bytes: Reassembler,
}

/// Fragments without a hole between them. Only what continues the farthest run joins it.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// In units.
    start: u16,
    end: u16,
}

/// How a fragment lies to the runs.
#[derive(Debug)]
enum Place {
    /// It lies within a run.
    Duplicate,
    Overlap,
    /// Apart from all: the run with this index would be behind it.
    Free(usize),
}

/// A packet all of whose fragments are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole {
    /// Of its payload, in bytes.
    pub(crate) length: usize,
    /// What the payload begins with: a protocol, or an IPv6 extension header.
    pub(crate) next: u8,
}

/// Why a fragment is not held.
enum Refusal {
    /// The others stay.
    Alone(ParseError),
    /// Its packet is discarded.
    WithPacket(ParseError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// Of IPv4: RFC 791 section 2.3.
    protocol: Option<u8>,
    /// Where VLANs tell packets apart.
    vlans: Vlans,
}

impl Assemblies {
    /// Reserves the places. `None` when there is not enough memory.
    pub(crate) fn new(seed: u64, limits: &Limits) -> Option<Self> {
        let mut places = Vec::new();
        places.try_reserve_exact(ASSEMBLIES_MAX).ok()?;
        places.resize_with(ASSEMBLIES_MAX, || None);
        let hasher = ahash::RandomState::with_seeds(seed, !seed, seed.rotate_left(17), 1);
        let (timeout, vlan_in_key) = (limits.timeouts.fragments, limits.vlan_in_key);
        Some(Self { hasher, places, timeout, vlan_in_key, sweep: 0 })
    }

    /// Adds a fragment. When it completes its packet, the payload is copied to `whole`.
    ///
    /// # Errors
    ///
    /// There is no room for the fragment, or it cannot be one of its packet. What contradicts or
    /// overlaps the others discards them; the same packet may be sent again.
    pub(crate) fn add(
        &mut self,
        fragment: &Fragment<'_>,
        now: Instant,
        pool: &mut BufferPool,
        whole: &mut [u8],
    ) -> Result<Option<Whole>, ParseError> {
        let Fragment { source, destination, part, vlans, .. } = *fragment;
        let payload = in_units(fragment)?;
        let vlans = if self.vlan_in_key { vlans } else { Vlans::NONE };
        let protocol = source.is_ipv4().then_some(part.next);
        let key = Key { source, destination, identification: part.identification, protocol, vlans };
        let place = self.place(&key, now, pool);
        let assembly = place.get_or_insert_with(|| Assembly::new(key, now));
        let added = assembly.add(part, payload, pool);
        let (length, next) = match added {
            Ok(None) => return Ok(None),
            Ok(Some(complete)) => complete,
            Err(Refusal::Alone(reason)) => return Err(reason),
            Err(Refusal::WithPacket(reason)) => {
                free(place, pool);
                return Err(reason);
            }
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(whole.len());
        let copied = assembly.bytes.peek(pool, Some(StreamOffset::ZERO), &mut whole[..length]);
        free(place, pool);
        Ok(copied.ok().map(|peeked| Whole { length: peeked.length, next }))
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

/// The payload of a fragment. All but the last are a multiple of 8 bytes long: otherwise IPv6
/// refuses one (RFC 8200 section 4.5), and a host cuts one of IPv4.
fn in_units<'a>(fragment: &Fragment<'a>) -> Result<&'a [u8], ParseError> {
    let Fragment { payload, part, source, .. } = *fragment;
    let (units, rest) = payload.as_chunks::<{ UNIT as usize }>();
    let is_cut = !part.is_last && !rest.is_empty();
    if source.is_ipv6() && (is_cut || end_of(part, payload) > PAYLOAD_MAX) {
        return Err(ParseError::Malformed);
    }
    Ok(if is_cut { units.as_flattened() } else { payload })
}

impl Assembly {
    fn new(key: Key, started: Instant) -> Self {
        Self {
            key,
            started,
            first: None,
            length: None,
            end: 0,
            held: 0,
            congestion: 0,
            runs: ArrayVec::new(),
            bytes: Reassembler::new(CAPACITY),
        }
    }

    /// Adds a fragment. Returns the length of the whole payload and what it begins with, if it is
    /// complete then.
    fn add(
        &mut self,
        part: FragmentPart,
        payload: &[u8],
        pool: &mut BufferPool,
    ) -> Result<Option<(u32, u8)>, Refusal> {
        let contradiction = Refusal::WithPacket(ParseError::Fragment);
        let (start, end) = (u32::from(part.offset), end_of(part, payload));
        let contradicts = match self.length {
            Some(known) => end > known || (part.is_last && end != known),
            None => part.is_last && end < self.end,
        };
        if contradicts || payload.is_empty() {
            return Err(contradiction);
        }
        if part.is_last {
            self.length = Some(end);
        }
        self.end = self.end.max(end);
        let run = Run { start: units(start), end: units(end) };
        let index = match self.find(run) {
            Place::Duplicate => return Ok(None),
            Place::Overlap => return Err(Refusal::WithPacket(ParseError::FragmentOverlap)),
            Place::Free(index) => index,
        };
        let is_next = self.runs.last().is_some_and(|last| last.end == run.start);
        // What ends beyond the longest packet is never read: the packet cannot be completed.
        let is_beyond = end > PAYLOAD_MAX;
        let has_room = is_next || !self.runs.is_full();
        if !has_room || !(is_beyond || self.store(start, payload, pool)) {
            return Err(Refusal::Alone(ParseError::Fragment));
        }
        match self.runs.last_mut() {
            Some(last) if is_next => last.end = run.end,
            _ => self.runs.insert(index, run),
        }
        self.held += end - start;
        self.congestion |= 1 << (part.congestion & 3);
        if start == 0 {
            self.first = Some((part.next, part.headers));
        }
        let Some((next, headers)) = self.first.filter(|_| self.length == Some(self.held)) else {
            return Ok(None);
        };
        let is_too_long = self.held.saturating_add(headers) > PAYLOAD_MAX;
        if is_too_long || !may_be_one_packet(self.congestion) {
            return Err(contradiction);
        }
        Ok(Some((self.held, next)))
    }

    fn find(&self, run: Run) -> Place {
        let index = self.runs.partition_point(|held| held.end <= run.start);
        match self.runs.get(index) {
            Some(held) if held.start < run.end => {
                let is_within = held.start <= run.start && run.end <= held.end;
                if is_within { Place::Duplicate } else { Place::Overlap }
            }
            _ => Place::Free(index),
        }
    }

    /// Stores bytes; false if there is no room.
    fn store(&mut self, start: u32, payload: &[u8], pool: &mut BufferPool) -> bool {
        let offset = StreamOffset(start.into());
        let first = OverlapPolicy::First;
        self.bytes.place(pool, offset, payload, first, &mut |_| {}).refused_bytes == 0
    }
}

/// Where a fragment with this payload ends.
fn end_of(part: FragmentPart, payload: &[u8]) -> u32 {
    u32::from(part.offset).saturating_add(u32::try_from(payload.len()).unwrap_or(u32::MAX))
}

/// The unit in which a fragment of these bytes ends.
fn units(end: u32) -> u16 {
    u16::try_from(end.div_ceil(UNIT)).unwrap_or(u16::MAX)
}

/// RFC 3168 section 5.3: fragments of which some support congestion marks and others do not were
/// never one packet.
const fn may_be_one_packet(marks: u8) -> bool {
    const NOT_SUPPORTED: u8 = 1;
    marks & NOT_SUPPORTED == 0 || marks == NOT_SUPPORTED
}

fn free(place: &mut Option<Assembly>, pool: &mut BufferPool) {
    if let Some(mut assembly) = place.take() {
        assembly.bytes.release(pool);
    }
}
