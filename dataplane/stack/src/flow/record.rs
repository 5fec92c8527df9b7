//! One live flow: its connection, its buffers, its options.

use core::time::Duration;

use mos_memory::CACHE_LINE;

use super::{
    BufferPositions, BufferSummary, End, Evictable, FlowId, FlowKey, FlowStatus, FlowSummary,
    FlowTimeouts, FlowTuple, Ledger, LedgerEntry, OptionsOrigin, SideDetails, SideSummary, Timing,
    Trait, Traits, Vlans, key::KeyHead,
};
use crate::{
    Fact, Instant, OverlapRule, Side, Sides, SockOpts, Stat, Stats, StreamOffset, TcpState,
    aside::{Aside, Asides, What},
    opening::Opening,
    reassembly::{Appended, BufferPool, Reassembler},
    side::BySide,
    socket::MonitorSocket,
    tcp::{
        Arrival, Beginning, Connection, FlowSink, Lifetime, Prediction, Unsynced, Workbench,
        fact_of,
    },
    wire::Segment,
};

/// One flow. Fields are ordered by use: those that every packet needs come first and share a line
/// of the cache with the head of the key, which precedes the flow; each buffer has a line of its
/// own; the rest is used rarely.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Flow {
    pub(crate) last_packet: Instant,
    /// What comes next. The connection does not count yet what was accepted as predicted.
    prediction: Prediction,
    /// The last timestamp of each side.
    recent: BySide<u32>,
    /// A buffer of capacity 0 is not updated by predicted segments: [`Flow::next_offset`] has its
    /// position.
    pub(crate) buffers: Sides<Reassembler>,
    pub(crate) connection: Connection,
    pub(crate) socket: MonitorSocket,
    /// The outermost VLAN id; 0 for none.
    vlan: u16,
    started: Instant,
}

const _: () = assert!(
    size_of::<KeyHead>() + core::mem::offset_of!(Flow, buffers) == CACHE_LINE,
    "what every packet needs is one line of the cache"
);

/// What turns a key into a tuple: which end is the client, and the VLAN id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Orientation {
    client: End,
    vlan: u16,
}

impl Orientation {
    /// The addresses and ports.
    pub(crate) fn tuple(self, key: &FlowKey) -> FlowTuple {
        FlowTuple {
            client: key.endpoint(self.client),
            server: key.endpoint(self.client.other()),
            vlan: Vlans::one(self.vlan).outer(),
        }
    }
}

/// What a flow begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) options: SockOpts,
    /// A policy decided them.
    pub(crate) is_of_policy: bool,
}

/// What all flows of a stack use.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    pub(crate) pool: &'a mut BufferPool,
    pub(crate) stats: &'a mut Stats,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) asides: &'a mut Asides,
}

/// What became of a segment that may be the predicted one.
#[derive(Debug)]
pub(crate) enum Predicted<'a> {
    /// It is another one: nothing was done.
    Not,
    /// It was taken.
    Taken,
    /// It was taken, but its payload is still to be placed, except for what was appended.
    But(Arrival<'a>, Option<Appended>),
}

/// RFC 7323 section 5.5: after a silence of 24 days, the last timestamp means nothing.
const STALE: Duration = Duration::from_secs(24 * 24 * 3600);

impl Flow {
    /// The flow that begins with a SYN, a SYN/ACK, or a packet of an existing connection.
    #[inline]
    pub(crate) fn new(segment: &Segment<'_>, now: Instant, start: Start) -> Self {
        let Start { options, is_of_policy } = start;
        let traits = Traits::new(segment.client(), options.buffer_bytes);
        if is_of_policy {
            traits.set(Trait::OfPolicy);
        }
        let mut flow = Self {
            last_packet: now,
            prediction: Prediction::none(traits),
            recent: BySide::default(),
            buffers: options.buffer_bytes.map(Reassembler::new),
            connection: Connection::new(if segment.flags.is_syn() {
                Beginning::Syn
            } else {
                Beginning::Midstream
            }),
            socket: MonitorSocket::new(options),
            vlan: segment.vlans.outer().unwrap_or_default(),
            started: now,
        };
        flow.freeze(&options);
        flow
    }

