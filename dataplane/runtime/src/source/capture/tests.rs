//! Captures written byte by byte here, read back by the source.

use std::io::Write as _;

use mos_stack::{Limits, Stack, Stat, WorkerId};
use proptest::prelude::*;

use super::*;
use crate::traffic::Conversations;

const ETHERNET: u16 = 1;
const WIRELESS: u16 = 105;
const SECOND: u64 = 1_000_000_000;

/// Byte order of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// Writes captures.
struct Writer {
    order: Order,
    bytes: Vec<u8>,
}

impl Writer {
    fn new(order: Order) -> Self {
        Self { order, bytes: Vec::new() }
    }

    fn half(&mut self, value: u16) {
        match self.order {
            Order::Little => self.bytes.extend_from_slice(&value.to_le_bytes()),
            Order::Big => self.bytes.extend_from_slice(&value.to_be_bytes()),
        }
    }

    fn word(&mut self, value: u32) {
        match self.order {
            Order::Little => self.bytes.extend_from_slice(&value.to_le_bytes()),
            Order::Big => self.bytes.extend_from_slice(&value.to_be_bytes()),
        }
    }

    fn words(&mut self, values: &[u32]) {
        values.iter().for_each(|value| self.word(*value));
    }

    fn pcap(order: Order, magic: u32, link: u16) -> Self {
        let mut writer = Self::new(order);
        writer.word(magic);
        writer.half(2);
        writer.half(4);
        writer.words(&[0, 0, 65_535, u32::from(link)]);
        writer
    }

    fn record(&mut self, seconds: u32, fraction: u32, data: &[u8], wire_length: u32) {
        self.words(&[seconds, fraction, len(data), wire_length]);
        self.bytes.extend_from_slice(data);
    }

    fn block(&mut self, kind: u32, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.word(kind);
        self.word(0);
        body(self);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let length = len(&self.bytes[start..]) + 4;
        self.word(length);
        let length = self.bytes[self.bytes.len() - 4..].to_vec();
        self.bytes[start + 4..start + 8].copy_from_slice(&length);
    }

    fn section(&mut self) {
        self.block(0x0a0d_0d0a, |w| {
            w.word(0x1a2b_3c4d);
            w.half(1);
            w.half(0);
            w.bytes.extend_from_slice(&[0xff; 8]);
        });
    }

    fn interface(&mut self, link: u16, snaplen: u32, resolution: Option<u8>, offset: Option<i64>) {
        self.block(1, |w| {
            w.half(link);
            w.half(0);
            w.word(snaplen);
            if let Some(resolution) = resolution {
                w.half(9);
                w.half(1);
                w.bytes.extend_from_slice(&[resolution, 0, 0, 0]);
            }
            if let Some(offset) = offset {
                w.half(14);
                w.half(8);
                match w.order {
                    Order::Little => w.bytes.extend_from_slice(&offset.to_le_bytes()),
                    Order::Big => w.bytes.extend_from_slice(&offset.to_be_bytes()),
                }
            }
            w.word(0);
        });
    }

    fn enhanced(&mut self, interface: u32, units: u64, data: &[u8], wire_length: u32) {
        self.block(6, |w| {
            w.word(interface);
            w.word(u32::try_from(units >> 32).unwrap());
            w.word(u32::try_from(units & 0xffff_ffff).unwrap());
            w.word(len(data));
            w.word(wire_length);
            w.bytes.extend_from_slice(data);
        });
    }

    fn simple(&mut self, data: &[u8], wire_length: u32) {
        self.block(3, |w| {
            w.word(wire_length);
            w.bytes.extend_from_slice(data);
        });
    }

    fn obsolete(&mut self, interface: u16, units: u64, data: &[u8], wire_length: u32) {
        self.block(2, |w| {
            w.half(interface);
            w.half(7);
            w.word(u32::try_from(units >> 32).unwrap());
            w.word(u32::try_from(units & 0xffff_ffff).unwrap());
            w.word(len(data));
            w.word(wire_length);
            w.bytes.extend_from_slice(data);
        });
    }
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

/// Arrival in nanoseconds, bytes, and length on the wire.
type Seen = (u64, Vec<u8>, u32);

fn open_bytes(bytes: &[u8], share: Share) -> Result<CaptureSource, CaptureError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    CaptureSource::open(file.path(), share)
}

