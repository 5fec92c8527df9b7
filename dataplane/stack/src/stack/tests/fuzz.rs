//! Fuzz targets: the parser, and a whole stack fed with frames, commands and time.
//!
//! Properties on random bytes in every test run, and the same functions under libFuzzer in
//! `make fuzz-smoke`. The seeds beside this file are what its own generators make.

#![expect(clippy::cast_possible_truncation, reason = "choices of the input are small")]

use std::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};

use super::*;
use crate::{
    Checksums, Event, EventKinds, FlowRef, Link, StreamOffset,
    testing::{Input, check_seeds},
    wire::{Parsed, Verify},
};

const LINKS: [Link; 5] =
    [Link::Ethernet, Link::LinuxSll, Link::LinuxSll2, Link::RawIp, Link::Loopback];

/// The bytes of a frame behind two that say how it was captured.
fn parse_one(input: &[u8]) {
    let mut input = Input::new(input);
    let link = input.pick(&LINKS);
    let more = u32::from(input.byte()) * 7;
    let bytes = input.bytes(usize::MAX);
    let wire_length = u32::try_from(bytes.len()).expect("short") + more;
    let checksums = Checksums::Unknown;
    let frame = Frame { arrival: Instant::EPOCH, link, bytes, wire_length, checksums };
    for verify in [Verify::Software, Verify::Never] {
        match crate::wire::parse_frame(&frame, verify) {
            Ok(Parsed::Segment(segment)) => {
                assert!(segment.payload.len() <= bytes.len());
                assert!(segment.payload_length <= wire_length);
                assert!(segment.payload.len() as u64 <= u64::from(segment.payload_length));
            }
            Ok(Parsed::Fragment(fragment)) => assert!(fragment.payload.len() <= bytes.len()),
            Err(_counted) => {}
        }
    }
}

#[test]
fn parse_frame() {
    bolero::check!().with_iterations(200_000).with_max_len(300).for_each(parse_one);
}

#[test]
fn stack_ops() {
    bolero::check!().with_iterations(20_000).with_max_len(700).for_each(run_ops);
}

/// Listens, and checks that each flow's events tell a possible story.
#[derive(Default)]
struct Listener {
    flows: BTreeMap<FlowId, Heard>,
    ended: BTreeSet<FlowId>,
    /// Flows whose end was reported without a cause.
    open: u64,
}

#[derive(Default)]
struct Heard {
    states: Sides<Option<TcpState>>,
    readable: Sides<u64>,
    streamed: Sides<u64>,
    is_established: bool,
}

impl EventSink for Listener {
    fn wanted(&self) -> EventKinds {
        EventKinds::ALL
    }

    fn on_event(&mut self, event: &Event) {
        let Some(id) = event.flow else {
            assert!(matches!(event.fact, Fact::OrphanPacket));
            return;
        };
        assert!(!self.ended.contains(&id), "nothing is told after the end: {event:?}");
        if matches!(event.fact, Fact::FlowStarted) {
            assert!(self.flows.insert(id, Heard::default()).is_none(), "a flow begins once");
            return;
        }
        let heard = self.flows.get_mut(&id).expect("a flow begins with its start");
        match event.fact {
            Fact::StateChanged { side, from, to } => {
                assert_ne!(from, to);
                assert!(heard.states[side].is_none_or(|known| known == from), "{event:?}");
                heard.states[side] = Some(to);
            }
            Fact::NewData { side, offset, end } => {
                assert!(heard.readable[side] <= offset.0 && offset < end, "{event:?}");
                heard.readable[side] = end.0;
                assert!(heard.streamed[side] <= end.0, "{event:?}");
            }
            Fact::FlowEstablished => {
                assert!(!heard.is_established, "a flow is established once");
                heard.is_established = true;
            }
            Fact::FlowEnded(_) => {
                self.flows.remove(&id);
                assert!(self.ended.insert(id), "a flow ends once");
            }
            Fact::Gap { length, .. } | Fact::BufferOverrun { length, .. } => assert!(length > 0),
            Fact::OverlapConflict { length, held, arrived, .. } => {
                assert!(length > 0 && held != arrived);
            }
            Fact::Retransmission { .. }
            | Fact::SuspiciousSegment { .. }
            | Fact::OptionsChanged { .. } => {}
            Fact::FlowStarted | Fact::OrphanPacket | Fact::FlowStatus { .. } => {
                unreachable!("{event:?}")
            }
        }
    }

