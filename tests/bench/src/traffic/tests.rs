//! Tests of the traffic, by a parser that shares no code with it.

use std::collections::{HashMap, HashSet};

use super::{frame::FRAME_MAX, *};

const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// A parsed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    source: (u32, u16),
    target: (u32, u16),
    seq: u32,
    ack: u32,
    flags: u8,
    options: Vec<u8>,
    payload: Vec<u8>,
    length: usize,
}

impl Seen {
    /// The same for both directions.
    fn flow(&self) -> [(u32, u16); 2] {
        let mut ends = [self.source, self.target];
        ends.sort_unstable();
        ends
    }

    fn is(&self, flags: u8) -> bool {
        self.flags & (FIN | SYN | ACK) == flags
    }
}

fn be16(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// 0xffff where a checksum within the bytes is right.
fn ones_sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).fold(0, |sum, pair| {
        let sum = sum + (u32::from(pair[0]) << 8) + u32::from(*pair.get(1).unwrap_or(&0));
        (sum & 0xffff) + (sum >> 16)
    })
}

#[track_caller]
fn parse(frame: &[u8]) -> Seen {
    assert!(frame.len() >= 60);
    assert_eq!(be16(&frame[12..]), 0x0800);
    let ip = &frame[14..];
    assert_eq!((ip[0], ip[9]), (0x45, 6));
    assert_eq!(ones_sum(&ip[..20]), 0xffff, "checksum of IPv4");
    let tcp = &ip[20..be16(&ip[2..]).into()];
    let mut covered = ip[12..20].to_vec();
    covered.extend([0, 6]);
    covered.extend(u16::try_from(tcp.len()).unwrap().to_be_bytes());
    covered.extend(tcp);
    assert_eq!(ones_sum(&covered), 0xffff, "checksum of TCP");
    assert!(frame.len() == 60 || frame.len() == 34 + tcp.len());
    let header = usize::from(tcp[12] >> 4) * 4;
    Seen {
        source: (be32(&ip[12..]), be16(tcp)),
        target: (be32(&ip[16..]), be16(&tcp[2..])),
        seq: be32(&tcp[4..]),
        ack: be32(&tcp[8..]),
        flags: tcp[13],
        options: tcp[20..header].to_vec(),
        payload: tcp[header..].to_vec(),
        length: frame.len(),
    }
}

#[track_caller]
fn segments(traffic: &mut dyn Traffic, count: usize) -> Vec<Seen> {
    let mut frame = [0xee; FRAME_MAX];
    let mut next = || {
        let length = traffic.next_frame(&mut frame).unwrap();
        parse(&frame[..length])
    };
    (0..count).map(|_| next()).collect()
}

/// The segments of each flow, in order.
fn by_flow(segments: &[Seen]) -> HashMap<[(u32, u16); 2], Vec<Seen>> {
    let mut flows: HashMap<_, Vec<Seen>> = HashMap::new();
    for segment in segments {
        flows.entry(segment.flow()).or_default().push(segment.clone());
    }
    flows
}

/// Every traffic, in a small size.
fn all() -> Vec<(&'static str, Box<dyn Traffic>)> {
    let disorder = Disorder { late: 20, lost: 10, twice: 10 };
    vec![
        ("steady", Box::new(Steady::new(100, 6, 20))),
        ("large", Box::new(Steady::new(10, 1460, 10))),
        ("storm", Box::new(Steady::new(100, 0, 0))),
        ("disorder", Box::new(Scripted::new(100, Talk::Even { payload: 512 }, disorder))),
        ("mixed", Box::new(Scripted::new(100, Talk::Mixed, disorder))),
        ("open", Box::new(Lockstep::new(100, 6, 4))),
        ("syn", Box::new(Flood::new(Flooding::Syn))),
        ("syn-ack", Box::new(Flood::new(Flooding::SynAck))),
        ("ack", Box::new(Flood::new(Flooding::Ack))),
    ]
}

#[test]
fn every_frame_is_valid_and_every_run_is_the_same() {
    for ((name, mut one), (_, mut other)) in all().into_iter().zip(all()) {
        let first = segments(one.as_mut(), 5000);
        assert_eq!(first, segments(other.as_mut(), 5000), "{name}");
        let is_private = |address: u32| address >> 24 == 10 || address >> 20 == 0xac1;
        assert!(first.iter().all(|of| is_private(of.source.0) && is_private(of.target.0)));
    }
}

