//! The stack of one worker: the only public entry point.

mod burst;
mod emitter;
mod evict;
mod options;
mod read;

use alloc::vec::Vec;
use core::net::SocketAddr;

use arrayvec::ArrayVec;

use emitter::{Emitter, needs_handle};

use crate::{
    EndCause, EventKind, EventSink, Fact, FlowId, FlowRef, FlowSummary, Instant, Limits,
    LimitsError, LookupError, PacketOutcome, PeekError, Peeked, Side, Sides, Stat, Stats,
    StreamOffset, WorkerId,
    assembly::Assemblies,
    flow::{
        Absent, EvictionQueues, Flow, FlowKey, FlowTable, FlowTimeouts, Ledger, Shared, Tag,
        TimerWheel,
    },
    limits::{BUFFER_BYTES_CEILING, BURST, FLOWS_CEILING},
    reassembly::{BufferPool, OutOfBuffer},
    wire::Segment,
};

/// The monitoring stack of one worker. One thread owns it; nothing in it is shared.
#[derive(Debug)]
pub struct Stack {
    limits: Limits,
    timeouts: FlowTimeouts,
    table: FlowTable<Flow, EndCause>,
    ledger: Ledger,
    wheel: TimerWheel,
    evictable: EvictionQueues,
    assemblies: Assemblies,
    /// Payload of a packet that was put together from fragments.
    whole: Vec<u8>,
    pool: BufferPool,
    stats: Stats,
    /// Buffers whose stream has grown in this burst, and the offset from which on.
    grown: ArrayVec<(u32, Side, StreamOffset), GROWN_MAX>,
}

/// Levels that rise and fall, as opposed to the counters of [`Stats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Flows tracked now, stopped ones included, which are not listed.
    pub flows: u64,
    /// Flow slots.
    pub flow_slots: u64,
    /// Bytes of the block pool in use.
    pub pool_used_bytes: u64,
    /// Bytes of the block pool.
    pub pool_bytes: u64,
}

/// A position in a walk over the slots of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotCursor(pub u32);

/// How many slots ahead a walk over the slots prefetches.
const SCAN_AHEAD: u32 = 16;

/// Most flows that [`Stack::find`] reports.
pub const FIND_MAX: usize = 8;

/// Buffers that one burst of segments can make grow, at most: both of each segment's flow.
const GROWN_MAX: usize = 2 * BURST;

/// 802.1Q ids.
const VLAN_IDS: u16 = 4096;

/// Empty timer buckets that one call of [`Stack::handle_timeout`] passes, at most.
const TIMER_STEPS: u32 = 256;

impl Stack {
    /// Makes a stack and reserves all its memory. `seed` keys the hash of the flow table.
    ///
    /// # Errors
    ///
    /// A bound is out of range, or the memory cannot be had.
    pub fn new(worker: WorkerId, limits: Limits, seed: u64) -> Result<Self, LimitsError> {
        if !(1..=FLOWS_CEILING).contains(&limits.flows_max) {
            return Err(LimitsError::Flows(limits.flows_max));
        }
        if limits.half_open_max == 0 {
            return Err(LimitsError::HalfOpen);
        }
        if limits.buffer_bytes_max > BUFFER_BYTES_CEILING {
            return Err(LimitsError::Buffer(limits.buffer_bytes_max));
        }
        for side in Side::BOTH {
            let default = limits.defaults.buffer_bytes[side];
            if default > limits.buffer_bytes_max {
                return Err(LimitsError::DefaultBuffer { default, max: limits.buffer_bytes_max });
            }
        }
        let table = FlowTable::new(worker, limits.flows_max, seed);
        let ledger = Ledger::new(limits.flows_max);
        let wheel = TimerWheel::new(limits.flows_max);
        let evictable = EvictionQueues::new(limits.flows_max);
        let assemblies = Assemblies::new(seed, limits.timeouts.fragments);
        let (Some(table), Some(ledger), Some(wheel), Some(evictable), Some(assemblies)) =
            (table, ledger, wheel, evictable, assemblies)
        else {
            return Err(LimitsError::Memory(u64::from(limits.flows_max)));
        };
        let pool =
            BufferPool::new(limits.pool_bytes).ok_or(LimitsError::Memory(limits.pool_bytes))?;
        let whole = alloc::vec![0; usize::from(u16::MAX)];
        let stack = Self {
            timeouts: FlowTimeouts::new(&limits.timeouts),
            limits,
            table,
            ledger,
            wheel,
            evictable,
            assemblies,
            whole,
            pool,
            stats: Stats::default(),
            grown: ArrayVec::new(),
        };
        if limits.populate {
            stack.populate().ok_or_else(|| LimitsError::Populate(limits.memory_bytes()))?;
        }
        Ok(stack)
    }

