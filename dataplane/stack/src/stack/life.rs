//! The life of a flow: it begins, takes segments, and ends.

use arrayvec::ArrayVec;

use super::{
    Stack,
    emitter::{Emitter, needs_handle},
};
use crate::{
    EndCause, EventKind, EventSink, Fact, Instant, PacketOutcome, Side, Sides, Stat, StatusChange,
    StreamOffset, TcpState,
    flow::{Flow, Shared, Tag},
    limits::BURST,
    opening::Opening,
    socket::StopScope,
    wire::Segment,
};

/// Streams that one burst of segments can make grow, at most: both of each segment's flow.
pub(super) const GROWN_MAX: usize = 2 * BURST;

/// A stream that can be read further than before the burst.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    pub(super) slot: u32,
    /// The side that receives it.
    pub(super) side: Side,
    /// The first new offset.
    pub(super) from: StreamOffset,
}

/// What becomes of a flow with the next segment.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// The segment belongs to it.
    GoesOn(u32),
    /// It has ended, or there was none.
    Over(Option<Former>),
}

/// What the next flow of the tuple must know of the one before.
#[derive(Debug, Clone, Copy)]
pub(super) enum Former {
    /// A SYN that was not answered: the answer to come may acknowledge it.
    Unanswered(Opening),
    /// The SYN that the segment, a SYN/ACK, acknowledges.
    Answered(Opening),
}

impl Stack {
    /// Whether a segment of no known flow begins one.
    pub(super) const fn opens_flow(&self, segment: &Segment<'_>) -> bool {
        let is_syn = segment.flags.is_syn() && !segment.flags.is_rst();
        is_syn || self.limits.adopt_midstream
    }

    /// Passes a segment to the flow in a slot.
    pub(super) fn advance(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        now: Instant,
        sink: &mut impl EventSink,
    ) -> PacketOutcome {
        let id = needs_handle(sink).then(|| self.table.id(slot));
        let Self { table, pool, stats, ledger, asides, .. } = self;
        let Some(flow) = table.get_mut(slot) else { return PacketOutcome::Orphan };
        let wants_growth = sink.wanted().contains(EventKind::NewData);
        let (lifetime, orientation) = (flow.connection.lifetime(), flow.orientation());
        let read = wants_growth.then(|| flow.next_offsets());
        let tuple = || orientation.tuple(&segment.key);
        let emitter = Emitter { time: now, flow: id, tuple, sink };
        flow.on_segment(segment, slot, now, Shared { pool, stats, ledger, asides }, emitter);
        if flow.connection.lifetime() != lifetime {
            self.wheel.hasten(slot, flow.deadline(&self.timeouts));
            self.evictable.file(slot, flow.evictable());
        }
        if let Some(read) = read {
            note_growth(&mut self.grown, slot, flow, read);
        }
        if flow.socket.is_stopped() { PacketOutcome::Stopped } else { PacketOutcome::Monitored }
    }

    /// Inserts the flow that a segment begins.
    ///
    /// # Errors
    ///
    /// What the packet counts as where none begins: a policy excludes it, or the table has no room.
    pub(super) fn begin(
        &mut self,
        tag: Tag,
        segment: &Segment<'_>,
        now: Instant,
        sink: &mut impl EventSink,
    ) -> Result<u32, PacketOutcome> {
        let start = self.start(segment).ok_or(PacketOutcome::Excluded)?;
        self.evict_for_flow(now, sink);
        let flow = || Flow::new(segment, now, start);
        let inserted = self.table.insert(segment.key, tag, flow, now);
        let slot = inserted.ok_or(PacketOutcome::TableFull)?;
        let (_, flow) = self.table.get(slot).ok_or(PacketOutcome::TableFull)?;
        let (deadline, evictable) = (flow.deadline(&self.timeouts), flow.evictable());
        let orientation = flow.orientation();
        self.stats.count(Stat::FlowsStarted);
        self.vlan_pairs.note(segment.vlans);
        self.wheel.file(slot, deadline);
        self.evictable.file(slot, evictable);
        let id = self.table.id(slot);
        sink.flow_started(id);
        let flow = Some(id);
        let tuple = || orientation.tuple(&segment.key);
        Emitter { time: now, flow, tuple, sink }.emit(Fact::FlowStarted);
        if start.options.stopped == Some(StopScope::Both) {
            self.tell_end(slot, now, Some(EndCause::Stopped), sink);
        }
        Ok(slot)
    }

