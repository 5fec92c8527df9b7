//! The ceiling: the smallest loop that is a TCP monitor at all, as fast as we can write it.
//!
//! ```text
//! parse 32 ─▶ hash 32, load buckets ─▶ probe 32, load states ─▶ touch 32 ─▶ copy 32
//! ```
//!
//! It verifies no checksum, follows no TCP state, reorders nothing and has no readers. It finds the
//! flow of each packet, counts the packet, and copies the payload to the flow's own memory. The
//! stack's cost above the ceiling is the cost of its additional work.

mod header;
mod table;

use std::io;

use arrayvec::ArrayVec;
use mos_memory::prefetch;
use mos_stack::{Frame, limits::BURST};

use self::{
    header::Header,
    table::{Probe, Table},
};
use crate::memory::{Line, Pages};

/// How many steps of the loop are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Receive and release.
    Receive,
    /// Also parse the headers.
    Parse,
    /// Also find the flow, and touch 64 bytes of state.
    Touch,
    /// Also copy the payload to the flow's own buffer.
    Copy,
}

/// Bytes of each direction's ring buffer. A power of two.
const BUFFER_BYTES: usize = 2048;

/// The loop, and its memory.
#[derive(Debug)]
pub struct Ceiling {
    depth: Depth,
    table: Table,
    states: Pages,
    buffers: Pages,
    free: Vec<u32>,
    /// The slot that is evicted next if none is free.
    hand: u32,
    slots: u32,
    /// Sum of what was read, so that the work is not optimised away.
    pub seen: u64,
}

/// The words of a flow's state, which are one cache line.
mod state {
    /// Both addresses of the key.
    pub(super) const ADDRESSES: usize = 0;
    /// Both ports of the key, and whether the slot is used.
    pub(super) const PORTS: usize = 1;
    /// Packets that the low end sent; those of the high end follow.
    pub(super) const PACKETS: usize = 2;
    /// Bytes that the low end sent; those of the high end follow.
    pub(super) const BYTES: usize = 4;
    /// The low end's next sequence number, and whether it sent a FIN; the high end's follow.
    pub(super) const NEXT: usize = 6;
    /// In `NEXT`: the end has sent a FIN.
    pub(super) const FIN: u64 = 1 << 32;
    /// In `PORTS`: the slot is used.
    pub(super) const USED: u64 = 1 << 32;
}

impl Ceiling {
    /// A loop for `flows` flows at once.
    ///
    /// # Errors
    ///
    /// Its memory cannot be allocated.
    pub fn new(depth: Depth, flows: u32) -> io::Result<Self> {
        let slots = if depth >= Depth::Touch { flows } else { 0 };
        let buffers = if depth == Depth::Copy { slots as usize } else { 0 };
        Ok(Self {
            depth,
            table: Table::new(slots)?,
            states: Pages::new(slots as usize * size_of::<Line>())?,
            buffers: Pages::new(buffers * 2 * BUFFER_BYTES)?,
            free: (0..slots).rev().collect(),
            hand: 0,
            slots,
            seen: 0,
        })
    }

    /// Forgets all flows.
    pub fn clear(&mut self) {
        self.table.clear();
        self.states.bytes_mut().fill(0);
        (self.free, self.hand) = ((0..self.slots).rev().collect(), 0);
    }

