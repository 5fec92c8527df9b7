//! Looks at flows, which change nothing: one, some, all, and the bytes of their streams.

use core::{net::SocketAddr, ops::Range};

use arrayvec::ArrayVec;

use super::Stack;
use crate::{
    EndCause, FlowDetails, FlowId, FlowRef, FlowSummary, LookupError, PeekError, Peeked, Side,
    Sides, StreamOffset, StreamRead,
    flow::{Absent, Flow, FlowKey, Vlans},
    reassembly::{OutOfBuffer, Reassembler},
};

/// How many slots ahead a walk over the slots prefetches.
const SCAN_AHEAD: u32 = 16;

/// Most flows that [`Stack::find`] returns.
pub const FIND_MAX: usize = 8;

/// The 802.1Q ids.
const VLAN_IDS: Range<u16> = 1..4096;

/// A position in a walk over the slots of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotCursor(pub u32);

impl Stack {
    /// Everything known of one flow.
    ///
    /// # Errors
    ///
    /// The handle does not name a live flow.
    pub fn summary(&self, id: FlowId) -> Result<FlowSummary, LookupError> {
        let slot = self.resolve(id)?;
        self.summary_of(slot).ok_or(LookupError::Ended { cause: Some(EndCause::Stopped) })
    }

    /// Everything that may be known of one flow.
    ///
    /// # Errors
    ///
    /// The handle does not name a live flow.
    pub fn details(&self, id: FlowId) -> Result<FlowDetails, LookupError> {
        let summary = self.summary(id)?;
        let slot = self.resolve(id)?;
        let Some((_, flow)) = self.table.get(slot) else { return Err(LookupError::NotFound) };
        let side = |side| flow.side_details(side, &self.pool);
        Ok(FlowDetails {
            summary,
            sides: Sides { client: side(Side::Client), server: side(Side::Server) },
        })
    }

    /// Live flows between two endpoints, whichever of them is the client. `vlan` picks those with
    /// this outermost 802.1Q id.
    #[must_use]
    pub fn find(
        &self,
        a: SocketAddr,
        b: SocketAddr,
        vlan: Option<u16>,
    ) -> ArrayVec<FlowSummary, FIND_MAX> {
        let mut found = ArrayVec::new();
        if a.is_ipv4() != b.is_ipv4() {
            return found;
        }
        let (key, _) = FlowKey::new(a, b);
        // If VLANs are part of keys and none is named, every id is tried, and every pair that
        // a flow has had: a bounded search.
        let is_in_key = self.limits.vlan_in_key;
        let named = vlan.filter(|_| is_in_key).map_or(Vlans::NONE, Vlans::one);
        let any = if is_in_key && vlan.is_none() { VLAN_IDS } else { 0..0 };
        let singles = core::iter::once(named).chain(any.map(Vlans::one));
        for vlans in singles.chain(self.vlan_pairs.with(vlan)) {
            let key = key.in_vlans(vlans);
            let slot = self.table.find(&key, self.table.tag(&key));
            let summary = slot.and_then(|slot| self.summary_of(slot));
            found.extend(summary.filter(|flow| vlan.is_none() || flow.tuple.vlan == vlan));
            if found.is_full() {
                break;
            }
        }
        found
    }

    /// Visits at most `slots` slots from `cursor` on, and stops when `page` is full. Returns where
    /// to continue, `None` at the end of the table.
    pub fn scan<const N: usize>(
        &self,
        cursor: SlotCursor,
        slots: u32,
        page: &mut ArrayVec<FlowSummary, N>,
    ) -> Option<SlotCursor> {
        let end = self.table.slots_used();
        let stop = cursor.0.saturating_add(slots).min(end);
        for slot in cursor.0..stop {
            if page.is_full() {
                return Some(SlotCursor(slot));
            }
            let ahead = slot.saturating_add(SCAN_AHEAD);
            self.table.prefetch_slot(ahead);
            self.table.prefetch_id(ahead);
            page.extend(self.summary_of(slot));
        }
        (stop < end).then_some(SlotCursor(stop))
    }

    /// Copies held bytes of what `side` received into `out`: from `offset`, or the oldest byte, or
    /// the first held byte behind it, up to a hole. Moves nothing. mOS: `mtcp_ppeek`.
    ///
    /// # Errors
    ///
    /// Why nothing can be read there.
    pub fn peek(
        &self,
        id: FlowId,
        side: Side,
        offset: Option<StreamOffset>,
        out: &mut [u8],
    ) -> Result<Peeked, PeekError> {
        let (_, buffer) = self.readable(id, side)?;
        let (oldest, newest) = buffer.bounds(&self.pool);
        buffer.peek(&self.pool, offset, out).map_err(|error| match error {
            OutOfBuffer::Overwritten => PeekError::Overwritten { oldest, newest },
            OutOfBuffer::NotYetReceived => PeekError::NotYetReceived { oldest, newest },
        })
    }

    /// The next step of a reader through what `side` receives: at `from`, or at the oldest byte.
    /// Bytes go into `out`. Moves nothing: the position is the reader's own. mOS: `mtcp_peek`.
    ///
    /// # Errors
    ///
    /// The flow is gone, the side is no longer monitored, or it has no buffer.
    pub fn read(
        &self,
        id: FlowId,
        side: Side,
        from: Option<StreamOffset>,
        out: &mut [u8],
    ) -> Result<StreamRead, PeekError> {
        let (flow, buffer) = self.readable(id, side)?;
        Ok(buffer.read_on(&self.pool, from, flow.connection.ended, out))
    }

