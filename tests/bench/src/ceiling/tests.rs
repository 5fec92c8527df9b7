//! Tests of the least loop: it must do its work, or it would be no ceiling.

use std::collections::HashMap;

use mos_stack::{Checksums, Instant, Link};

use super::*;
use crate::traffic::{Flood, Flooding, Steady, Traffic, frame::FRAME_MAX};

/// The next frames of a traffic.
fn frames(traffic: &mut dyn Traffic, count: usize) -> Vec<Vec<u8>> {
    let mut frame = [0; FRAME_MAX];
    let mut next = || {
        let length = traffic.next_frame(&mut frame).unwrap();
        frame[..length].to_vec()
    };
    (0..count).map(|_| next()).collect()
}

fn give(ceiling: &mut Ceiling, frames: &[Vec<u8>]) {
    for burst in frames.chunks(BURST) {
        let frame = |bytes| Frame {
            arrival: Instant::EPOCH,
            link: Link::Ethernet,
            bytes,
            wire_length: 0,
            checksums: Checksums::Unknown,
        };
        ceiling.handle_burst(&burst.iter().map(|bytes| frame(bytes)).collect::<Vec<_>>());
    }
}

/// The states in use, with their slots.
fn states(ceiling: &Ceiling) -> Vec<(usize, Line)> {
    let used = |(_, line): &(usize, Line)| line[state::PORTS] & state::USED != 0;
    ceiling.states.lines().iter().copied().enumerate().filter(used).collect()
}

#[test]
fn every_open_flow_has_a_state_with_its_packets_and_bytes() {
    for flows in [1, 7, 300] {
        let mut ceiling = Ceiling::new(Depth::Touch, flows).unwrap();
        let frames = frames(&mut Steady::new(flows, 100, 20), 26 * 300 + 13);
        give(&mut ceiling, &frames);
        let mut model: HashMap<(u64, u64), (u64, u64, u32)> = HashMap::new();
        for header in frames.iter().map(|frame| Header::parse(frame).unwrap()) {
            let (packets, bytes, fins) = model.entry((header.addresses, header.ports)).or_default();
            (*packets, *bytes) = (*packets + 1, *bytes + header.payload.len() as u64);
            *fins += u32::from(header.is_fin());
            if *fins == 2 && !header.is_fin() {
                model.remove(&(header.addresses, header.ports));
            }
        }
        let states = states(&ceiling);
        assert_eq!(states.len(), model.len());
        assert_eq!(ceiling.free.len() + states.len(), flows as usize);
        for (_, line) in states {
            let key = (line[state::ADDRESSES], line[state::PORTS] & 0xffff_ffff);
            let (packets, bytes, _) = model[&key];
            assert_eq!(line[state::PACKETS] + line[state::PACKETS + 1], packets);
            assert_eq!(line[state::BYTES] + line[state::BYTES + 1], bytes);
        }
    }
}

#[test]
fn the_last_bytes_of_each_direction_lie_in_its_buffer() {
    let mut ceiling = Ceiling::new(Depth::Copy, 16).unwrap();
    let frames = frames(&mut Steady::new(16, 700, 20), 16 * 13);
    give(&mut ceiling, &frames);
    let mut sent: HashMap<(u64, u64, bool), Vec<u8>> = HashMap::new();
    for header in frames.iter().map(|frame| Header::parse(frame).unwrap()) {
        let key = (header.addresses, header.ports, header.from_low);
        sent.entry(key).or_default().extend(header.payload);
    }
    let mut compared = 0;
    for (slot, line) in states(&ceiling) {
        for (end, from_low) in [(0, true), (1, false)] {
            let key = (line[state::ADDRESSES], line[state::PORTS] & 0xffff_ffff, from_low);
            let Some(stream) = sent.get(&key) else { continue };
            let base = (slot * 2 + end) * BUFFER_BYTES;
            for (at, byte) in stream.iter().enumerate().rev().take(BUFFER_BYTES) {
                assert_eq!(ceiling.buffers.bytes()[base + at % BUFFER_BYTES], *byte);
                compared += 1;
            }
        }
    }
    assert!(compared > 20_000, "{compared} bytes");
}

#[test]
fn a_flood_takes_the_place_of_the_oldest() {
    let mut ceiling = Ceiling::new(Depth::Touch, 64).unwrap();
    let frames = frames(&mut Flood::new(Flooding::Syn), 10_000);
    give(&mut ceiling, &frames);
    for frame in &frames[10_000 - 64..] {
        let header = Header::parse(frame).unwrap();
        let probe = ceiling.table.probe(header.addresses, header.ports);
        let states = ceiling.states.lines();
        let found = ceiling.table.find(probe, |slot| is_flow(&states[slot as usize], &header));
        assert!(found.is_some());
    }
    let entries: u32 = (0..64)
        .map(|slot| {
            let line = &ceiling.states.lines()[slot as usize];
            let ports = line[state::PORTS] & 0xffff_ffff;
            let probe = ceiling.table.probe(line[state::ADDRESSES], ports);
            u32::from(ceiling.table.find(probe, |found| found == slot).is_some())
        })
        .sum();
    assert_eq!(entries, 64);
}

#[test]
fn after_clearing_nothing_is_left() {
    let mut ceiling = Ceiling::new(Depth::Copy, 64).unwrap();
    let frames = frames(&mut Steady::new(64, 6, 20), 64 * 13);
    give(&mut ceiling, &frames);
    assert!(!states(&ceiling).is_empty());
    ceiling.clear();
    assert!(states(&ceiling).is_empty());
    give(&mut ceiling, &frames);
    assert!(!states(&ceiling).is_empty());
}