    /// Freezes what is shown of the sides that these options stop.
    fn freeze(&mut self, options: &SockOpts) {
        for side in Side::BOTH.into_iter().filter(|side| options.is_stopped(*side)) {
            let tcp = &mut self.connection.sides[side];
            tcp.frozen = tcp.frozen.or(Some(tcp.state));
        }
    }

    /// The side at one end of the key.
    #[inline]
    pub(crate) const fn side_of(&self, end: End) -> Side {
        self.prediction.traits.side_of(end)
    }

    /// Takes one segment of the flow, which lives in `slot`.
    pub(crate) fn on_segment(
        &mut self,
        segment: &Segment<'_>,
        slot: u32,
        now: Instant,
        shared: Shared<'_>,
        sink: impl FlowSink,
    ) {
        let from = self.side_of(segment.from);
        self.stop_predicting();
        let is_stale = now.since(self.last_packet) >= STALE;
        self.last_packet = self.last_packet.max(now);
        let frozen = self.connection.frozen();
        let (connection, mut on) = self.workbench(slot, frozen, shared, sink);
        on.is_stale = is_stale;
        connection.on_segment(segment, from, &mut on);
        self.predict_next();
    }

    /// Decides what is kept aside of the flow, which lives in `slot`, when it ends.
    pub(crate) fn finish(&mut self, slot: u32, shared: Shared<'_>, sink: impl FlowSink) {
        self.stop_predicting();
        let frozen = self.connection.frozen();
        let (connection, mut on) = self.workbench(slot, frozen, shared, sink);
        connection.finish(&mut on);
    }

    /// Whether anything of the flow is kept aside.
    pub(crate) const fn has_aside(&self) -> bool {
        self.prediction.traits.has(Trait::HasAside)
    }

    /// Begins the flow, which lives in `slot`, with a SYN of `from` that was kept aside.
    pub(crate) fn open(
        &mut self,
        opening: Opening,
        from: Side,
        slot: u32,
        shared: Shared<'_>,
        sink: impl FlowSink,
    ) {
        let (connection, mut on) = self.workbench(slot, Sides::default(), shared, sink);
        connection.open(opening, from, &mut on);
    }

    /// Keeps a SYN of `from` aside: the answer may still acknowledge it.
    pub(crate) fn keep_question(
        &mut self,
        opening: Opening,
        from: Side,
        slot: u32,
        pool: &mut BufferPool,
        asides: &mut Asides,
    ) {
        let traits = &self.prediction.traits;
        Aside { table: asides, slot, traits }.keep(pool, from, What::Syn(opening), opening.seq);
    }

    /// The SYN of the peer, kept aside, with which another connection begins, because this SYN/ACK
    /// acknowledges it.
    pub(crate) fn question_answered_by(
        &self,
        segment: &Segment<'_>,
        slot: u32,
        asides: &mut Asides,
    ) -> Option<Opening> {
        let traits = &self.prediction.traits;
        let aside = Aside { table: asides, slot, traits };
        self.connection.question_answered_by(segment, self.side_of(segment.from), &aside)
    }

    /// The SYN of a side that has begun the flow and was not answered, if it has sent no more.
    pub(crate) fn unanswered(&self, side: Side) -> Option<Opening> {
        self.connection.unanswered(side, self.recent[side])
    }