fn drain(source: &mut CaptureSource) -> Vec<Seen> {
    let mut seen = Vec::new();
    loop {
        let before = source.time().unwrap();
        let received = source.receive(Instant::EPOCH, |frames| {
            assert!(!frames.is_empty() && frames.len() <= BURST);
            seen.extend(
                frames.iter().map(|f| (f.arrival.as_nanos(), f.bytes.to_vec(), f.wire_length)),
            );
        });
        assert!(source.time().unwrap() >= before, "time runs backwards");
        match received {
            Received::Frames(_) => {}
            Received::Nothing => panic!("a capture always has frames or has ended"),
            Received::End => return seen,
        }
    }
}

#[track_caller]
fn read(bytes: &[u8]) -> (Vec<Seen>, Option<CaptureProblem>) {
    let mut source = open_bytes(bytes, Share::ALL).unwrap();
    let seen = drain(&mut source);
    (seen, source.problem().cloned())
}

#[track_caller]
fn check(bytes: &[u8], expected: &[(u64, &[u8], u32)]) {
    let (seen, problem) = read(bytes);
    assert_eq!(problem, None);
    let expected: Vec<Seen> =
        expected.iter().map(|(time, data, wire)| (*time, data.to_vec(), *wire)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn pcap_in_both_byte_orders_and_precisions() {
    for order in [Order::Little, Order::Big] {
        for (magic, unit) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            let mut writer = Writer::pcap(order, magic, ETHERNET);
            writer.record(1_700_000_000, 1, b"first frame", 11);
            writer.record(1_700_000_000, 999, b"cut", 1514);
            let start = 1_700_000_000 * SECOND;
            check(
                &writer.bytes,
                &[(start + unit, b"first frame", 11), (start + 999 * unit, b"cut", 1514)],
            );
        }
    }
}

#[test]
fn pcap_with_the_longer_record_headers() {
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_cd34, ETHERNET);
    writer.words(&[5, 7, 3, 3, 0, 0]);
    writer.bytes.extend_from_slice(b"abc");
    check(&writer.bytes, &[(5 * SECOND + 7000, b"abc", 3)]);
}

#[test]
fn pcapng_in_both_byte_orders_with_every_kind_of_packet() {
    for order in [Order::Little, Order::Big] {
        let mut writer = Writer::new(order);
        writer.section();
        writer.block(4, |w| w.word(0)); // Names: of no interest.
        writer.interface(ETHERNET, 6, None, None);
        writer.enhanced(0, 2_000_001, b"12345", 60);
        writer.simple(b"123456", 90);
        writer.obsolete(0, 2_000_002, b"odd", 3);
        check(
            &writer.bytes,
            &[
                (2 * SECOND + 1000, b"12345", 60),
                (2 * SECOND + 1000, b"123456", 90),
                (2 * SECOND + 2000, b"odd", 3),
            ],
        );
    }
}

#[test]
fn every_interface_has_its_own_resolution_and_clock_offset() {
    for order in [Order::Little, Order::Big] {
        let mut writer = Writer::new(order);
        writer.section();
        writer.interface(ETHERNET, 0, Some(9), None);
        writer.interface(ETHERNET, 0, Some(3), Some(1000));
        writer.interface(ETHERNET, 0, Some(0x80 | 10), Some(-1));
        writer.enhanced(0, 1_000 * SECOND + 5, b"a", 1);
        writer.enhanced(1, 1_250, b"b", 1);
        writer.enhanced(2, 1003 * 1024 + 512, b"c", 1);
        check(
            &writer.bytes,
            &[
                (1000 * SECOND + 5, b"a", 1),
                (1001 * SECOND + SECOND / 4, b"b", 1),
                (1002 * SECOND + SECOND / 2, b"c", 1),
            ],
        );
    }
}

