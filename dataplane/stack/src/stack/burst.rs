//! The path of packets through the stack: one burst at a time, in stages.
//!
//! ```text
//! parse 32, hash 32 ─▶ look up 32 flows ─▶ look up 32 buffers ─▶ take one by one,
//!                                                                prefetch the next payload
//! ```
//!
//! What one stage prefetches is in the cache when the next stage needs it.

use core::mem;

use arrayvec::ArrayVec;
use mos_memory::{CACHE_LINE, prefetch, prefetch_bytes, prefetch_start};

use super::{
    Stack,
    emitter::{Emitter, needs_handle},
    life::{Fate, note_growth},
};
use crate::{
    EndCause, EventKind, EventSink, Fact, Frame, FrameSet, Instant, PacketOutcome, Stat,
    assembly::Whole,
    flow::{Flow, FlowKey, FlowTable, Predicted, Shared, Tag, Timing},
    limits::BURST,
    reassembly::{Appended, Reassembler},
    tcp::{Arrival, Lifetime},
    wire::{
        Fragment, ParseError, Parsed, Segment, Verify, is_on_loopback, parse_any, parse_assembled,
        parse_common,
    },
};

/// The flow table of a stack.
type Table = FlowTable<Flow, EndCause>;

/// A packet between two stages.
#[derive(Debug)]
struct Packet<'a> {
    parsed: Result<Parsed<'a>, ParseError>,
    arrival: Instant,
    /// Tag of the flow's key; the default for what is no segment.
    tag: Tag,
    /// The first slot with this tag before the burst: nearly always that of the packet's flow.
    likely: Option<u32>,
    /// Whether it is a segment for which [`Segment::is_plain`] holds.
    is_plain: bool,
}

impl Packet<'_> {
    /// The payload; empty for what is no segment.
    #[inline]
    const fn payload(&self) -> &[u8] {
        match &self.parsed {
            Ok(Parsed::Segment(segment)) => segment.payload,
            _ => &[],
        }
    }

    /// The buffer that the payload probably goes to, and whether its capacity is above 0.
    #[inline]
    fn buffer<'t>(&self, table: &'t Table) -> Option<(&'t Reassembler, bool)> {
        let Ok(Parsed::Segment(segment)) = &self.parsed else { return None };
        let (_, flow) = table.get(self.likely?)?;
        Some(flow.buffer_for(segment.from))
    }
}

