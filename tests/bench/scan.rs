//! What a row of a list costs the worker that copies it: walks over a table of 1,000,000 flows, a
//! page of 64 slots after another, as many pages under way as a list has at most.
//!
//! `cargo run --release -p mos-bench --example scan [FLOWS]` prints the median of 15 walks. It
//! looks at the clock of the wall: run it when the machine is quiet.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement: a step that fails ends it, and the figures are its output"
)]

use std::time;

use arrayvec::ArrayVec;
use mos_stack::{
    Checksums, EndCause, EventSink, FlowRef, FlowSummary, Frame, Instant, Limits, Link, Side,
    SlotCursor, Stack, WorkerId,
};

const WALKS: usize = 15;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// Told of flows that end: none does.
struct Nobody;

impl EventSink for Nobody {
    fn flow_ended(&mut self, _flow: &FlowRef<'_>, _cause: Option<EndCause>) {}
}

/// Slots visited for a page, and flows on it.
const SLOTS: u32 = 64;
const PAGE: usize = SLOTS as usize;

/// Pages that one list has under way at once.
const PAGES: usize = 16;

/// One flow in so many has data in a buffer.
const DATA_ONE_IN: u32 = 64;

/// One segment of a flow between a client of 10.0.0.0/8 and a server.
fn frame(flow: u32, sender: Side, flags: u8, [seq, ack]: [u32; 2], payload: u16) -> Vec<u8> {
    let mut bytes = vec![0; 54 + usize::from(payload)];
    let client = (((10 << 24) + flow).to_be_bytes(), 40_000_u16);
    let server = ([192, 0, 2, 1], 80_u16);
    let (source, target) = match sender {
        Side::Client => (client, server),
        Side::Server => (server, client),
    };
    bytes[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    bytes[16..18].copy_from_slice(&(40 + payload).to_be_bytes());
    bytes[22..24].copy_from_slice(&[64, 6]);
    bytes[26..30].copy_from_slice(&source.0);
    bytes[30..34].copy_from_slice(&target.0);
    bytes[34..36].copy_from_slice(&source.1.to_be_bytes());
    bytes[36..38].copy_from_slice(&target.1.to_be_bytes());
    bytes[38..42].copy_from_slice(&seq.to_be_bytes());
    bytes[42..46].copy_from_slice(&ack.to_be_bytes());
    bytes[46..50].copy_from_slice(&[5 << 4, flags, 0xff, 0xff]);
    bytes
}

fn main() {
    let flows = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number"));
    let limits = Limits { flows_max: flows, half_open_max: flows, ..Limits::default() };
    let mut stack = Stack::new(WorkerId::default(), limits, 1).expect("memory");
    for flow in 0..flows {
        let payload = if flow.is_multiple_of(DATA_ONE_IN) { 64 } else { 0 };
        let frames = [
            frame(flow, Side::Client, SYN, [0, 0], 0),
            frame(flow, Side::Server, SYN | ACK, [0, 1], 0),
            frame(flow, Side::Client, ACK, [1, 1], payload),
        ];
        let frames = frames.each_ref().map(|bytes| Frame {
            arrival: Instant::EPOCH,
            link: Link::Ethernet,
            bytes,
            wire_length: 60,
            checksums: Checksums::Good,
        });
        stack.handle_burst(&frames, &mut Nobody);
    }
    let mut costs: Vec<u128> = (0..WALKS).map(|_| walk(&stack, flows)).collect();
    costs.sort_unstable();
    let [least, median, most] = [0, WALKS / 2, WALKS - 1].map(|index| costs[index]);
    println!("{median} ps for a row, {least} to {most}");
}

/// One walk over all flows. Picoseconds for a row.
fn walk(stack: &Stack, flows: u32) -> u128 {
    let mut pages: [Box<ArrayVec<FlowSummary, PAGE>>; PAGES] = Default::default();
    let begin = time::Instant::now();
    let (mut cursor, mut rows) = (Some(SlotCursor::default()), 0);
    for turn in 0.. {
        let Some(at) = cursor else { break };
        let page = &mut pages[turn % PAGES];
        page.clear();
        cursor = stack.scan(at, SLOTS, page);
        rows += page.len();
    }
    let took = begin.elapsed();
    assert_eq!(rows, flows as usize, "every flow is seen once");
    took.as_nanos() * 1000 / u128::from(flows)
}