#[test]
fn a_new_section_has_its_own_byte_order_and_interfaces() {
    let mut first = Writer::new(Order::Little);
    first.section();
    first.interface(ETHERNET, 0, None, None);
    first.enhanced(0, 1, b"little", 6);
    let mut second = Writer::new(Order::Big);
    second.section();
    second.interface(ETHERNET, 0, Some(9), None);
    second.enhanced(0, 2000, b"big", 3);
    let both = [first.bytes.clone(), second.bytes].concat();
    check(&both, &[(1000, b"little", 6), (2000, b"big", 3)]);

    let mut forgetful = Writer::new(Order::Little);
    forgetful.section();
    forgetful.enhanced(0, 1, b"whose?", 6);
    let offset = first.bytes.len() as u64 + 28;
    let (seen, problem) = read(&[first.bytes, forgetful.bytes].concat());
    assert_eq!(seen.len(), 1);
    let cause = ProblemCause::Damaged("a packet of an undeclared interface");
    assert_eq!(problem, Some(CaptureProblem { offset, cause }));
}

#[test]
fn other_link_types_are_refused_by_name() {
    let mut old = Writer::pcap(Order::Little, 0xa1b2_c3d4, WIRELESS);
    old.record(1, 1, b"wireless", 8);
    let mut new = Writer::new(Order::Little);
    new.section();
    new.interface(WIRELESS, 0, None, None);
    new.enhanced(0, 1, b"wireless", 8);
    for bytes in [old.bytes, new.bytes] {
        let error = open_bytes(&bytes, Share::ALL).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "has the link type 105; only ETHERNET, LINUX_SLL, LINUX_SLL2, RAW, \
                 IPV4, IPV6, NULL and LOOP can be read"
            ),
            "{error}"
        );
    }
}

#[test]
fn a_packet_of_another_link_type_later_on_ends_the_capture_with_a_problem() {
    let mut writer = Writer::new(Order::Little);
    writer.section();
    writer.interface(ETHERNET, 0, None, None);
    writer.interface(WIRELESS, 0, None, None);
    writer.enhanced(0, 1, b"fine", 4);
    let offset = writer.bytes.len() as u64;
    writer.enhanced(1, 2, b"wireless", 8);
    let (seen, problem) = read(&writer.bytes);
    assert_eq!(seen.len(), 1);
    let cause = ProblemCause::LinkType(LinkType(WIRELESS.into()));
    assert_eq!(problem, Some(CaptureProblem { offset, cause }));
}

/// The IP packet in an Ethernet frame.
fn ip_packet(frame: &[u8]) -> &[u8] {
    let mut at = 12;
    while frame[at..at + 2] == [0x81, 0] {
        at += 4;
    }
    &frame[at + 2..]
}

/// What a link layer puts before an IP packet: its numbers in captures, and its header.
fn link_headers(packet: &[u8]) -> Vec<(u16, Link, Vec<u8>)> {
    let is_v6 = packet[0] >> 4 == 6;
    let ether_type: [u8; 2] = if is_v6 { [0x86, 0xdd] } else { [0x08, 0] };
    let sll2 = [ether_type.to_vec(), vec![0; 18]].concat();
    // The family in the order of the machine that captured, and in that of the network.
    let family = if is_v6 { 30 } else { 2 };
    let version = if is_v6 { 229 } else { 228 };
    vec![
        (0, Link::Loopback, vec![family, 0, 0, 0]),
        (0, Link::Loopback, vec![0, 0, 0, family]),
        (1, Link::Ethernet, [vec![2; 12], ether_type.to_vec()].concat()),
        (12, Link::RawIp, vec![]),
        (14, Link::RawIp, vec![]),
        (101, Link::RawIp, vec![]),
        (108, Link::Loopback, vec![0, 0, 0, family]),
        (113, Link::LinuxSll, [vec![0; 14], ether_type.to_vec()].concat()),
        (version, Link::RawIp, vec![]),
        (276, Link::LinuxSll2, sll2),
    ]
}

/// What a stack makes of a capture: flows, monitored packets, payload bytes.
fn monitored(bytes: &[u8], expected: Link) -> [u64; 3] {
    let limits = Limits { flows_max: 1024, pool_bytes: 1 << 22, ..Limits::default() };
    let mut stack = Stack::new(WorkerId::default(), limits, 1).unwrap();
    let mut source = open_bytes(bytes, Share::ALL).unwrap();
    let handle = |frames: &[Frame<'_>]| {
        assert!(frames.iter().all(|frame| frame.link == expected));
        stack.handle_burst(frames, &mut ());
    };
    let mut handle = handle;
    while source.receive(Instant::EPOCH, &mut handle) != Received::End {}
    assert_eq!(source.problem(), None);
    let stats = stack.stats();
    [stats.get(Stat::FlowsStarted), stats.packets(), stats.get(Stat::PayloadBytes)]
}

