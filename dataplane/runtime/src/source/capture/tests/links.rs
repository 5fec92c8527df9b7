//! Every link type that captures may have, and those that are refused.

use mos_stack::{Limits, Stack, Stat, WorkerId};

use super::*;

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
    let ppp = if is_v6 { 0x57 } else { 0x21 };
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0][..], &ether_type].concat();
    let wireless = [&[0x08, 1][..], &[2; 20], &[0; 2], &snap].concat();
    let length = u16::try_from(packet.len()).unwrap();
    let pppoe = [&[0x11, 0, 0, 7][..], &(length + 2).to_be_bytes(), &[0, ppp]].concat();
    let nflog = [&[2, 0, 0, 0][..], &(length + 4).to_le_bytes(), &[9, 0]].concat();
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
        (9, Link::Hdlc, vec![0xff, 3, 0, ppp]),
        (50, Link::Hdlc, vec![0xff, 3, 0, ppp]),
        (104, Link::Hdlc, [&[0x0f, 0][..], &ether_type].concat()),
        (107, Link::FrameRelay, [&[0x18, 0x41][..], &ether_type].concat()),
        (10, Link::Fddi, [&[0x50][..], &[2; 12], &snap].concat()),
        (11, Link::Llc, snap.clone()),
        (100, Link::Llc, snap.clone()),
        (105, Link::Wireless, wireless.clone()),
        (127, Link::Radiotap, [&[0, 0, 8, 0, 0, 0, 0, 0][..], &wireless].concat()),
        (192, Link::Ppi, [&[0, 0, 8, 0, 105, 0, 0, 0][..], &wireless].concat()),
        (242, Link::Infiniband, [&[0; 40][..], &ether_type, &[0; 2]].concat()),
        (51, Link::PppOverEthernet, pppoe),
        (239, Link::Nflog, nflog),
    ]
}

/// What a stack makes of a capture: flows, monitored packets, payload bytes.
fn monitored(bytes: &[u8], expected: Link) -> [u64; 3] {
    let limits = Limits { flows_max: 1024, pool_bytes: 1 << 22, ..Limits::default() };
    let mut stack = Stack::new(WorkerId::default(), limits, 1).unwrap();
    let mut source = open_bytes(bytes, Share::ALL).unwrap();
    let handle = |frames: &[Frame<'_>]| {
        assert!(frames.iter().all(|frame| frame.link == expected));
        stack.handle_burst(frames, &mut ())
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
        links.extend(frames.iter().map(|frame| (frame.link, spread_hash_of_hosts(frame))));
        FrameSet::NONE
    });
    assert_eq!(received, Received::Frames(headers.len()));
    let hash = links[0].1;
    assert_ne!(hash, 0);
    let expected: Vec<_> = headers.iter().map(|(_, link, _)| (*link, hash)).collect();
    assert_eq!(links, expected, "and every worker agrees on whose the flow is");
}

#[test]
fn a_pcap_of_another_link_type_is_refused_by_name() {
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_c3d4, USB);
    writer.record(1, 1, b"keyboard", 8);
    let error = open_bytes(&writer.bytes, Share::ALL).unwrap_err().to_string();
    assert!(
        error.contains("has the link type USB_LINUX_MMAPPED (220); only ETHERNET, "),
        "{error}"
    );
}

#[test]
fn a_pcapng_without_any_link_type_that_is_read_ends_with_a_problem() {
    let mut writer = Writer::new(Order::Big);
    writer.section();
    writer.interface(USB, 0, None, None);
    writer.interface(ETHERNET, 0, None, None);
    writer.enhanced(0, 1, b"keyboard", 8);
    let (seen, problem) = read(&writer.bytes);
    assert_eq!(seen.len(), 1);
    let cause = ProblemCause::LinkType(LinkType(USB.into()));
    assert_eq!(problem, Some(CaptureProblem { offset: writer.bytes.len() as u64, cause }));
}

/// In one section or in another, first or later, with packets of any kind.
#[test]
fn an_interface_that_cannot_be_read_costs_its_packets_alone() {
    let mut parts = Vec::new();
    for (order, usb) in [(Order::Little, 0), (Order::Big, 1), (Order::Big, 0)] {
        let mut writer = Writer::new(order);
        writer.section();
        let describe = |writer: &mut Writer, index| {
            writer.interface(if index == usb { USB } else { ETHERNET }, 0, None, None);
        };
        describe(&mut writer, 0);
        // The other is described when packets of the first have come.
        if usb == 0 {
            writer.simple(b"keyboard", 8);
        }
        writer.enhanced(0, 1, if usb == 0 { b"keyboard" } else { b"ethernet" }, 8);
        describe(&mut writer, 1);
        writer.enhanced(1, 2, if usb == 1 { b"keyboard" } else { b"ethernet" }, 8);
        writer.obsolete(u16::from(usb != 1), 3, b"ethernet", 8);
        parts.push(writer.bytes);
    }
    let rotations = (0..3).map(|n| [&parts[n..], &parts[..n]].concat().concat());
    for bytes in rotations {
        let mut source = open_bytes(&bytes, Share::ALL).unwrap();
        let mut seen = Vec::new();
        while source.receive(Instant::EPOCH, |frames| {
            seen.extend(frames.iter().map(|frame| (frame.bytes == b"ethernet", frame.link)));
            FrameSet::NONE
        }) != Received::End
        {}
        assert_eq!(source.problem(), None);
        let of_usb = seen.iter().filter(|(_, link)| *link == Link::Unread).count();
        assert_eq!((seen.len(), of_usb), (11, 5));
        let fits = |(is_ethernet, link): &(bool, Link)| *is_ethernet == (*link == Link::Ethernet);
        assert!(seen.iter().all(fits));
        assert_eq!(source.findings().unread, [(Some(LinkType(USB.into())), 5)].into());
    }
}