    /// The flow that a handle names, and the buffer of one side if it can be read.
    fn readable(&self, id: FlowId, side: Side) -> Result<(&Flow, &Reassembler), PeekError> {
        let slot = self.resolve(id)?;
        let Some((_, flow)) = self.table.get(slot) else {
            return Err(PeekError::Lookup(LookupError::NotFound));
        };
        if !flow.is_monitored(side) {
            return Err(PeekError::Stopped(side));
        }
        let buffer = &flow.buffers[side];
        if buffer.capacity() == 0 {
            return Err(PeekError::BufferingDisabled(side));
        }
        Ok((flow, buffer))
    }

    pub(super) fn resolve(&self, id: FlowId) -> Result<u32, LookupError> {
        self.table.resolve(id).map_err(|absent| match absent {
            Absent::Unknown => LookupError::NotFound,
            Absent::Gone(cause) => LookupError::Ended { cause },
        })
    }

    /// The summary of the flow in a slot, unless it is stopped.
    #[inline(always)]
    fn summary_of(&self, slot: u32) -> Option<FlowSummary> {
        let (key, flow) = self.table.get(slot).filter(|(_, flow)| !flow.socket.is_stopped())?;
        Some(flow.summary(self.table.id(slot), &key, &self.pool, &self.ledger))
    }

    /// A flow as an event sink may read it.
    pub(super) const fn view<'a>(
        &'a self,
        id: FlowId,
        key: FlowKey,
        flow: &'a Flow,
    ) -> FlowRef<'a> {
        FlowRef { id, key, flow, pool: &self.pool, ledger: &self.ledger }
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;
    use crate::{BufferPositions, EndCause, SockOptChange, StopScope, testing::World};

    const HANDSHAKE: &str = "
        C> S 100
        S> S. 4294967290 101
        C> . 101 4294967291";

    fn change(world: &mut World, change: &SockOptChange) {
        let id = world.id();
        world.stack.set_sock_opt(id, change, None, world.now, &mut world.ended).unwrap();
    }

    fn step(world: &World, side: Side, from: u64) -> Result<(StreamRead, String), PeekError> {
        let mut out = [0; 64];
        let read = world.stack.read(world.id(), side, Some(StreamOffset(from)), &mut out)?;
        Ok((read, String::from_utf8_lossy(&out[..read.length]).into_owned()))
    }

    #[test]
    fn positions_are_sequence_numbers_that_wrap() {
        let mut world = World::new();
        world.play(HANDSHAKE);
        world.play("S> P. 4294967291 101 0123456789\n S> P. 15 101 later");
        let details = world.stack.details(world.id()).unwrap();
        assert_eq!(details.summary, world.flow());
        let client = &details.sides.client;
        assert_eq!(
            client.positions,
            Some(BufferPositions {
                init_seq: 4_294_967_291,
                last_byte_read: 5,
                next_byte_expected: 5,
                last_byte_received: 20,
            })
        );
        let held: std::vec::Vec<_> =
            client.fragments.iter().map(|held| (held.offset.0, held.length)).collect();
        assert_eq!((held, client.fragments_total), (std::vec![(0, 10), (20, 5)], 2));
        let server = &details.sides.server;
        let untouched = Some(BufferPositions {
            init_seq: 101,
            last_byte_read: 101,
            next_byte_expected: 101,
            last_byte_received: 101,
        });
        assert_eq!((server.positions, server.fragments_total), (untouched, 0));
    }

    #[test]
    fn a_side_without_a_buffer_or_a_known_sender_has_no_positions() {
        let mut world = World::new();
        world.play("C> S 100");
        let details = world.stack.details(world.id()).unwrap();
        assert_eq!(details.sides.client.positions, None, "the server has sent nothing yet");
        assert!(details.sides.server.positions.is_some());
        let mut none = SockOptChange::default();
        none.buffer_bytes.server = Some(0);
        change(&mut world, &none);
        let details = world.stack.details(world.id()).unwrap();
        assert_eq!(details.sides.server.positions, None);
    }

    #[test]
    fn a_reader_follows_the_stream_to_its_end_over_a_hole_that_is_never_filled() {
        let mut world = World::new();
        world.play(HANDSHAKE).play("C> P. 101 4294967291 hello\n C> P. 111 4294967291 world");
        let (read, text) = step(&world, Side::Server, 0).unwrap();
        assert_eq!((read.missing, text.as_str(), read.ended), (0, "hello", None));
        assert_eq!((read.next(), read.readable), (StreamOffset(5), StreamOffset(5)));
        world.play("S> R 4294967291 0");
        let (read, text) = step(&world, Side::Server, 5).unwrap();
        assert_eq!((read.missing, text.as_str(), read.ended), (5, "world", Some(EndCause::Rst)));
        assert_eq!((read.next(), read.readable), (StreamOffset(15), StreamOffset(15)));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let mut world = World::new();
        world.play(HANDSHAKE);
        let mut none = SockOptChange::default();
        none.buffer_bytes.client = Some(0);
        change(&mut world, &none);
        let disabled = PeekError::BufferingDisabled(Side::Client);
        assert_eq!(step(&world, Side::Client, 0), Err(disabled));
        let stop = SockOptChange { stop: Some(StopScope::Client), ..SockOptChange::default() };
        change(&mut world, &stop);
        assert_eq!(step(&world, Side::Client, 0), Err(PeekError::Stopped(Side::Client)));
        let id = world.id();
        world.play("S> R 4294967291 0\n +1500");
        let gone = LookupError::Ended { cause: Some(EndCause::Rst) };
        let read = world.stack.read(id, Side::Server, None, &mut [0; 4]);
        assert_eq!(read, Err(PeekError::Lookup(gone)));
        assert_eq!(world.stack.details(id), Err(gone));
    }
}