    /// Emits that more of a side's stream can be read.
    pub(super) fn emit_new_data(&self, growth: Growth, sink: &mut impl EventSink) {
        let Growth { slot, side, from: offset } = growth;
        if let Some((key, flow)) = self.table.get(slot) {
            let (time, end) = (flow.last_packet, flow.next_offsets()[side]);
            let (tuple, flow) = (|| flow.tuple(&key), Some(self.table.id(slot)));
            Emitter { time, flow, tuple, sink }.emit(Fact::NewData { side, offset, end });
        }
    }

    /// What becomes of the flow in a slot with this segment: ends it if it has timed out or the
    /// segment supersedes it. The segment then belongs to another flow or to none.
    pub(super) fn fate(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        now: Instant,
        sink: &mut impl EventSink,
    ) -> Fate {
        let Some(flow) = self.table.get_mut(slot) else { return Fate::Over(None) };
        flow.stop_predicting();
        let is_over = flow.deadline(&self.timeouts) <= now;
        if !is_over && !segment.flags.is_syn() {
            return Fate::GoesOn(slot);
        }
        let (from, silence) = (flow.side_of(segment.from), now.since(flow.last_packet));
        let silent = flow.connection.silent_cause();
        let (cause, former) = if is_over {
            (silent.unwrap_or(EndCause::Timeout), None)
        } else if flow.connection.is_superseded_by(segment, from, silence) {
            let asked = flow.unanswered(from).filter(|_| silent.is_none());
            (silent.unwrap_or(EndCause::Reused), asked.map(Former::Unanswered))
        } else if let Some(opening) = flow.question_answered_by(segment, slot, &mut self.asides) {
            (silent.unwrap_or(EndCause::Reused), Some(Former::Answered(opening)))
        } else {
            return Fate::GoesOn(slot);
        };
        self.end(slot, now, Some(cause), sink);
        Fate::Over(former)
    }

    /// Tells a flow that has just begun what is known from before.
    pub(super) fn carry_on(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        former: Former,
        now: Instant,
        sink: &mut impl EventSink,
    ) {
        let id = Some(self.table.id(slot));
        let Self { table, pool, stats, ledger, asides, .. } = self;
        let Some(flow) = table.get_mut(slot) else { return };
        let (from, orientation) = (flow.side_of(segment.from), flow.orientation());
        match former {
            Former::Unanswered(opening) => flow.keep_question(opening, from, slot, pool, asides),
            Former::Answered(opening) => {
                let shared = Shared { pool, stats, ledger, asides };
                let tuple = || orientation.tuple(&segment.key);
                let emitter = Emitter { time: now, flow: id, tuple, sink };
                flow.open(opening, from.peer(), slot, shared, emitter);
            }
        }
    }

    /// Decides what is kept aside of a flow that ends.
    fn finish_aside(&mut self, slot: u32, sink: &mut impl EventSink) {
        let id = needs_handle(sink).then(|| self.table.id(slot));
        let Self { table, pool, stats, ledger, asides, .. } = self;
        let Some((key, flow)) = table.get(slot).filter(|(_, flow)| flow.has_aside()) else {
            return;
        };
        let (time, tuple) = (flow.last_packet, flow.tuple(&key));
        let Some(flow) = table.get_mut(slot) else { return };
        let read = flow.next_offsets();
        let emitter = Emitter { time, flow: id, tuple: || tuple, sink };
        flow.finish(slot, Shared { pool, stats, ledger, asides }, emitter);
        if sink.wanted().contains(EventKind::NewData) {
            note_growth(&mut self.grown, slot, flow, read);
        }
    }