impl Stack {
    /// Handles frames in order of arrival, in bursts of at most [`BURST`]: parses all of a burst,
    /// looks up all flows, then handles packet after packet.
    ///
    /// Returns which of the first [`BURST`] frames did not end as [`PacketOutcome::Monitored`]:
    /// frames of stopped and of excluded flows, orphans, frames that found the table full,
    /// fragments except the one that completes a monitored segment, and frames without a segment.
    /// No source hands over more than [`BURST`] frames at once.
    pub fn handle_burst(&mut self, frames: &[Frame<'_>], sink: &mut impl EventSink) -> FrameSet {
        let mut unmonitored = None;
        for frames in frames.chunks(BURST) {
            self.evict_for_memory(
                frames.first().map_or(Instant::EPOCH, |first| first.arrival),
                sink,
            );
            let mut packets = ArrayVec::new();
            self.parse(frames, &mut packets);
            for packet in &mut packets {
                packet.likely = self.prefetch_likely(packet);
            }
            self.handle_packets(frames, &packets, sink);
            let bytes = frames.iter().map(|frame| frame.bytes.len() as u64).sum();
            self.stats.add(Stat::FrameBytes, bytes);
            for at in 0..self.grown.len() {
                self.emit_new_data(self.grown[at], sink);
            }
            self.grown.clear();
            let of_burst = mem::take(&mut self.unmonitored);
            unmonitored.get_or_insert(of_burst);
        }
        unmonitored.unwrap_or_default()
    }

    /// Handles packets one by one. The first lines of all payloads and of their places fit into the
    /// cache, whole payloads do not: the rest of each is prefetched one packet before its turn.
    #[inline(always)]
    fn handle_packets(
        &mut self,
        frames: &[Frame<'_>],
        packets: &[Packet<'_>],
        sink: &mut impl EventSink,
    ) {
        let idle = self.timeouts.of(Lifetime::Established);
        if needs_handle(sink) {
            self.prefetch_ids(packets);
        }
        self.prefetch_unpredicted(packets);
        let is_stored = self.pool.used_bytes() > 0;
        let has_long = is_stored && self.prefetch_buffers(packets);
        let mut rest = packets.iter();
        while let Some(packet) = rest.next() {
            if has_long && let Some(next) = rest.as_slice().first() {
                self.prefetch_payload(next);
            }
            if !self.handle_predicted(packet, idle, sink) {
                let at = packets.len() - rest.len() - 1;
                self.handle_unpredicted(at, &frames[at], packet, sink);
            }
        }
    }

    /// Parses each frame, hashes the key of its flow and prefetches its bucket of the index. What
    /// is no segment needs no tag.
    #[inline(always)]
    fn parse<'a>(&self, frames: &[Frame<'a>], packets: &mut ArrayVec<Packet<'a>, BURST>) {
        let verify = self.verify();
        for frame in frames {
            prefetch_start(frame.bytes);
        }
        for frame in frames {
            // Each arm constructs the packet in place, so that it is not copied.
            match parse_common(frame, verify) {
                Some(segment) => {
                    let tag = self.table.hash_and_prefetch(&segment.key);
                    let is_plain = segment.is_plain();
                    let parsed = Ok(Parsed::Segment(segment));
                    let arrival = frame.arrival;
                    packets.push(Packet { parsed, arrival, tag, likely: None, is_plain });
                }
                None => packets.push(
                    self.packet(parse_any(frame, verify, &self.limits.tunnels), frame.arrival),
                ),
            }
        }
    }

    /// Makes a packet of what was parsed.
    fn packet<'a>(
        &self,
        mut parsed: Result<Parsed<'a>, ParseError>,
        arrival: Instant,
    ) -> Packet<'a> {
        let (tag, is_plain) = match &mut parsed {
            Ok(Parsed::Segment(segment)) => {
                self.complete(segment);
                (self.table.hash_and_prefetch(&segment.key), segment.is_plain())
            }
            Ok(Parsed::Fragment(_)) | Err(_) => (Tag::default(), false),
        };
        Packet { parsed, arrival, tag, likely: None, is_plain }
    }

    /// Adds the VLANs to the key of a segment if VLANs are part of keys.
    #[inline]
    fn complete(&self, segment: &mut Segment<'_>) {
        if self.limits.vlan_in_key {
            segment.key = segment.key.in_vlans(segment.vlans);
        }
    }

    const fn verify(&self) -> Verify {
        if self.limits.verify_checksums { Verify::Software } else { Verify::Never }
    }

    /// The first slot with a packet's tag: nearly always that of its flow. Prefetches it.
    #[inline(always)]
    fn prefetch_likely(&self, packet: &Packet<'_>) -> Option<u32> {
        let Ok(Parsed::Segment(segment)) = &packet.parsed else { return None };
        self.table.prefetch_likely(&segment.key, packet.tag)
    }

    /// Prefetches what the handles of flows are made from.
    #[inline(always)]
    fn prefetch_ids(&self, packets: &[Packet<'_>]) {
        for slot in packets.iter().filter_map(|packet| packet.likely) {
            self.table.prefetch_id(slot);
        }
    }

    /// Prefetches the cold lines of flows that will leave the predicted path.
    #[inline(always)]
    fn prefetch_unpredicted(&self, packets: &[Packet<'_>]) {
        let (mut unpredicted, mut count) = ([0; BURST], 0);
        for packet in packets {
            let Some(slot) = packet.likely else { continue };
            let Some((_, flow)) = self.table.get(slot) else { continue };
            // Branch-free filter: always write, advance only if kept.
            unpredicted[count % BURST] = slot;
            count += usize::from(!(packet.is_plain & flow.is_predicted()));
        }
        for slot in unpredicted.into_iter().take(count) {
            self.table.prefetch_slot(slot);
            self.wheel.prefetch(slot);
            self.evictable.prefetch(slot);
        }
    }

    /// Prefetches the buffers that payloads will probably go to, and their places in these. Returns
    /// whether any payload is longer than a line of the cache.
    #[inline(always)]
    fn prefetch_buffers(&mut self, packets: &[Packet<'_>]) -> bool {
        let Self { table, pool, .. } = self;
        let (mut buffers, mut count, mut longest) = ([None; BURST], 0, 0);
        for packet in packets {
            let Some((buffer, is_used)) = packet.buffer(table) else { continue };
            let length = packet.payload().len();
            // The same branch-free filter: which side sends data is not predictable.
            buffers[count % BURST] = Some(buffer);
            count += usize::from(is_used & (length > 0));
            longest = longest.max(length);
        }
        for buffer in buffers.iter().take(count).flatten() {
            prefetch(*buffer);
        }
        pool.restart_lookahead();
        for buffer in buffers.iter().take(count).flatten() {
            buffer.prefetch_next(pool);
        }
        pool.restart_lookahead();
        longest > CACHE_LINE
    }

    /// Prefetches a payload that is longer than a line, and the place where it will probably go.
    #[inline(always)]
    fn prefetch_payload(&mut self, packet: &Packet<'_>) {
        let payload = packet.payload();
        if payload.len() > CACHE_LINE
            && let Some((buffer, true)) = packet.buffer(&self.table)
        {
            prefetch_bytes(payload);
            buffer.prefetch_payload_room(&mut self.pool, payload.len());
        }
    }

    /// Handles and counts a packet that its flow has predicted; returns false for all others. An
    /// established flow times out after `idle` nanoseconds of silence.
    #[inline(always)]
    fn handle_predicted(
        &mut self,
        packet: &Packet<'_>,
        idle: u64,
        sink: &mut impl EventSink,
    ) -> bool {
        if packet.is_plain
            && let Ok(Parsed::Segment(segment)) = &packet.parsed
            && let Some(slot) = packet.likely
            && self.advance_predicted(slot, segment, Timing { now: packet.arrival, idle }, sink)
        {
            self.stats.count(Stat::PacketsMonitored);
            true
        } else {
            false
        }
    }

    /// Handles and counts the packet of frame `at` of the burst, which its flow has not predicted.
    ///
    /// It is not rare everywhere. `cold` keeps registers of the loop free for predicted packets,
    /// which saves each of them 13 instructions and costs a packet here 1 %.
    #[cold]
    #[inline(never)]
    fn handle_unpredicted(
        &mut self,
        at: usize,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
        sink: &mut impl EventSink,
    ) {
        if packet.is_plain && packet.likely.is_some() && self.handle_near_prediction(packet, sink) {
            return;
        }
        let outcome = self.handle_parsed(frame, packet, sink);
        self.stats.count_packet(outcome);
        if !matches!(outcome, PacketOutcome::Monitored) {
            self.unmonitored = self.unmonitored.with(at);
        }
    }

    /// Handles what was parsed of a frame, or of the fragments that it completes, the general way.
    fn handle_parsed(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
        sink: &mut impl EventSink,
    ) -> PacketOutcome {
        let Packet { arrival, tag, likely, .. } = *packet;
        match &packet.parsed {
            Ok(Parsed::Segment(segment)) => {
                let known = self.table.lookup(&segment.key, tag, likely);
                // No flow with such a key begins, so what belongs to a flow needs no check.
                let is_possible = |key: &FlowKey| {
                    key.is_possible() && (!key.is_within_host() || is_on_loopback(frame))
                };
                if known.is_none() && !is_possible(&segment.key) {
                    return PacketOutcome::Ignored(ParseError::Address);
                }
                self.handle_segment(segment, tag, known, arrival, sink)
            }
            Ok(Parsed::Fragment(fragment)) => self.handle_fragment(fragment, frame, sink),
            Err(reason) => {
                if matches!(reason, ParseError::NotIp | ParseError::NotTcp) {
                    self.unread.note(frame);
                }
                PacketOutcome::Ignored(*reason)
            }
        }
    }

    /// Holds a fragment, or handles the segment that it completes.
    fn handle_fragment(
        &mut self,
        fragment: &Fragment<'_>,
        frame: &Frame<'_>,
        sink: &mut impl EventSink,
    ) -> PacketOutcome {
        let now = frame.arrival;
        if self.whole.is_empty() {
            // Within what was put together from fragments itself: there is room for one.
            return PacketOutcome::Ignored(ParseError::Fragment);
        }
        let added = self.assemblies.add(fragment, now, &mut self.pool, &mut self.whole);
        let Whole { length, next } = match added {
            Ok(Some(whole)) => whole,
            Ok(None) => return PacketOutcome::Fragment,
            Err(reason) => return PacketOutcome::Ignored(reason),
        };
        let whole = mem::take(&mut self.whole);
        let parsed =
            parse_assembled(fragment, next, &whole[..length], self.verify(), &self.limits.tunnels);
        let outcome = self.handle_parsed(frame, &self.packet(parsed, now), sink);
        self.whole = whole;
        outcome
    }

    /// Passes a plain segment to the flow in a slot, if it belongs to it and is predicted. Then no
    /// flow begins or ends, and no deadline comes nearer.
    #[inline(always)]
    fn advance_predicted(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        timing: Timing,
        sink: &mut impl EventSink,
    ) -> bool {
        let id = needs_handle(sink).then(|| self.table.id(slot));
        let Self { table, pool, stats, .. } = self;
        let Some(flow) = table.get_mut_if(slot, &segment.key) else { return false };
        let wants_growth = sink.wanted().contains(EventKind::NewData);
        let read = wants_growth.then(|| flow.next_offsets());
        let predicted = flow.on_predicted(segment, timing, pool, stats, |orientation| {
            let tuple = move || orientation.tuple(&segment.key);
            Emitter { time: timing.now, flow: id, tuple, sink: &mut *sink }
        });
        match predicted {
            Predicted::Not => return false,
            Predicted::Taken => {}
            Predicted::But(arrival, appended) => {
                self.place_rest(slot, segment, (arrival, appended), timing.now, sink);
            }
        }
        if let Some(read) = read
            && let Some(flow) = self.table.get_mut(slot)
        {
            note_growth(&mut self.grown, slot, flow, read);
        }
        true
    }

    /// Places the payload of a predicted segment that could not be appended as usual.
    #[cold]
    #[inline(never)]
    fn place_rest(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        (arrival, appended): (Arrival<'_>, Option<Appended>),
        now: Instant,
        sink: &mut impl EventSink,
    ) {
        let id = needs_handle(sink).then(|| self.table.id(slot));
        let Self { table, pool, stats, ledger, asides, .. } = self;
        let Some(flow) = table.get_mut(slot) else { return };
        let orientation = flow.orientation();
        let tuple = || orientation.tuple(&segment.key);
        let emitter = Emitter { time: now, flow: id, tuple, sink };
        let shared = Shared { pool, stats, ledger, asides };
        flow.place_rest(arrival, appended, slot, shared, emitter);
    }

    /// Handles and counts a packet in order that its flow would have predicted if it could count
    /// further, or one that repeats what was predicted; returns false for all others.
    #[inline(never)]
    fn handle_near_prediction(&mut self, packet: &Packet<'_>, sink: &mut impl EventSink) -> bool {
        let (Ok(Parsed::Segment(segment)), Some(slot)) = (&packet.parsed, packet.likely) else {
            return false;
        };
        let idle = self.timeouts.of(Lifetime::Established);
        let Some(flow) = self.table.get_mut_if(slot, &segment.key) else { return false };
        if flow.predict_anew(segment) {
            return self.handle_predicted(packet, idle, sink);
        }
        let is_repeat = flow.is_predicted() && {
            let timing = Timing { now: packet.arrival, idle };
            self.advance_repeated(slot, segment, timing, sink)
        };
        if is_repeat {
            self.stats.count(Stat::PacketsMonitored);
        }
        is_repeat
    }

    /// Passes a plain segment to the predicted flow in a slot, if it repeats what was said before.
    fn advance_repeated(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        timing: Timing,
        sink: &mut impl EventSink,
    ) -> bool {
        let id = needs_handle(sink).then(|| self.table.id(slot));
        let Self { table, pool, stats, ledger, asides, .. } = self;
        let Some(flow) = table.get_mut(slot) else { return false };
        let orientation = flow.orientation();
        let tuple = || orientation.tuple(&segment.key);
        let emitter = Emitter { time: timing.now, flow: id, tuple, sink };
        flow.on_repeat(segment, timing, slot, Shared { pool, stats, ledger, asides }, emitter)
    }

    /// Handles a segment that was not predicted; `known` is the slot of its flow.
    #[inline]
    fn handle_segment(
        &mut self,
        segment: &Segment<'_>,
        tag: Tag,
        known: Option<u32>,
        now: Instant,
        sink: &mut impl EventSink,
    ) -> PacketOutcome {
        let is_followed = sink.wanted().contains(EventKind::FlowStatus);
        let fate = match known {
            Some(slot) => self.fate(slot, segment, now, sink),
            None => Fate::Over(None),
        };
        let mut before = None;
        let slot = match fate {
            Fate::GoesOn(slot) => {
                before = is_followed.then(|| self.states(slot)).flatten();
                slot
            }
            Fate::Over(None) if !self.opens_flow(segment) => {
                if self.excludes(segment) {
                    return PacketOutcome::Excluded;
                }
                let tuple = segment.tuple();
                Emitter { time: now, flow: None, tuple: || tuple, sink }.emit(Fact::OrphanPacket);
                return PacketOutcome::Orphan;
            }
            Fate::Over(former) => {
                let slot = match self.begin(tag, segment, now, sink) {
                    Ok(slot) => slot,
                    Err(outcome) => return outcome,
                };
                if let Some(former) = former {
                    self.carry_on(slot, segment, former, now, sink);
                }
                slot
            }
        };
        let outcome = self.advance(slot, segment, now, sink);
        if is_followed {
            self.tell_states(slot, before, now, sink);
        }
        outcome
    }
}
