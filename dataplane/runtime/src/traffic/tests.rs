//! Checks the demo traffic with a parser of its own, which shares no code with it.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::*;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

#[derive(Debug)]
struct Parsed {
    source: SocketAddr,
    target: SocketAddr,
    vlan: Option<u16>,
    seq: u32,
    ack: u32,
    flags: u8,
    options: Vec<u8>,
    payload: Vec<u8>,
}

fn be16(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The one's complement sum of all parts; 0xffff where a checksum within them is right.
fn ones_sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    u16::try_from(sum).unwrap()
}

#[track_caller]
fn parse(frame: &[u8]) -> Parsed {
    assert!((60..=1518).contains(&frame.len()), "{} bytes", frame.len());
    let (vlan, ether_type, ip) = match be16(&frame[12..]) {
        0x8100 => (Some(be16(&frame[14..])), be16(&frame[16..]), &frame[18..]),
        ether_type => (None, ether_type, &frame[14..]),
    };
    let (source, target, tcp, pseudo): (IpAddr, IpAddr, &[u8], Vec<u8>) = match ether_type {
        0x0800 => {
            assert_eq!(ip[0], 0x45);
            assert_eq!(ip[9], 6);
            assert_eq!(ones_sum(&[&ip[..20]]), 0xffff, "IPv4 header checksum");
            let addresses: [u8; 8] = ip[12..20].try_into().unwrap();
            let [a, b, c, d, e, f, g, h] = addresses;
            let tcp = &ip[20..usize::from(be16(&ip[2..]))];
            let source = Ipv4Addr::new(a, b, c, d).into();
            (source, Ipv4Addr::new(e, f, g, h).into(), tcp, addresses.to_vec())
        }
        0x86dd => {
            assert_eq!(ip[0] >> 4, 6);
            assert_eq!(ip[6], 6);
            let octets = |at: usize| <[u8; 16]>::try_from(&ip[at..at + 16]).unwrap();
            let tcp = &ip[40..40 + usize::from(be16(&ip[4..]))];
            let source = Ipv6Addr::from(octets(8)).into();
            (source, Ipv6Addr::from(octets(24)).into(), tcp, ip[8..40].to_vec())
        }
        other => panic!("Ethernet type {other:#06x}"),
    };
    let length = u16::try_from(tcp.len()).unwrap().to_be_bytes();
    assert_eq!(ones_sum(&[&pseudo, &[0, 6], &length, tcp]), 0xffff, "TCP checksum");
    let header = usize::from(tcp[12] >> 4) * 4;
    Parsed {
        source: (source, be16(tcp)).into(),
        target: (target, be16(&tcp[2..])).into(),
        vlan,
        seq: be32(&tcp[4..]),
        ack: be32(&tcp[8..]),
        flags: tcp[13],
        options: tcp[20..header].to_vec(),
        payload: tcp[header..].to_vec(),
    }
}

fn frames(flows: u32, seed: u64, count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut conversations = Conversations::new(flows, seed);
    (0..count).map(move |_| {
        let mut frame = Vec::new();
        conversations.next_frame(&mut frame);
        frame
    })
}

/// One direction of a live conversation, as seen by a receiver that keeps every byte.
#[derive(Debug, Default)]
struct Direction {
    /// Sequence number of offset 0.
    base: Option<u32>,
    bytes: Vec<Option<u8>>,
    highest: u32,
    finished: bool,
    acked: u32,
}

#[derive(Debug, Default)]
struct Counts {
    frames: u32,
    data: u32,
    late: u32,
    repeated: u32,
    conflicting: u32,
    begun: u32,
    ipv6: u32,
    tagged: u32,
    closed: u32,
    reset: u32,
}

/// Plays frames into per-flow models and counts what happened.
#[derive(Debug, Default)]
struct World {
    live: HashMap<(SocketAddr, SocketAddr), [Direction; 2]>,
    counts: Counts,
}

impl World {
    #[track_caller]
    fn take(&mut self, parsed: &Parsed) {
        self.counts.frames += 1;
        let forward = (parsed.source, parsed.target);
        if parsed.flags == SYN {
            let taken = self.live.insert(forward, Default::default()).is_some();
            assert!(!taken, "{forward:?} is taken by a live conversation");
            self.counts.begun += 1;
            self.counts.ipv6 += u32::from(parsed.source.is_ipv6());
            self.counts.tagged += u32::from(parsed.vlan.is_some());
        }
        let backward = (parsed.target, parsed.source);
        let (key, from) =
            if self.live.contains_key(&forward) { (forward, 0) } else { (backward, 1) };
        let flow = self.live.get_mut(&key).expect("a live conversation");
        if parsed.flags & SYN != 0 {
            flow[from].base = Some(parsed.seq.wrapping_add(1));
            return;
        }
        Self::data(&mut self.counts, &mut flow[from], parsed);
        Self::acknowledge(&mut flow[1 - from], parsed);
        let over = flow[0].finished && flow[1].finished && parsed.flags == ACK;
        if parsed.flags & RST != 0 {
            assert_eq!(parsed.seq.wrapping_sub(flow[from].base.unwrap()), flow[from].highest);
            self.counts.reset += 1;
            self.live.remove(&key);
        } else if over {
            self.counts.closed += 1;
            self.live.remove(&key);
        }
    }