#[test]
fn every_link_type_carries_the_same_conversations() {
    let (_, frames) = demo_capture(600);
    let (v6, v4): (Vec<_>, Vec<_>) =
        frames.iter().map(|frame| ip_packet(frame)).partition(|packet| packet[0] >> 4 == 6);
    for packets in [v4, v6] {
        let mut seen = Vec::new();
        for (index, (number, link, _)) in link_headers(packets[0]).into_iter().enumerate() {
            let mut old = Writer::pcap(Order::Big, 0xa1b2_3c4d, number);
            let mut new = Writer::new(Order::Little);
            new.section();
            new.interface(number, 0, Some(9), None);
            for (nanos, packet) in packets.iter().enumerate() {
                let (_, _, header) = &link_headers(packet)[index];
                let frame = [header.as_slice(), packet].concat();
                old.record(1, u32::try_from(nanos).unwrap(), &frame, len(&frame));
                new.enhanced(0, SECOND + nanos as u64, &frame, len(&frame));
            }
            seen.extend([old, new].map(|writer| monitored(&writer.bytes, link)));
        }
        let [flows, count, payload] = seen[0];
        assert!(flows > 5 && count == packets.len() as u64 && payload > 10_000, "{:?}", seen[0]);
        assert!(seen.iter().all(|again| *again == seen[0]), "{seen:?}");
    }
}

#[test]
fn every_interface_has_its_own_link_type() {
    let (_, frames) = demo_capture(1);
    let packet = ip_packet(&frames[0]);
    let mut writer = Writer::new(Order::Little);
    writer.section();
    let headers = link_headers(packet);
    for (number, ..) in &headers {
        writer.interface(*number, 0, None, None);
    }
    for (index, (_, _, header)) in (0..).zip(&headers) {
        let frame = [header.as_slice(), packet].concat();
        writer.enhanced(index, 7, &frame, len(&frame));
    }
    let mut links = Vec::new();
    let mut source = open_bytes(&writer.bytes, Share::ALL).unwrap();
    let received = source.receive(Instant::EPOCH, |frames| {
        links.extend(frames.iter().map(|frame| (frame.link, spread_hash(frame))));
    });
    assert_eq!(received, Received::Frames(headers.len()));
    let hash = links[0].1;
    assert_ne!(hash, 0);
    let expected: Vec<_> = headers.iter().map(|(_, link, _)| (*link, hash)).collect();
    assert_eq!(links, expected, "and every worker agrees on whose the flow is");
}

#[test]
fn a_frame_check_sequence_in_the_link_type_does_not_matter() {
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    writer.bytes[23] = 0x24;
    writer.record(1, 0, b"frame", 5);
    check(&writer.bytes, &[(SECOND, b"frame", 5)]);
}

#[test]
fn what_is_whole_of_a_truncated_capture_is_delivered() {
    let mut old = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    old.record(1, 0, b"whole", 5);
    let old_end = old.bytes.len();
    old.record(1, 1, b"cut off", 7);
    let mut new = Writer::new(Order::Big);
    new.section();
    new.interface(ETHERNET, 0, None, None);
    new.enhanced(0, 1, b"whole", 5);
    let new_end = new.bytes.len();
    new.enhanced(0, 1, b"cut off", 7);
    for (bytes, whole) in [(old.bytes, old_end), (new.bytes, new_end)] {
        for end in whole..bytes.len() {
            let (seen, problem) = read(&bytes[..end]);
            assert_eq!(seen.len(), 1);
            let truncated = CaptureProblem { offset: whole as u64, cause: ProblemCause::Truncated };
            assert_eq!(problem, (end > whole).then_some(truncated));
        }
    }
}