    /// Has the kernel give all memory now. `None` when it does not.
    fn populate(&self) -> Option<()> {
        self.table.populate()?;
        self.ledger.populate()?;
        self.wheel.populate()?;
        self.evictable.populate()?;
        self.pool.populate()
    }

    /// Ends flows that have been silent for too long: looks at `budget` flows at most. Returns how
    /// many it looked at.
    pub fn handle_timeout(&mut self, now: Instant, budget: u32, sink: &mut impl EventSink) -> u32 {
        self.assemblies.expire(now, &mut self.pool);
        let mut steps = TIMER_STEPS;
        for looked_at in 0..budget {
            let Some(slot) = self.wheel.pop(now, &mut steps) else { return looked_at };
            let Some((_, flow)) = self.table.get(slot) else { continue };
            let deadline = flow.deadline(&self.timeouts);
            if deadline <= now {
                let cause = flow.connection.timeout_cause();
                self.end(slot, now, Some(cause), sink);
            } else {
                self.wheel.file(slot, deadline);
            }
        }
        budget
    }

    /// Ends every flow, and returns all memory to the pool: the source has come to its end.
    pub fn finish(&mut self, sink: &mut impl EventSink) {
        self.assemblies.clear(&mut self.pool);
        for slot in 0..self.table.slots_used() {
            if let Some((_, flow)) = self.table.get(slot) {
                let (now, cause) = (flow.last_packet, flow.connection.ended);
                self.end(slot, now, cause, sink);
            }
        }
    }

    /// Everything known of one flow.
    ///
    /// # Errors
    ///
    /// The handle does not name a live flow.
    pub fn summary(&self, id: FlowId) -> Result<FlowSummary, LookupError> {
        let slot = self.resolve(id)?;
        self.summary_of(slot).ok_or(LookupError::Ended { cause: Some(EndCause::Stopped) })
    }