    fn wants_streams(&self) -> bool {
        true
    }

    fn on_stream(&mut self, flow: FlowId, side: Side, offset: StreamOffset, bytes: &[u8]) {
        let heard = self.flows.get_mut(&flow).expect("heard of while it lives");
        assert!(heard.streamed[side] <= offset.0 && !bytes.is_empty());
        heard.streamed[side] = offset.0 + bytes.len() as u64;
    }

    fn flow_ended(&mut self, flow: &FlowRef<'_>, cause: Option<EndCause>) {
        self.open += u64::from(cause.is_none());
        for side in Side::BOTH {
            let mut length = 0;
            let said = flow.read_beginning(side, |piece| length += piece.len() as u64);
            assert_eq!(said, length);
        }
    }
}

/// A stack, its listener, and what the input has done so far.
struct Run {
    stack: Stack,
    limits: Limits,
    listener: Listener,
    now: Instant,
    frames: u64,
    /// Next sequence number of each speaker of each tuple.
    next: [[u32; 2]; TUPLES],
    identification: u16,
    waiting: Vec<Vec<u8>>,
}

const TUPLES: usize = 4;

fn limits(input: &mut Input<'_>) -> Limits {
    let switches = input.byte();
    let mut limits = Limits {
        flows_max: input.pick(&[1, 2, 3, 8]),
        half_open_max: input.pick(&[8, 1, 2]),
        pool_bytes: input.pick(&[1 << 20, 0, 4096, 20_480, 131_072]),
        buffer_bytes_max: 1 << 20,
        adopt_midstream: switches & 1 != 0,
        vlan_in_key: switches & 2 != 0,
        verify_checksums: switches & 4 == 0,
        ..Limits::default()
    };
    limits.defaults.buffer_bytes =
        Sides { client: input.pick(&CAPACITIES), server: input.pick(&CAPACITIES) };
    limits
}

const CAPACITIES: [u64; 5] = [8192, 0, 2048, 65_536, 1 << 20];

impl Run {
    fn new(input: &mut Input<'_>) -> Self {
        let limits = limits(input);
        let mut next = [[0; 2]; TUPLES];
        for isn in next.iter_mut().flatten() {
            *isn = u32::from(input.u16()) << 16;
        }
        Self {
            stack: Stack::new(WorkerId::default(), limits, 7).expect("limits"),
            limits,
            listener: Listener::default(),
            now: Instant::from_nanos(1_700_000_000_000_000_000),
            frames: 0,
            next,
            identification: 0,
            waiting: vec![],
        }
    }