    /// Emits and counts the end of a flow.
    pub(super) fn tell_end(
        &mut self,
        slot: u32,
        now: Instant,
        cause: Option<EndCause>,
        sink: &mut impl EventSink,
    ) {
        let id = self.table.id(slot);
        let Some((key, flow)) = self.table.get(slot) else { return };
        sink.flow_ended(&self.view(id, key, flow), cause);
        let tuple = || flow.tuple(&key);
        Emitter { time: now, flow: Some(id), tuple, sink }.emit(Fact::FlowEnded(cause));
        if let Some(cause) = cause {
            self.stats.count_end(cause);
        }
    }

    /// The states of the flow in a slot.
    pub(super) fn states(&self, slot: u32) -> Option<Sides<TcpState>> {
        self.table.get(slot).map(|(_, flow)| flow.states())
    }

    /// Emits how a flow is after a segment, if its states were others before, or if it has begun.
    /// A flow that is stopped is in no list.
    pub(super) fn tell_states(
        &self,
        slot: u32,
        before: Option<Sides<TcpState>>,
        now: Instant,
        sink: &mut impl EventSink,
    ) {
        let Some((_, flow)) = self.table.get(slot) else { return };
        if flow.socket.is_stopped() || before == Some(flow.states()) {
            return;
        }
        let has_begun = before.is_none();
        let change = if has_begun { StatusChange::Began } else { StatusChange::Changed };
        self.tell_status(slot, change, now, sink);
    }

    /// Emits how a flow is, to those who follow flows.
    pub(super) fn tell_status(
        &self,
        slot: u32,
        change: StatusChange,
        now: Instant,
        sink: &mut impl EventSink,
    ) {
        if !sink.wanted().contains(EventKind::FlowStatus) {
            return;
        }
        let Some((key, flow)) = self.table.get(slot) else { return };
        let status = flow.status(&key, slot, &self.ledger);
        let (tuple, flow) = (|| flow.tuple(&key), Some(self.table.id(slot)));
        Emitter { time: now, flow, tuple, sink }.emit(Fact::FlowStatus { change, status });
    }

    /// Removes a flow and emits its end; that of a stopped flow was emitted when it was stopped.
    pub(super) fn end(
        &mut self,
        slot: u32,
        now: Instant,
        cause: Option<EndCause>,
        sink: &mut impl EventSink,
    ) {
        self.finish_aside(slot, sink);
        // What it received in this burst is emitted first, so that it is never lost.
        while let Some(at) = self.grown.iter().position(|growth| growth.slot == slot) {
            let growth = self.grown.remove(at);
            self.emit_new_data(growth, sink);
        }
        if self.table.get(slot).is_some_and(|(_, flow)| !flow.socket.is_stopped()) {
            self.tell_end(slot, now, cause, sink);
            self.tell_status(slot, StatusChange::Ended(cause), now, sink);
        }
        self.wheel.remove(slot);
        self.evictable.remove(slot);
        if let Some(flow) = self.table.get_mut(slot) {
            flow.release(slot, &mut self.pool, &mut self.asides);
        }
        self.table.remove(slot, now, cause.unwrap_or(EndCause::Timeout));
    }
}

/// Records the streams of a flow that have grown since `before`, each once per burst.
pub(super) fn note_growth(
    grown: &mut ArrayVec<Growth, GROWN_MAX>,
    slot: u32,
    flow: &Flow,
    before: Sides<StreamOffset>,
) {
    let readable = flow.next_offsets();
    let has_grown = |side: &Side| flow.is_monitored(*side) && readable[*side] > before[*side];
    for side in Side::BOTH.into_iter().filter(has_grown) {
        if !grown.iter().any(|growth| (growth.slot, growth.side) == (slot, side)) {
            grown.push(Growth { slot, side, from: before[side] });
        }
    }
}