#[test]
fn a_flow_of_t1_has_26_packets_in_the_right_order() {
    for payload in [6, 512, 1460] {
        let seen = segments(&mut Steady::new(1, payload, 20), 26);
        let [syn, syn_ack, ack, data @ .., fin, other_fin, last] = &seen[..] else { panic!() };
        assert_eq!(data.len(), 20);
        let (client, server) = (syn.source, syn.target);
        assert!(syn.is(SYN) && syn_ack.is(SYN | ACK) && ack.is(ACK));
        assert_eq!(syn.options, [2, 4, 0x05, 0xb4, 1, 3, 3, 7], "MSS 1460, window scale 7");
        assert_eq!(syn_ack.options, syn.options);
        let mut next = [syn.seq.wrapping_add(1), syn_ack.seq.wrapping_add(1)];
        assert_eq!((syn_ack.ack, ack.seq, ack.ack), (next[0], next[0], next[1]));
        for (nth, segment) in data.iter().enumerate() {
            let from = nth % 2;
            assert_eq!(segment.source, [client, server][from]);
            assert!(segment.is(ACK) && segment.options.is_empty());
            assert_eq!(segment.payload.len(), usize::from(payload));
            assert_eq!((segment.seq, segment.ack), (next[from], next[1 - from]));
            assert_eq!(segment.length, (54 + usize::from(payload)).max(60));
            next[from] = next[from].wrapping_add(payload.into());
        }
        let [fin_seq, other_seq] = next;
        assert!(fin.is(FIN | ACK) && other_fin.is(FIN | ACK) && last.is(ACK));
        assert_eq!([fin, other_fin, last].map(|of| of.source), [client, server, client]);
        assert_eq!((fin.seq, fin.ack), (fin_seq, other_seq));
        assert_eq!((other_fin.seq, other_fin.ack), (other_seq, fin_seq.wrapping_add(1)));
        assert_eq!((last.seq, last.ack), (other_fin.ack, other_seq.wrapping_add(1)));
    }
}

#[test]
fn slots_of_t1_take_turns_in_random_phase_with_a_new_tuple_each_time() {
    const FLOWS: usize = 1000;
    let traffic = &mut Steady::new(1000, 6, 20);
    assert_eq!(traffic.shape().life_frames, 26_000);
    let warm_up = segments(traffic, 26_000);
    let round = segments(traffic, FLOWS);
    let flows: HashSet<_> = round.iter().map(Seen::flow).collect();
    assert_eq!(flows.len(), FLOWS, "a packet of each slot in a round");
    let count = |is: &dyn Fn(&&Seen) -> bool| round.iter().filter(is).count();
    assert!((20..60).contains(&count(&|of| of.is(SYN))), "one phase in 26");
    assert!((650..850).contains(&count(&|of| !of.payload.is_empty())), "20 in 26");
    let mut whole = warm_up;
    whole.extend(round);
    whole.extend(segments(traffic, 26 * FLOWS));
    let flows = by_flow(&whole);
    assert!(flows.len() > 2 * FLOWS);
    assert!(flows.values().all(|flow| flow.len() <= 26 && flow[0].is(SYN)));
}

#[test]
fn a_byte_of_a_stream_depends_on_the_flow_the_direction_and_the_place_alone() {
    use mos_stack::Side;
    let whole = |stream: payload::Stream| {
        let mut bytes = vec![0; 4096];
        stream.write(0, &mut bytes);
        bytes
    };
    let stream = payload::Stream::new(7, Side::Client);
    let bytes = whole(stream);
    for (offset, length) in [(0, 1), (1, 6), (7, 1), (6, 2), (8, 8), (3, 100), (1460, 1460)] {
        let mut piece = vec![0; length];
        stream.write(offset as u64, &mut piece);
        assert_eq!(piece, bytes[offset..offset + length], "{offset} {length}");
    }
    assert_ne!(bytes, whole(payload::Stream::new(7, Side::Server)));
    assert_ne!(bytes, whole(payload::Stream::new(8, Side::Client)));
    let words: HashSet<_> = bytes.chunks(8).collect();
    assert_eq!(words.len(), 512, "no word comes twice");
}