    fn op(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0..8 => {
                let segment = self.segment(input);
                self.waiting.push(segment.build());
            }
            8 => {
                let segment = self.segment(input);
                self.identification = self.identification.wrapping_add(1);
                let size = 8 * (1 + usize::from(input.byte()));
                let missing = input.byte();
                let fragments = segment.fragments(self.identification, size).into_iter();
                let kept = fragments.enumerate().filter(|(n, _)| n % 8 != usize::from(missing));
                self.waiting.extend(kept.map(|(_, fragment)| fragment));
            }
            9 => {
                let length = usize::from(input.byte());
                self.waiting.push(input.bytes(length).to_vec());
            }
            10 => {
                let (at, bits) = (usize::from(input.byte()), input.byte());
                self.repeat_damaged(at, bits);
            }
            11 => self.change(input),
            12 => self.look(input),
            13 => {
                let millis = u64::from(input.u16()) << (input.byte() % 5);
                self.wait(Duration::from_millis(millis), u32::from(input.byte()));
            }
            14 => self.burst(),
            _ => {
                self.burst();
                self.stack.finish(&mut self.listener);
                assert_eq!(self.stack.gauges().flows, 0);
            }
        }
    }

    /// The frame that waits arrives again, with one byte changed.
    fn repeat_damaged(&mut self, at: usize, bits: u8) {
        let Some(mut frame) = self.waiting.last().cloned() else { return };
        let length = frame.len().max(1);
        if let Some(byte) = frame.get_mut(at % length) {
            *byte ^= bits;
        }
        self.waiting.push(frame);
    }

    /// A segment near where its speaker stands.
    fn segment(&mut self, input: &mut Input<'_>) -> FrameBuilder {
        let how = input.byte();
        let (tuple, by) = (usize::from(how % 4), usize::from(how >> 2 & 1));
        let host = |n: usize| match tuple {
            3 => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n as u16], 1000)),
            _ => SocketAddr::from(([10, 0, 0, n as u8], 1000 + tuple as u16)),
        };
        let (mut flags, shift) = (input.byte(), input.byte());
        let mut seq = self.next[tuple][by];
        let mut ack = self.next[tuple][1 - by];
        if how & 0x10 != 0 {
            seq = seq.wrapping_add_signed(i32::from(input.u16().cast_signed()) << (shift % 16));
        }
        if how & 0x20 != 0 {
            ack = ack.wrapping_add_signed(i32::from(input.u16().cast_signed()) << (shift >> 4));
        }
        if how & 0x40 == 0 {
            flags = [0x10, 0x18, 0x02, 0x12, 0x11, 0x14, 0x04][usize::from(flags) % 7];
        }
        let length = match how & 0x80 {
            0 => usize::from(input.byte()),
            _ => usize::from(input.u16() % 3000),
        };
        let fill = b'a' + input.byte() % 3;
        let length = if flags & 2 == 0 { length } else { length % 8 };
        let sequenced = length as u32 + u32::from(flags & 2 != 0) + u32::from(flags & 1 != 0);
        if how & 0x10 == 0 {
            self.next[tuple][by] = seq.wrapping_add(sequenced);
        }
        let mut segment = FrameBuilder::between(host(1 + by), host(2 - by))
            .flag_bits(flags)
            .seq(seq, ack)
            .window(u16::from(shift) << 8)
            .payload(&vec![fill; length]);
        if flags & 2 != 0 {
            segment = segment.tcp_options(&[3, 3, shift % 16, 0]);
        }
        if shift & 0x0f == 0x0f {
            segment = segment.vlan(u16::from(shift >> 4));
        }
        segment
    }

    fn burst(&mut self) {
        let frames = core::mem::take(&mut self.waiting);
        let frames: Vec<_> =
            frames.iter().map(|bytes| FrameBuilder::arriving(bytes, self.now)).collect();
        self.frames += frames.len() as u64;
        self.stack.handle_burst(&frames, &mut self.listener);
    }

    fn wait(&mut self, span: Duration, budget: u32) {
        self.burst();
        self.now = self.now.after(span);
        let looked_at = self.stack.handle_timeout(self.now, budget, &mut self.listener);
        assert!(looked_at <= budget);
    }

    /// A flow that lives, or a made-up one.
    fn any_flow(&self, input: &mut Input<'_>) -> FlowId {
        let which = input.byte();
        let mut page = ArrayVec::<_, 1>::new();
        self.stack.scan(SlotCursor(u32::from(which % 8)), 8, &mut page);
        let made_up = FlowId::from_parts(WorkerId::default(), u32::from(which), 5);
        page.first().map_or(made_up, |flow| flow.id)
    }

    fn change(&mut self, input: &mut Input<'_>) {
        self.burst();
        let id = self.any_flow(input);
        let what = input.byte();
        let capacity = |input: &mut Input<'_>| Some(u64::from(input.u32() % (1 << 21)));
        let [first, last, linux] = OverlapPolicy::ALL.map(Some);
        let policy = input.pick(&[last, first, None, linux]);
        let stop = [None, None, Some(StopScope::Client), Some(StopScope::Server)];
        let change = SockOptChange {
            buffer_bytes: Sides {
                client: capacity(input).filter(|_| what & 1 != 0),
                server: capacity(input).filter(|_| what & 2 != 0),
            },
            overlap: Sides::both(policy.filter(|_| what & 4 != 0)),
            stop: input.pick(&stop).filter(|_| what & 8 != 0),
        };
        let before = self.stack.summary(id);
        let checked = self.stack.check_sock_opt(id, &change, None);
        let done = self.stack.set_sock_opt(id, &change, None, self.now, &mut self.listener);
        match (before, checked, done) {
            (Ok(before), Ok(checked), Ok(done)) => {
                let revision = before.revision + u32::from(!done.unchanged);
                assert_eq!(checked.revision, before.revision, "a dry run changes nothing");
                assert_eq!(done, Applied { revision, ..checked }, "a dry run says what will be");
            }
            (before, checked, done) => {
                assert_eq!(checked, done, "a dry run says what will be");
                assert!(done.is_err(), "only a live flow is changed");
                assert_eq!(self.stack.summary(id), before, "what is refused changes nothing");
            }
        }
    }

    fn look(&mut self, input: &mut Input<'_>) {
        self.burst();
        let id = self.any_flow(input);
        let side = input.pick(&Side::BOTH);
        let offset = StreamOffset(u64::from(input.u16()));
        let mut out = [0; 512];
        if let Ok(peeked) = self.stack.peek(id, side, Some(offset), &mut out) {
            assert!(peeked.length <= out.len() && peeked.offset >= offset);
            assert!(peeked.oldest <= peeked.newest);
        }
        if let Ok(read) = self.stack.read(id, side, Some(offset), &mut out) {
            assert!(read.length <= out.len() && read.next() >= read.start);
        }
    }

    /// What holds between any two operations.
    fn check(&self) {
        let (stats, gauges) = (self.stack.stats(), self.stack.gauges());
        assert_eq!(stats.packets(), self.frames, "every packet is in one counter");
        assert!(gauges.pool_used_bytes <= gauges.pool_bytes);
        assert!(gauges.flows <= u64::from(self.limits.flows_max));
        let flows = self.walk();
        let ids: BTreeSet<_> = flows.iter().map(|flow| flow.id).collect();
        assert_eq!(ids.len(), flows.len(), "a walk meets no flow twice");
        let slots = 0..self.stack.table.slots_used();
        let stopped = slots
            .filter_map(|slot| self.stack.table.get(slot))
            .filter(|(_, flow)| flow.socket.is_stopped())
            .count();
        assert_eq!(gauges.flows as usize, flows.len() + stopped, "a walk meets every flow");
        assert!(ids.iter().eq(self.listener.flows.keys()), "what began and has not ended lives");
        let ended: u64 = Stat::ALL
            .iter()
            .filter(|stat| stat.name().0 == "flows_ended")
            .map(|stat| stats.get(*stat))
            .sum();
        let begun = stats.get(Stat::FlowsStarted);
        assert_eq!(begun, ended + self.listener.open + flows.len() as u64);
        for flow in &flows {
            check_flow(flow);
            // Without a VLAN id, all 4096 would have to be tried.
            if self.limits.vlan_in_key && flow.tuple.vlan.is_none() {
                continue;
            }
            let found = self.stack.find(flow.tuple.server, flow.tuple.client, flow.tuple.vlan);
            assert!(found.contains(flow), "a flow is found by its tuple");
        }
    }

    fn walk(&self) -> Vec<FlowSummary> {
        let (mut flows, mut cursor) = (vec![], Some(SlotCursor::default()));
        while let Some(at) = cursor {
            let mut page = ArrayVec::<_, 2>::new();
            cursor = self.stack.scan(at, 3, &mut page);
            flows.extend(page);
        }
        flows
    }
}