    #[track_caller]
    fn data(counts: &mut Counts, direction: &mut Direction, parsed: &Parsed) {
        let offset = parsed.seq.wrapping_sub(direction.base.expect("a SYN before"));
        if parsed.flags & FIN != 0 {
            assert_eq!(offset, direction.highest, "FIN after the last byte");
            direction.finished = true;
        }
        let length = u32::try_from(parsed.payload.len()).unwrap();
        if length == 0 {
            return;
        }
        counts.data += 1;
        let (start, end) = (offset as usize, (offset + length) as usize);
        if offset < direction.highest {
            let missing = direction.bytes[start].is_none();
            *if missing { &mut counts.late } else { &mut counts.repeated } += 1;
        }
        direction.bytes.resize(end.max(direction.bytes.len()), None);
        let mut conflict = false;
        for (held, byte) in direction.bytes[start..end].iter_mut().zip(&parsed.payload) {
            conflict |= *held.get_or_insert(*byte) != *byte;
        }
        counts.conflicting += u32::from(conflict);
        direction.highest = direction.highest.max(offset + length);
    }

    #[track_caller]
    fn acknowledge(direction: &mut Direction, parsed: &Parsed) {
        let acked = parsed.ack.wrapping_sub(direction.base.expect("a SYN before"));
        let end = direction.highest + u32::from(direction.finished);
        assert!(acked <= end, "acknowledges {acked} of {end}");
        assert!(acked >= direction.acked, "takes back an acknowledgement");
        if acked > 0 && acked <= direction.highest {
            let held = direction.bytes[acked as usize - 1].is_some();
            assert!(held, "acknowledges a missing byte");
        }
        direction.acked = acked;
    }
}

#[test]
fn every_frame_is_valid_and_every_conversation_makes_sense() {
    let mut world = World::default();
    for frame in frames(60, 1, 60_000) {
        world.take(&parse(&frame));
    }
    assert!(world.counts.closed > 100, "{:?}", world.counts);
}

#[test]
fn the_mix_is_as_promised() {
    let mut world = World::default();
    for frame in frames(3000, 2, 200_000) {
        world.take(&parse(&frame));
    }
    let counts = &world.counts;
    let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole);
    let within = |value: f64, low: f64, high: f64| {
        assert!((low..high).contains(&value), "{value} is not in {low}..{high}: {counts:?}");
    };
    within(share(counts.repeated, counts.data), 0.007, 0.013);
    within(share(counts.late, counts.data), 0.014, 0.026);
    within(share(counts.conflicting, counts.repeated), 0.02, 0.10);
    within(share(counts.ipv6, counts.begun), 0.22, 0.28);
    within(share(counts.tagged, counts.begun), 0.07, 0.13);
    within(share(counts.data, counts.frames), 0.5, 0.8);
}

#[test]
fn about_three_conversations_in_a_hundred_are_reset() {
    let mut world = World::default();
    for frame in frames(40, 3, 300_000) {
        world.take(&parse(&frame));
    }
    let Counts { reset, closed, .. } = world.counts;
    let share = f64::from(reset) / f64::from(reset + closed);
    assert!((0.015..0.05).contains(&share), "{reset} of {}", reset + closed);
}

#[test]
fn a_seed_makes_one_traffic() {
    let make = |seed| frames(50, seed, 2000).collect::<Vec<_>>();
    assert_eq!(make(5), make(5));
    assert_ne!(make(5), make(6));
}

#[test]
fn frames_of_many_conversations_interleave() {
    let sources: HashSet<_> =
        frames(100, 4, 200).map(|frame| parse(&frame)).map(|p| p.source.max(p.target)).collect();
    assert!(sources.len() >= 20, "{} conversations in 200 frames", sources.len());
}

#[test]
fn one_conversation_at_a_time_works_too() {
    let mut world = World::default();
    for frame in frames(0, 9, 5000) {
        world.take(&parse(&frame));
        assert!(world.live.len() <= 1);
    }
}

#[test]
fn a_syn_carries_its_options() {
    let syn = frames(30, 7, 500).map(|frame| parse(&frame)).filter(|p| p.flags == SYN);
    let mut kinds = HashSet::new();
    for parsed in syn {
        let mss = if parsed.source.is_ipv4() { 1460 } else { 1440 };
        assert_eq!(parsed.options[..2], [2, 4]);
        assert_eq!(be16(&parsed.options[2..]), mss);
        assert_eq!(parsed.options[4..6], [4, 2]);
        assert_eq!(parsed.options[parsed.options.len() - 3..], [3, 3, 7]);
        kinds.insert(parsed.options.len());
    }
    assert_eq!(kinds, HashSet::from([12, 20]), "with and without timestamps");
}

#[test]
fn timestamps_echo_what_the_other_endpoint_sent_last() {
    let mut last = HashMap::new();
    let mut echoes = 0;
    for parsed in frames(30, 7, 5000).map(|frame| parse(&frame)) {
        if parsed.flags == SYN {
            last.remove(&(parsed.target, parsed.source));
        }
        let Some(at) = parsed.options.windows(2).position(|kind| kind == [8, 10]) else { continue };
        let [value, echo] = [2, 6].map(|skip| &parsed.options[at + skip..][..4]);
        let sent = last.get(&(parsed.target, parsed.source));
        assert_eq!(echo, sent.map_or(&[0; 4][..], Vec::as_slice));
        echoes += usize::from(sent.is_some());
        last.insert((parsed.source, parsed.target), value.to_vec());
    }
    assert!(echoes > 1000);
}

#[test]
fn requests_and_responses_are_readable() {
    let payloads: Vec<_> =
        frames(30, 8, 3000).map(|frame| parse(&frame).payload).filter(|p| !p.is_empty()).collect();
    assert!(payloads.iter().any(|payload| payload.starts_with(b"GET /items/")));
    assert!(payloads.iter().any(|payload| payload.starts_with(b"HTTP/1.1 200 OK\r\n")));
}