    /// Live flows between two endpoints, whichever of them is the client. `vlan` picks those with
    /// this 802.1Q id.
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
        // Where VLANs tell flows apart and none is named, each could have one: a bounded search.
        let tags = if self.limits.vlan_in_key && vlan.is_none() { VLAN_IDS } else { 0 };
        let named = if self.limits.vlan_in_key { vlan } else { None };
        for tag in core::iter::once(named).chain((0..tags).map(Some)) {
            let key = key.in_vlan(tag);
            let slot = self.table.find(&key, self.table.tag(&key));
            let summary = slot.and_then(|slot| self.summary_of(slot));
            found.extend(summary.filter(|flow| vlan.is_none() || flow.tuple.vlan == vlan));
            if found.is_full() {
                break;
            }
        }
        found
    }

    /// Visits at most `slots` slots from `cursor` on, and no more than there is room for in
    /// `page`. Returns where to go on, `None` at the end of the table.
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
        let (oldest, newest) = buffer.bounds(&self.pool);
        buffer.peek(&self.pool, offset, out).map_err(|error| match error {
            OutOfBuffer::Overwritten => PeekError::Overwritten { oldest, newest },
            OutOfBuffer::NotYetReceived => PeekError::NotYetReceived { oldest, newest },
        })
    }

    /// The counters.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The levels.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            flows: u64::from(self.table.len()),
            flow_slots: u64::from(self.limits.flows_max),
            pool_used_bytes: self.pool.used_bytes(),
            pool_bytes: self.pool.total_bytes(),
        }
    }

    /// Whether a segment of no known flow begins one.
    const fn opens_flow(&self, segment: &Segment<'_>) -> bool {
        let is_syn = segment.flags.is_syn() && !segment.flags.is_rst();
        is_syn || self.limits.adopt_midstream
    }

    /// Hands a segment to the flow in a slot.
    fn advance(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        now: Instant,
        sink: &mut impl EventSink,
    ) -> PacketOutcome {
        let id = needs_handle(sink).then(|| self.table.id(slot));
        let Self { table, pool, stats, ledger, .. } = self;
        let Some(flow) = table.get_mut(slot) else { return PacketOutcome::Orphan };
        let wants_growth = sink.wanted().contains(EventKind::NewData);
        let (lifetime, orientation) = (flow.connection.lifetime(), flow.orientation());
        let read = wants_growth.then(|| flow.next_offsets());
        let tuple = || orientation.tuple(&segment.key);
        let emitter = Emitter { time: now, flow: id, tuple, sink };
        flow.on_segment(segment, slot, now, Shared { pool, stats, ledger }, emitter);
        if flow.connection.lifetime() != lifetime {
            self.wheel.hasten(slot, flow.deadline(&self.timeouts));
            self.evictable.file(slot, flow.evictable());
        }
        if let Some(read) = read {
            note_growth(&mut self.grown, slot, flow, read);
        }
        if flow.socket.is_stopped() { PacketOutcome::Stopped } else { PacketOutcome::Monitored }
    }

    /// Enters the flow that a SYN, or a SYN/ACK, begins. `None` where there is no room.
    fn begin(
        &mut self,
        tag: Tag,
        segment: &Segment<'_>,
        now: Instant,
        sink: &mut impl EventSink,
    ) -> Option<u32> {
        self.evict_for_flow(now, sink);
        let defaults = self.limits.defaults;
        let slot =
            self.table.insert(segment.key, tag, || Flow::new(segment, now, defaults), now)?;
        let (_, flow) = self.table.get(slot)?;
        let (deadline, evictable) = (flow.deadline(&self.timeouts), flow.evictable());
        let orientation = flow.orientation();
        self.stats.count(Stat::FlowsStarted);
        self.wheel.file(slot, deadline);
        self.evictable.file(slot, evictable);
        let flow = Some(self.table.id(slot));
        let tuple = || orientation.tuple(&segment.key);
        Emitter { time: now, flow, tuple, sink }.emit(Fact::FlowStarted);
        Some(slot)
    }

    /// Emits that more of a side's stream can be read.
    fn emit_new_data(
        &self,
        slot: u32,
        side: Side,
        offset: StreamOffset,
        sink: &mut impl EventSink,
    ) {
        if let Some((key, flow)) = self.table.get(slot) {
            let (time, end) = (flow.last_packet, flow.next_offsets()[side]);
            let (tuple, flow) = (|| flow.tuple(&key), Some(self.table.id(slot)));
            Emitter { time, flow, tuple, sink }.emit(Fact::NewData { side, offset, end });
        }
    }

    /// Ends the flow in a slot if it is over by the time of this segment, which then belongs to
    /// another flow or to none.
    fn is_over(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        now: Instant,
        sink: &mut impl EventSink,
    ) -> bool {
        let Some(flow) = self.table.get_mut(slot) else { return true };
        flow.stop_predicting();
        let cause = if flow.deadline(&self.timeouts) <= now {
            flow.connection.timeout_cause()
        } else if flow.connection.is_superseded_by(
            segment,
            flow.side_of(segment.from),
            now.since(flow.last_packet),
        ) {
            EndCause::Reused
        } else {
            return false;
        };
        self.end(slot, now, Some(cause), sink);
        true
    }

    /// Removes a flow. One that was stopped has been reported already.
    fn end(&mut self, slot: u32, now: Instant, cause: Option<EndCause>, sink: &mut impl EventSink) {
        // What it received in this burst is emitted first, so that it is never lost.
        while let Some(at) = self.grown.iter().position(|(grown, _, _)| *grown == slot) {
            let (_, side, from) = self.grown.remove(at);
            self.emit_new_data(slot, side, from, sink);
        }
        let id = self.table.id(slot);
        if let Some((key, flow)) = self.table.get(slot)
            && !flow.socket.is_stopped()
        {
            sink.flow_ended(&self.view(id, key, flow), cause);
            let tuple = || flow.tuple(&key);
            Emitter { time: now, flow: Some(id), tuple, sink }.emit(Fact::FlowEnded(cause));
            if let Some(cause) = cause {
                self.stats.count_end(cause);
            }
        }
        self.wheel.remove(slot);
        self.evictable.remove(slot);
        if let Some(flow) = self.table.get_mut(slot) {
            flow.release(&mut self.pool);
        }
        self.table.remove(slot, now, cause.unwrap_or(EndCause::Timeout));
    }

    fn resolve(&self, id: FlowId) -> Result<u32, LookupError> {
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
    const fn view<'a>(&'a self, id: FlowId, key: FlowKey, flow: &'a Flow) -> FlowRef<'a> {
        FlowRef { id, key, flow, pool: &self.pool, ledger: &self.ledger }
    }
}

/// Notes which of a flow's streams can be read further than before, unless this burst has made them
/// grow already.
fn note_growth(
    grown: &mut ArrayVec<(u32, Side, StreamOffset), GROWN_MAX>,
    slot: u32,
    flow: &Flow,
    before: Sides<StreamOffset>,
) {
    let readable = flow.next_offsets();
    let has_grown = |side: &Side| flow.is_monitored(*side) && readable[*side] > before[*side];
    for side in Side::BOTH.into_iter().filter(has_grown) {
        if !grown.iter().any(|(at, of, _)| (*at, *of) == (slot, side)) {
            grown.push((slot, side, before[side]));
        }
    }
}

#[cfg(test)]
mod tests;