fn check_flow(flow: &FlowSummary) {
    for side in Side::BOTH {
        let buffer = flow.sides[side].buffer;
        let held = buffer.buffered_bytes + buffer.out_of_order_bytes;
        assert!(held <= flow.options.buffer_bytes[side], "{buffer:?}");
        assert!(buffer.oldest <= buffer.newest && buffer.contiguous <= buffer.next, "{buffer:?}");
        assert!(held <= buffer.newest.0 - buffer.oldest.0, "{buffer:?}");
        let acknowledged = flow.sides[side.peer()].acknowledged;
        assert!(acknowledged.is_none_or(|offset| offset <= buffer.next), "{flow:?}");
    }
}

/// Runs a stack through what the input says, to its end.
fn run_ops(input: &[u8]) {
    let mut input = Input::new(input);
    let mut run = Run::new(&mut input);
    while !input.is_empty() {
        run.op(&mut input);
        if run.waiting.len() < 3 {
            run.burst();
        }
        if run.waiting.is_empty() {
            run.check();
        }
    }
    run.burst();
    run.check();
    run.stack.finish(&mut run.listener);
    run.check();
    assert_eq!(run.stack.gauges().flows, 0, "every flow has ended");
    // Fragments that wait go by their own time, one set of them a turn.
    for _ in 0..crate::limits::ASSEMBLIES_MAX {
        run.wait(Duration::from_secs(31), 1);
    }
    assert_eq!(run.stack.gauges().pool_used_bytes, 0, "all memory is back");
}