#[test]
fn a_damaged_record_ends_the_capture_where_it_begins() {
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    writer.record(1, 0, b"fine", 4);
    let offset = writer.bytes.len() as u64;
    writer.words(&[1, 1, u32::MAX, 60]);
    let (seen, problem) = read(&writer.bytes);
    assert_eq!(seen.len(), 1);
    let cause = ProblemCause::Damaged("a packet of more than 16 MiB");
    assert_eq!(problem, Some(CaptureProblem { offset, cause }));
    assert!(problem_text(&writer.bytes).contains("damaged: a packet of more than 16 MiB (at byte"));
}

fn problem_text(bytes: &[u8]) -> String {
    read(bytes).1.unwrap().to_string()
}

#[test]
fn what_is_not_a_capture_is_named() {
    let cases: [(&[u8], &str); 5] = [
        (b"", "is empty"),
        (b"hello, world: this is no capture", "it is neither pcap nor pcapng"),
        (b"\x1f\x8b\x08\x00rest", "is compressed"),
        (b"\xd4\xc3\xb2\xa1\x02\x00", "ends within its header"),
        (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a", "ends within its header"),
    ];
    for (bytes, words) in cases {
        let error = open_bytes(bytes, Share::ALL).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let missing = CaptureSource::open(Path::new("/no/such.pcap"), Share::ALL).unwrap_err();
    assert!(missing.to_string().contains("/no/such.pcap: No such file"), "{missing}");
    let folder = CaptureSource::open(Path::new("/"), Share::ALL).unwrap_err();
    assert!(folder.to_string().contains("is a directory"), "{folder}");
}

#[test]
fn a_capture_without_packets_ends_at_once() {
    check(&Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET).bytes, &[]);
}

#[test]
fn times_that_run_backwards_are_held() {
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    for micros in [5000, 3000, 6000] {
        writer.record(9, micros, b"x", 1);
    }
    let start = 9 * SECOND;
    let expected = [5_000_000, 5_000_000, 6_000_000].map(|nanos| (start + nanos, &b"x"[..], 1));
    check(&writer.bytes, &expected);
}

const HOUR: u32 = 3600;

/// The seconds at which packets arrive that were captured at these.
fn arrivals(captured: &[u32]) -> Vec<u32> {
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    for seconds in captured {
        writer.record(*seconds, 0, b"x", 1);
    }
    let (seen, problem) = read(&writer.bytes);
    assert_eq!(problem, None);
    seen.iter().map(|(nanos, ..)| u32::try_from(nanos / SECOND).unwrap()).collect()
}

#[test]
fn a_time_that_leaps_ahead_and_is_taken_back_is_not_believed() {
    let leap = 10 + HOUR;
    assert_eq!(arrivals(&[10, 11 + leap, 11, 12]), [10, 10, 11, 12]);
    assert_eq!(arrivals(&[10, 11 + leap, 12, 13 + leap, 14]), [10, 10, 12, 12, 14]);
}

#[test]
fn a_time_that_leaps_ahead_and_stays_there_is_a_pause() {
    let leap = 10 + HOUR;
    assert_eq!(arrivals(&[10, leap + 11, leap + 12]), [10, leap + 11, leap + 12]);
    assert_eq!(arrivals(&[10, leap + 12, leap + 11]), [10, leap + 12, leap + 12], "reordered");
    assert_eq!(arrivals(&[10, leap + 11]), [10, leap + 11], "the last packet");
    assert_eq!(arrivals(&[leap + 11, 10]), [leap + 11, leap + 11], "the first packet");
    assert_eq!(arrivals(&[10, 10 + HOUR, 10]), [10, 10 + HOUR, 10 + HOUR], "not far enough");
}

#[test]
fn the_packet_behind_a_leap_may_lie_beyond_the_window_and_behind_an_interface() {
    let large = vec![7; 1 << 20];
    let mut writer = Writer::new(Order::Little);
    writer.section();
    writer.interface(ETHERNET, 0, Some(0), None);
    writer.enhanced(0, 10, b"first", 5);
    writer.enhanced(0, 10 + 2 * u64::from(HOUR), &large, len(&large));
    writer.interface(ETHERNET, 0, Some(3), None);
    writer.enhanced(1, 11_000, b"last", 4);
    writer.enhanced(0, 12, b"first", 5);
    let at = |seconds| seconds * SECOND;
    check(
        &writer.bytes,
        &[
            (at(10), b"first", 5),
            (at(10), &large, len(&large)),
            (at(11), b"last", 4),
            (at(12), b"first", 5),
        ],
    );
}

#[test]
fn a_pause_passes_before_the_packet_that_ends_it() {
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    writer.record(100, 0, b"x", 1);
    writer.record(400, 0, b"y", 1);
    let mut source = open_bytes(&writer.bytes, Share::ALL).unwrap();
    assert_eq!(source.time(), Some(Instant::from_nanos(100 * SECOND)), "known before any frame");
    assert_eq!(source.receive(Instant::EPOCH, |_| {}), Received::Frames(1));
    let mut turns_alone = 0;
    while source.receive(Instant::EPOCH, |_| {}) == Received::Frames(0) {
        turns_alone += 1;
        let left = Instant::from_nanos(400 * SECOND).since(source.time().unwrap());
        assert!(turns_alone > 1 || left >= Duration::from_secs(149));
    }
    assert!((10..30).contains(&turns_alone), "{turns_alone}");
    assert_eq!(source.time(), Some(Instant::from_nanos(400 * SECOND)));
}

fn demo_capture(frames: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut conversations = Conversations::new(40, 11);
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_3c4d, ETHERNET);
    let mut all = Vec::new();
    for index in 0..frames {
        let mut frame = Vec::new();
        conversations.next_frame(&mut frame);
        writer.record(1, u32::try_from(index).unwrap(), &frame, len(&frame));
        all.push(frame);
    }
    (writer.bytes, all)
}