    /// Handles a burst.
    pub fn handle_burst(&mut self, frames: &[Frame<'_>]) {
        if self.depth == Depth::Receive {
            self.seen += frames.iter().map(|frame| frame.bytes.len() as u64).sum::<u64>();
            return;
        }
        frames.iter().filter_map(|frame| frame.bytes.first()).for_each(prefetch);
        let headers: ArrayVec<Header<'_>, BURST> =
            frames.iter().filter_map(|frame| Header::parse(frame.bytes)).collect();
        if self.depth == Depth::Parse {
            for header in &headers {
                self.seen += header.addresses ^ header.ports ^ header.payload.len() as u64;
            }
            return;
        }
        let probes = self.probe(&headers);
        let places: ArrayVec<Option<usize>, BURST> = headers
            .iter()
            .zip(&probes)
            .map(|(header, (probe, found))| self.touch(header, *probe, *found))
            .collect();
        if self.depth < Depth::Copy {
            return;
        }
        let buffers = self.buffers.bytes();
        places.iter().flatten().for_each(|place| prefetch(&buffers[*place]));
        for (header, place) in headers.iter().zip(places) {
            self.copy(header.payload, place);
        }
    }

    /// Finds a likely slot for each header, and prefetches its state.
    fn probe(&mut self, headers: &[Header<'_>]) -> ArrayVec<(Probe, Option<u32>), BURST> {
        let probes: ArrayVec<Probe, BURST> =
            headers.iter().map(|header| self.table.probe(header.addresses, header.ports)).collect();
        probes.iter().for_each(|probe| prefetch(self.table.bucket(*probe)));
        let found: ArrayVec<(Probe, Option<u32>), BURST> =
            probes.iter().map(|probe| (*probe, self.table.first(*probe))).collect();
        let states = self.states.lines();
        found
            .iter()
            .filter_map(|(_, slot)| *slot)
            .for_each(|slot| prefetch(&states[slot as usize]));
        found
    }

    /// Counts a packet in the state of its flow, which a SYN begins and the acknowledgement of the
    /// second FIN ends. Gives the place of its payload.
    fn touch(&mut self, header: &Header<'_>, probe: Probe, found: Option<u32>) -> Option<usize> {
        let is_it = |states: &[Line], slot: u32| is_flow(&states[slot as usize], header);
        let states = self.states.lines_mut();
        let slot = found
            .filter(|slot| is_it(states, *slot))
            .or_else(|| self.table.find(probe, |slot| is_it(states, slot)));
        let slot = match slot {
            Some(slot) => slot,
            None if header.is_bare_syn() => self.begin(header, probe),
            None => return None,
        };
        let end = usize::from(!header.from_low);
        let state = &mut self.states.lines_mut()[slot as usize];
        let length = header.payload.len() as u64;
        let at = state[state::BYTES + end];
        state[state::PACKETS + end] += 1;
        state[state::BYTES + end] = at + length;
        let fins = state[state::NEXT] & state[state::NEXT + 1] & state::FIN;
        let fin = if header.is_fin() { state::FIN } else { state[state::NEXT + end] & state::FIN };
        state[state::NEXT + end] = (u64::from(header.seq) + length) & 0xffff_ffff | fin;
        if fins != 0 && !header.is_fin() {
            self.end(slot, probe);
        }
        let within = usize::try_from(at).unwrap_or_default() % BUFFER_BYTES;
        Some((slot as usize * 2 + end) * BUFFER_BYTES + within)
    }

    fn begin(&mut self, header: &Header<'_>, probe: Probe) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| self.evict());
        let state = &mut self.states.lines_mut()[slot as usize];
        *state = [header.addresses, header.ports | state::USED, 0, 0, 0, 0, 0, 0];
        self.table.insert(probe, slot);
        slot
    }

    fn end(&mut self, slot: u32, probe: Probe) {
        self.states.lines_mut()[slot as usize][state::PORTS] = 0;
        self.table.remove(probe, slot);
        self.free.push(slot);
    }

    /// Evicts the flow in the slot at the hand; returns the slot.
    fn evict(&mut self) -> u32 {
        let slot = self.hand;
        self.hand = if slot + 1 == self.slots { 0 } else { slot + 1 };
        let state = self.states.lines_mut()[slot as usize];
        let probe = self.table.probe(state[state::ADDRESSES], state[state::PORTS] & 0xffff_ffff);
        self.table.remove(probe, slot);
        slot
    }

    /// Copies a payload to its place. A payload without a flow has none.
    fn copy(&mut self, payload: &[u8], place: Option<usize>) {
        let Some(place) = place else { return };
        let within = place % BUFFER_BYTES;
        let (first, rest) = payload.split_at(payload.len().min(BUFFER_BYTES - within));
        let buffers = self.buffers.bytes_mut();
        buffers[place..place + first.len()].copy_from_slice(first);
        let start = place - within;
        buffers[start..start + rest.len()].copy_from_slice(rest);
    }
}

const fn is_flow(state: &Line, header: &Header<'_>) -> bool {
    state[state::ADDRESSES] == header.addresses && state[state::PORTS] == header.ports | state::USED
}

#[cfg(test)]
mod tests;