/// Frames of every shape that the parser knows, behind the bytes of [`parse_one`].
fn frame_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let v4 = || FrameBuilder::new("10.0.0.1:1000", "10.0.0.2:80").seq(1, 2).payload(b"payload");
    let v6 = || FrameBuilder::new("[2001:db8::1]:1000", "[2001:db8::2]:80").payload(b"payload");
    let ethernet = |bytes: Vec<u8>| [&[0, 0][..], &bytes].concat();
    let packet = v4().build()[14..].to_vec();
    let routing = [&[6, 2, 4, 1, 0, 0, 0, 0][..], &[0x20; 16]].concat();
    let home = [&[6, 2, 1, 2, 0, 0, 0xc9, 16][..], &[0x20; 16]].concat();
    vec![
        ("v4", ethernet(v4().build())),
        ("v4-cut", [&[0, 9][..], &v4().build()[..56]].concat()),
        ("v4-fragment", ethernet(v4().payload(&[b'x'; 60]).fragments(7, 40).swap_remove(1))),
        ("v4-options", ethernet(v4().ip_options(&[7, 7, 4, 0, 0, 0, 0, 0]).build())),
        ("v6", ethernet(v6().build())),
        ("v6-extensions", ethernet(v6().extensions(0, &[6, 0, 1, 4, 0, 0, 0, 0]).build())),
        ("v4-source-route", ethernet(v4().ip_options(&[131, 7, 4, 0, 0, 0, 0, 0]).build())),
        ("v6-options", ethernet(v6().extensions(60, &[6, 0, 0x1e, 1, 0, 1, 1, 0]).build())),
        ("v6-routing", ethernet(v6().extensions(43, &routing).build())),
        ("v6-home-address", ethernet(v6().extensions(60, &home).build())),
        ("v6-jumbo", ethernet(v6().extensions(0, &[6, 0, 0xc2, 4, 0, 1, 0, 0]).build())),
        ("v6-fragment", ethernet(v6().payload(&[b'x'; 60]).fragments(7, 40).swap_remove(0))),
        ("vlans", ethernet(v4().vlan(3).vlan(4).build())),
        (
            "syn-options",
            ethernet(v4().flags("S").tcp_options(&[2, 4, 5, 0xb4, 3, 3, 7, 0]).build()),
        ),
        ("option-of-length-0", ethernet(v4().flags("S").tcp_options(&[9, 0, 0, 0]).build())),
        ("sll", [&[1, 0][..], &[0; 14], &[0x08, 0], &packet].concat()),
        ("sll2", [&[2, 0][..], &[0x08, 0], &[0; 18], &packet].concat()),
        ("raw-ip", [&[3, 0][..], &packet].concat()),
        ("loopback", [&[4, 0][..], &[2, 0, 0, 0], &packet].concat()),
    ]
}