#[test]
fn a_capture_much_larger_than_the_window_is_read_in_full() {
    let (bytes, frames) = demo_capture(6000);
    assert!(bytes.len() > 3 << 20);
    let mut source = open_bytes(&bytes, Share::ALL).unwrap();
    let progress = source.progress();
    let seen: Vec<_> = drain(&mut source).into_iter().map(|(_, data, _)| data).collect();
    assert_eq!(seen, frames);
    assert_eq!((progress.consumed(), progress.total()), (bytes.len() as u64, bytes.len() as u64));
}

#[test]
fn a_frame_larger_than_the_window_is_read() {
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    writer.record(1, 0, b"small", 5);
    writer.record(1, 1, &large, len(&large));
    writer.record(1, 2, b"small", 5);
    check(
        &writer.bytes,
        &[(SECOND, b"small", 5), (SECOND + 1000, &large, 3_000_000), (SECOND + 2000, b"small", 5)],
    );
}

#[test]
fn workers_share_the_frames_and_see_the_same_time() {
    let (bytes, frames) = demo_capture(3000);
    let mut all = Vec::new();
    for index in 0..3 {
        let mut source = open_bytes(&bytes, Share { index, workers: 3 }).unwrap();
        all.extend(drain(&mut source));
        assert_eq!(source.time(), Some(Instant::from_nanos(SECOND + 2999)));
    }
    all.sort();
    let all: Vec<_> = all.into_iter().map(|(_, data, _)| data).collect();
    assert_eq!(all, frames, "every frame once");
}

proptest! {
    #[test]
    fn damaged_captures_come_to_an_end(
        pcapng in any::<bool>(),
        big in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        keep in any::<prop::sample::Index>(),
    ) {
        let order = if big { Order::Big } else { Order::Little };
        let mut writer = Writer::pcap(order, 0xa1b2_c3d4, ETHERNET);
        if pcapng {
            writer.bytes.clear();
            writer.section();
            writer.interface(ETHERNET, 4, Some(6), Some(3));
            for n in 0..4 {
                writer.enhanced(0, n, b"enhanced", 60);
                writer.simple(b"simp", 60);
                writer.obsolete(0, n, b"obsolete", 60);
            }
        } else {
            for n in 0..8 {
                writer.record(n, n, b"a frame", 60);
            }
        }
        let mut bytes = writer.bytes;
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(keep.index(bytes.len()) + 1);
        if let Ok(mut source) = open_bytes(&bytes, Share::ALL) {
            prop_assert!(drain(&mut source).len() <= 64);
        }
    }
}