    /// Takes a plain segment, if it is the predicted one. A flow that has been silent for `idle`
    /// nanoseconds predicts none.
    #[inline(always)]
    pub(crate) fn on_predicted<'a, S: FlowSink>(
        &mut self,
        segment: &Segment<'a>,
        Timing { now, idle }: Timing,
        pool: &mut BufferPool,
        stats: &mut Stats,
        make_sink: impl FnOnce(Orientation) -> S,
    ) -> Predicted<'a> {
        if self.last_packet.after_nanos(idle) <= now {
            return Predicted::Not;
        }
        if !self.prediction.accept(segment, &mut self.recent) {
            return Predicted::Not;
        }
        self.last_packet = self.last_packet.max(now);
        stats.add(Stat::PayloadBytes, u64::from(segment.payload_length));
        let bytes = segment.payload;
        if bytes.is_empty() || !self.prediction.traits.has_buffer_for(segment.from) {
            return Predicted::Taken;
        }
        let receiver = self.side_of(segment.from).peer();
        let mut sink = make_sink(self.orientation());
        let buffer = &mut self.buffers[receiver];
        let (offset, acknowledged) = (buffer.next(), StreamOffset::ZERO);
        let arrival = Arrival { side: receiver, offset, bytes, acknowledged };
        match arrival.append(buffer, pool, stats, &mut sink) {
            Ok(_) => Predicted::Taken,
            Err(appended) => Predicted::But(arrival, appended),
        }
    }

    /// Takes a plain segment that repeats what was said before, if that changes nothing of what is
    /// predicted. `false`: it is another segment, and nothing was done.
    pub(crate) fn on_repeat(
        &mut self,
        segment: &Segment<'_>,
        Timing { now, idle }: Timing,
        slot: u32,
        shared: Shared<'_>,
        sink: impl FlowSink,
    ) -> bool {
        let is_silent = self.last_packet.after_nanos(idle) <= now;
        if is_silent || now.since(self.last_packet) >= STALE {
            return false;
        }
        let from = self.side_of(segment.from);
        let repeat = self.connection.repeat_of(segment, from, &self.prediction, self.recent);
        let Some(repeat) = repeat else { return false };
        self.last_packet = self.last_packet.max(now);
        let (connection, mut on) = self.workbench(slot, Sides::default(), shared, sink);
        connection.on_repeat(segment, repeat, from, &mut on);
        true
    }

    /// Places the payload of a predicted segment that could not be appended as usual.
    pub(crate) fn place_rest(
        &mut self,
        arrival: Arrival<'_>,
        appended: Option<Appended>,
        slot: u32,
        shared: Shared<'_>,
        sink: impl FlowSink,
    ) {
        let (_, mut on) = self.workbench(slot, Sides::default(), shared, sink);
        on.place_rest(arrival, appended);
        self.stop_predicting();
        self.predict_next();
    }

    /// Predicts anew, if a segment may be the next one, but is beyond what the prediction can count
    /// or beyond the window of the time when it was made. Returns whether it has.
    pub(crate) fn predict_anew(&mut self, segment: &Segment<'_>) -> bool {
        let is_next = self.prediction.is_next(segment, self.side_of(segment.from));
        if is_next {
            self.stop_predicting();
            self.predict_next();
        }
        is_next
    }

    /// Whether the next segments are predicted, so that they need little of the flow.
    #[inline]
    pub(crate) const fn is_predicted(&self) -> bool {
        self.prediction.is_some()
    }

    /// Predicts the next segments, after one that was not predicted.
    fn predict_next(&mut self) {
        let received = self.buffers.each_ref().map(Reassembler::next);
        self.connection.predict_next(received, &mut self.prediction);
    }

    /// Stops predicting until [`Self::predict_next`]: brings the connection, and buffers without
    /// capacity, to the state that they would have without prediction.
    pub(crate) fn stop_predicting(&mut self) {
        if !self.prediction.is_some() {
            return;
        }
        for side in Side::BOTH {
            if self.has_buffer(side) {
                continue;
            }
            self.buffers[side].skip_to(self.connection.sent(&self.prediction, side.peer()));
        }
        self.connection.sync(&self.prediction);
        self.prediction.clear();
    }

    fn has_buffer(&self, side: Side) -> bool {
        self.prediction.traits.has_buffer(side)
    }

    /// The buffer for what one end of the key sends, and whether its capacity is above 0.
    #[inline]
    pub(crate) fn buffer_for(&self, from: End) -> (&Reassembler, bool) {
        let receiver = self.side_of(from).peer();
        (&self.buffers[receiver], self.prediction.traits.has_buffer_for(from))
    }

    /// What a segment works on; `frozen` are the sides that are no longer monitored.
    #[inline]
    fn workbench<'a, S: FlowSink>(
        &'a mut self,
        slot: u32,
        frozen: Sides<bool>,
        shared: Shared<'a>,
        sink: S,
    ) -> (&'a mut Connection, Workbench<'a, S>) {
        let Shared { pool, stats, ledger, asides } = shared;
        let traits = &self.prediction.traits;
        let bench = Workbench {
            buffers: &mut self.buffers,
            pool,
            overlap: self.socket.overlap().map(OverlapRule::Policy),
            stats,
            entry: LedgerEntry { ledger, slot, traits },
            aside: Aside { table: asides, slot, traits },
            recent: &mut self.recent,
            is_stale: false,
            frozen,
            sink,
        };
        (&mut self.connection, bench)
    }

    /// The first offset of each side's stream that cannot be read yet.
    pub(crate) fn next_offsets(&self) -> Sides<StreamOffset> {
        let [client, server] = Side::BOTH.map(|side| self.next_offset(side));
        Sides { client, server }
    }

    /// The first offset of a side's stream that cannot be read yet.
    fn next_offset(&self, side: Side) -> StreamOffset {
        if self.prediction.is_some() && !self.has_buffer(side) {
            self.connection.sent(&self.prediction, side.peer())
        } else {
            self.buffers[side].next()
        }
    }

    /// Whether a side is still monitored.
    pub(crate) fn is_monitored(&self, side: Side) -> bool {
        !self.socket.is_side_stopped(side)
    }

    /// The options in force.
    pub(crate) fn options(&self) -> SockOpts {
        let Sides { client, server } = &self.buffers;
        let capacities = Sides { client: client.capacity(), server: server.capacity() };
        self.socket.options(capacities)
    }

    /// When the flow ends unless another packet comes.
    #[inline]
    pub(crate) const fn deadline(&self, timeouts: &FlowTimeouts) -> Instant {
        self.last_packet.after_nanos(timeouts.of(self.connection.lifetime()))
    }

    /// Whether the flow may be evicted when room is needed, and why.
    pub(crate) const fn evictable(&self) -> Option<Evictable> {
        match self.connection.lifetime() {
            Lifetime::HalfOpen => Some(Evictable::HalfOpen),
            Lifetime::TimeWait => Some(Evictable::Ended),
            Lifetime::Established | Lifetime::Closing => None,
        }
    }

    /// Puts planned options in force. Returns the bytes that this discards, or `None` if the pool
    /// has no room for the index of a larger buffer, which the plan has checked.
    pub(crate) fn adopt(
        &mut self,
        planned: SockOpts,
        slot: u32,
        pool: &mut BufferPool,
        ledger: &mut Ledger,
        mut emit: impl FnMut(Fact),
    ) -> Option<u64> {
        let before = self.options();
        self.stop_predicting();
        let mut discarded = 0;
        for side in Side::BOTH {
            let mut emit = |fact| emit(fact_of(side, fact));
            let capacity = planned.buffer_bytes[side];
            let (bytes, placed) = self.buffers[side].resize(pool, capacity, &mut emit)?;
            discarded += bytes;
            self.prediction.traits.note_capacity(side, capacity);
            if placed.is_irregular() {
                let traits = &self.prediction.traits;
                LedgerEntry { ledger, slot, traits }.count(side, &placed);
            }
        }
        self.freeze(&planned);
        self.predict_next();
        if planned != before {
            self.socket.adopt(planned);
            let traits = &self.prediction.traits;
            let revision = LedgerEntry { ledger, slot, traits }.count_revision();
            emit(Fact::OptionsChanged { options: planned, revision });
        }
        Some(discarded)
    }

    /// Returns all memory of the flow in `slot` to the pool.
    pub(crate) fn release(&mut self, slot: u32, pool: &mut BufferPool, asides: &mut Asides) {
        if self.has_aside() {
            asides.clear(slot, pool);
        }
        for side in Side::BOTH {
            if self.has_buffer(side) {
                self.buffers[side].release(pool);
            }
        }
    }

    /// What turns the flow's key into its tuple.
    pub(crate) const fn orientation(&self) -> Orientation {
        Orientation { client: self.prediction.traits.client(), vlan: self.vlan }
    }

    /// The flow's addresses and ports.
    pub(crate) fn tuple(&self, key: &FlowKey) -> FlowTuple {
        self.orientation().tuple(key)
    }

    fn has_entry(&self) -> bool {
        self.prediction.traits.has(Trait::HasEntry)
    }

    /// How often the options were changed; the flow lives in `slot`.
    pub(crate) fn revision(&self, slot: u32, ledger: &Ledger) -> u32 {
        if self.has_entry() { ledger.revision(slot) } else { 0 }
    }

    /// A copy of all that the control plane may know of the flow.
    #[inline(always)]
    pub(crate) fn summary(
        &self,
        id: FlowId,
        key: &FlowKey,
        pool: &BufferPool,
        ledger: &Ledger,
    ) -> FlowSummary {
        let irregularities =
            if self.has_entry() { ledger.get(id.slot()) } else { Sides::default() };
        let status = self.status(key, id.slot(), ledger);
        let FlowStatus { states, is_one_sided, options, origin, revision, .. } = status;
        let FlowStatus { started, last_packet, inner_vlan, .. } = status;
        let side = |side: Side| {
            let tcp = &self.connection.sides[side];
            let Unsynced { packets, bytes } = self.connection.unsynced(&self.prediction, side);
            SideSummary {
                state: states[side],
                packets: tcp.packets + packets,
                payload_bytes: tcp.payload_bytes + bytes,
                acknowledged: self.connection.acknowledged(&self.prediction, side),
                retransmits: irregularities[side].retransmits,
                suspicious_segments: irregularities[side].suspicious,
                buffer: irregularities[side].complete(self.buffer_summary(side, pool)),
            }
        };
        FlowSummary {
            id,
            tuple: self.tuple(key),
            inner_vlan,
            sides: Sides { client: side(Side::Client), server: side(Side::Server) },
            is_one_sided,
            options,
            origin,
            revision,
            started,
            last_packet,
        }
    }

    /// The emulated states, as lists show them.
    pub(crate) fn states(&self) -> Sides<TcpState> {
        self.connection.sides.each_ref().map(|tcp| tcp.frozen.unwrap_or(tcp.state))
    }

    /// What changes with states and options, for a flow in this slot.
    pub(crate) fn status(&self, key: &FlowKey, slot: u32, ledger: &Ledger) -> FlowStatus {
        let revision = self.revision(slot, ledger);
        FlowStatus {
            states: self.states(),
            is_one_sided: self.connection.is_one_sided(),
            options: self.options(),
            origin: self.origin(revision),
            revision,
            started: self.started,
            last_packet: self.last_packet,
            inner_vlan: key.vlans().inner(),
        }
    }

    /// Where the options come from; `revision` is theirs.
    const fn origin(&self, revision: u32) -> OptionsOrigin {
        match revision {
            0 if self.prediction.traits.has(Trait::OfPolicy) => OptionsOrigin::Policy,
            0 => OptionsOrigin::Default,
            1.. => OptionsOrigin::Explicit,
        }
    }

    /// The summary of one side's buffer, without the counters of the ledger.
    #[inline]
    fn buffer_summary(&self, side: Side, pool: &BufferPool) -> BufferSummary {
        let summary = self.buffers[side].summary(pool);
        if self.has_buffer(side) {
            return summary;
        }
        let next = self.next_offset(side);
        BufferSummary { oldest: next, newest: next, next, contiguous: next, ..summary }
    }

    /// The details of one side's receive buffer.
    pub(crate) fn side_details(&self, side: Side, pool: &BufferPool) -> SideDetails {
        let buffer = &self.buffers[side];
        let (fragments, fragments_total) = buffer.fragments(pool);
        let positions = || {
            let sender = &self.connection.sides[side.peer()];
            let next = sender.seq_of(buffer.next())?.0;
            let received = buffer.bounds(pool).1.max(buffer.next());
            Some(BufferPositions {
                init_seq: sender.seq_of(StreamOffset::ZERO)?.0,
                last_byte_read: next,
                next_byte_expected: next,
                last_byte_received: sender.seq_of(received)?.0,
            })
        };
        let has_buffer = buffer.capacity() > 0 && self.is_monitored(side);
        SideDetails { fragments, fragments_total, positions: positions().filter(|_| has_buffer) }
    }
}
