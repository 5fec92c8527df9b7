//! The reader reads what the generator wrote: every byte of both sides, once.

use std::collections::HashMap;

use mos_stack::{Checksums, Frame, Instant, Limits, Link, Stack, Stat, WorkerId};

use super::*;
use crate::traffic::{
    Disorder, Scripted, Steady, Talk, Traffic, flow_number, frame::FRAME_MAX, payload::Stream,
};

/// A reader that keeps the bytes that it got, until they are compared.
#[derive(Default)]
struct Keeper {
    reader: Reader,
    heard: Vec<(FlowId, Side, StreamOffset, Vec<u8>)>,
}

impl EventSink for Keeper {
    fn wants_streams(&self) -> bool {
        self.reader.wants_streams()
    }

    fn on_stream(&mut self, flow: FlowId, side: Side, offset: StreamOffset, bytes: &[u8]) {
        self.reader.on_stream(flow, side, offset, bytes);
        self.heard.push((flow, side, offset, bytes.to_vec()));
    }

    fn flow_ended(&mut self, _flow: &FlowRef<'_>, _cause: Option<EndCause>) {}
}

/// Gives `frames` frames to a stack, one by one, and compares every byte that the reader gets.
#[track_caller]
fn read_all(traffic: &mut dyn Traffic, frames: u32) -> (Stack, Reader) {
    let worker = WorkerId::new(0).unwrap();
    let limits = Limits { flows_max: 4096, ..Limits::default() };
    let mut stack = Stack::new(worker, limits, 1).unwrap();
    let mut keeper = Keeper::default();
    let mut frame = [0; FRAME_MAX];
    let mut ends: HashMap<(FlowId, Side), u64> = HashMap::new();
    for number in 0..frames {
        let length = traffic.next_frame(&mut frame).unwrap();
        let arrival = Instant::from_nanos(u64::from(number) * 100_000);
        let bytes = &frame[..length];
        let wire_length = u32::try_from(length).unwrap();
        let (link, checksums) = (Link::Ethernet, Checksums::Unknown);
        stack.handle_burst(&[Frame { arrival, link, bytes, wire_length, checksums }], &mut keeper);
        for (id, side, offset, bytes) in keeper.heard.drain(..) {
            let client = stack.summary(id).unwrap().tuple.client;
            let std::net::IpAddr::V4(address) = client.ip() else { panic!("{client}") };
            let slot = address.to_bits() & 0x00ff_ffff;
            let flow = flow_number(slot, u32::from(client.port()) - 1024);
            let mut expected = vec![0; bytes.len()];
            Stream::new(flow, side.peer()).write(offset.0, &mut expected);
            assert_eq!(bytes, expected, "{client} {side:?} {offset}");
            let end = ends.insert((id, side), offset.0 + bytes.len() as u64);
            assert!(end.is_none_or(|end| end <= offset.0), "{client} {side:?} {offset} again");
        }
    }
    (stack, keeper.reader)
}

#[test]
fn every_byte_of_orderly_flows_is_read_once() {
    for payload in [1, 6, 512, 1460] {
        let (stack, reader) = read_all(&mut Steady::new(50, payload, 20), 13_000);
        let sent = stack.stats().get(Stat::PayloadBytes);
        assert!(sent > 0);
        assert_eq!(reader.read_bytes, sent);
        assert_eq!(stack.stats().get(Stat::PacketsMonitored), 13_000);
        assert_ne!(reader.checksum, 0);
    }
}

#[test]
fn of_disorderly_flows_no_byte_is_wrong_and_nearly_all_are_read() {
    let disorder = Disorder { late: 100, lost: 20, twice: 50 };
    for talk in [Talk::Even { payload: 512 }, Talk::Mixed] {
        let (stack, reader) = read_all(&mut Scripted::new(50, talk, disorder), 13_000);
        let sent = stack.stats().get(Stat::PayloadBytes);
        assert_eq!(stack.stats().get(Stat::PacketsMonitored), 13_000);
        assert!(reader.read_bytes < sent, "some came twice");
        assert!(reader.read_bytes > sent * 8 / 10, "{} of {sent}", reader.read_bytes);
    }
}