#[test]
fn t2_moves_loses_and_repeats_as_many_segments_as_it_says() {
    let disorder = Disorder { late: 20, lost: 10, twice: 10 };
    let traffic = &mut Scripted::new(200, Talk::Even { payload: 512 }, disorder);
    let flows = by_flow(&segments(traffic, 200 * 26 * 50));
    let begun: HashSet<_> = flows.values().map(|flow| flow[0].source).collect();
    let has_ended = |flow: &&Vec<Seen>| {
        let (address, port) = flow[0].source;
        begun.contains(&(address, port + 1))
    };
    let (mut sent, mut late, mut lost, mut twice) = (0, 0, 0, 0);
    for flow in flows.values().filter(has_ended) {
        assert!(flow[0].is(SYN));
        assert!(flow.last().unwrap().is(ACK) && flow.last().unwrap().payload.is_empty());
        for (source, first) in [(flow[0].source, &flow[0]), (flow[0].target, &flow[1])] {
            let data = flow.iter().filter(|of| of.source == source && !of.payload.is_empty());
            let places: Vec<u32> = data.map(|of| of.seq.wrapping_sub(first.seq)).collect();
            let known = places.iter().collect::<HashSet<_>>().len();
            (sent, lost, twice) = (sent + 10, lost + 10 - known, twice + places.len() - known);
            late += places.windows(2).filter(|pair| pair[1] < pair[0]).count();
        }
    }
    assert!(sent > 150_000, "{sent}");
    // Two thirds of the segments that move by one to three places pass one of their own side.
    assert!((sent * 10..sent * 18).contains(&(late * 1000)), "{late} of {sent} late");
    assert!((sent * 9..sent * 11).contains(&(lost * 1000)), "{lost} of {sent} lost");
    assert!((sent * 9..sent * 11).contains(&(twice * 1000)), "{twice} of {sent} twice");
}

#[test]
fn t3_has_six_packets_and_t5_opens_all_before_it_closes_any() {
    let storm = by_flow(&segments(&mut Steady::new(100, 0, 0), 1800));
    let complete = storm.values().filter(|flow| flow.len() == 6).count();
    assert!(complete >= 200, "{complete}");
    let open = &mut Lockstep::new(1000, 6, 4);
    let life = segments(open, 10_000);
    assert_eq!(open.shape().life_frames, 10_000);
    let orders: Vec<Vec<_>> =
        life.chunks(1000).map(|phase| phase.iter().map(Seen::flow).collect()).collect();
    for (phase, order) in life.chunks(1000).zip(&orders) {
        assert!(phase.iter().all(|of| of.flags == phase[0].flags), "one step at a time");
        assert_eq!(order.iter().collect::<HashSet<_>>().len(), 1000, "every flow once");
        assert_eq!(orders.iter().filter(|other| *other == order).count(), 1, "its own order");
    }
    let flags: Vec<u8> = life.chunks(1000).map(|phase| phase[0].flags & 0x17).collect();
    let ends = FIN | ACK;
    assert_eq!(flags, [SYN, SYN | ACK, ACK, ACK, ACK, ACK, ACK, ends, ends, ACK]);
    let next = segments(open, 1000);
    assert!(next.iter().all(|of| of.is(SYN)));
    let old: HashSet<_> = orders[0].iter().collect();
    assert!(next.iter().all(|of| !old.contains(&of.flow())), "a new tuple each time");
}

#[test]
fn t4_has_one_to_three_requests_with_responses_of_three_sizes() {
    let disorder = Disorder { late: 20, lost: 0, twice: 0 };
    let seen = segments(&mut Scripted::new(300, Talk::Mixed, disorder), 100_000);
    let mut sizes: HashMap<usize, u32> = HashMap::new();
    for of in seen.iter().filter(|of| of.source.1 == 443 && !of.payload.is_empty()) {
        *sizes.entry(of.payload.len()).or_default() += 1;
    }
    assert_eq!(sizes.len(), 3);
    let [small, middle, large] = [6, 536, 1460].map(|size| f64::from(sizes[&size]));
    assert!((6.5..7.5).contains(&(small / large)), "{sizes:?}");
    assert!((3.7..4.3).contains(&(middle / large)), "{sizes:?}");
    let flows = by_flow(&seen);
    let requests: HashSet<usize> = flows
        .values()
        .filter(|flow| flow.iter().filter(|of| of.is(FIN | ACK)).count() == 2)
        .map(|flow| flow.iter().filter(|of| of.payload.len() == 120).count())
        .collect();
    assert_eq!(requests, HashSet::from([1, 2, 3]));
}

#[test]
fn floods_are_of_tuples_that_do_not_come_back() {
    let syns = segments(&mut Flood::new(Flooding::Syn), 10_000);
    assert!(syns.iter().all(|of| of.is(SYN)));
    assert_eq!(by_flow(&syns).len(), 10_000);
    let pairs = segments(&mut Flood::new(Flooding::SynAck), 10_000);
    for pair in pairs.chunks(2) {
        assert!(pair[0].is(SYN) && pair[1].is(SYN | ACK));
        assert_eq!((pair[1].ack, pair[1].source), (pair[0].seq.wrapping_add(1), pair[0].target));
    }
    let acks = segments(&mut Flood::new(Flooding::Ack), 10_000);
    assert!(acks.iter().all(|of| of.is(ACK)));
}