/// What [`Run::segment`] reads, without payload: flags as an index into its list.
const fn says(by: u8, flags: u8) -> [u8; 6] {
    [0, by << 2, flags, 0x70, 0, 0]
}

/// Programs for [`run_ops`].
fn op_seeds() -> Vec<(&'static str, Vec<u8>)> {
    const SYN: u8 = 2;
    const SYN_ACK: u8 = 3;
    const FIN: u8 = 4;
    const RST: u8 = 5;
    let plain = [0, 3, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8];
    let open = [says(0, SYN), says(1, SYN_ACK), says(0, 0)].concat();
    let close = [says(0, FIN), says(1, FIN), says(0, 0)].concat();
    let data = |by: u8, length: u8, fill: u8| [0, by << 2, 1, 0x70, length, fill];
    let ahead = |length: u8| [0, 0x10, 1, 0x70, 0, 100, length, 1];
    let behind = |fill: u8| [0, 0x10, 1, 0x70, 0xff, 0xe0, 40, fill];
    let seed = |parts: &[&[u8]]| [&plain[..], &open, &parts.concat()].concat();
    let options = [11, 0, 7, 0, 0, 1, 0, 0, 0, 0, 32, 0, 1];
    let stop = [11, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let stop_server = [11, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];
    vec![
        ("whole-life", seed(&[&data(0, 200, 0), &data(1, 250, 1), &close, &[13, 8, 0, 0, 9]])),
        ("hole-and-gap", seed(&[&data(0, 9, 0), &ahead(50), &[0, 0x24, 0, 0x70, 0, 150, 0, 0]])),
        ("conflict", seed(&[&data(0, 90, 0), &behind(1), &behind(2)])),
        ("reset", seed(&[&data(0, 90, 0), &says(0, RST), &[13, 255, 0, 1, 9]])),
        ("reuse", seed(&[&[0, 0x10, SYN, 0x70, 0x70, 0, 0, 0], &data(0, 9, 1)])),
        ("options", seed(&[&data(0, 99, 0), &options, &data(0, 200, 1), &[12, 0, 0, 0, 9]])),
        ("stops", seed(&[&data(0, 99, 0), &stop, &data(0, 9, 1), &stop, &data(1, 9, 1), &close])),
        (
            "stopped-early",
            [&plain[..], &open[..12], &stop, &stop_server, &open[12..], &data(0, 9, 1)].concat(),
        ),
        ("fragments", seed(&[&[8, 0x80, 1, 0x70, 5, 0, 1, 3, 9], &[8, 0, 1, 0x70, 99, 1, 3, 1]])),
        ("idle", seed(&[&[13, 255, 255, 4, 1], &data(0, 9, 0), &[13, 255, 255, 4, 9]])),
        ("raw", seed(&[&[9, 40], &[0x45; 40], &[10, 12, 255]])),
        (
            "burst",
            seed(&[&data(0, 9, 0), &data(0, 9, 1), &data(1, 9, 2), &close, &open, &[14, 15]]),
        ),
    ]
}

#[test]
fn the_seeds_are_those_of_the_generators() {
    check_seeds(file!(), "stack::tests::fuzz::parse_frame", &frame_seeds());
    check_seeds(file!(), "stack::tests::fuzz::stack_ops", &op_seeds());
}
