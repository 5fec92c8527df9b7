//! Frames that are right, wrong, short and strange.

#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the contract of the parser does not bind its tests"
)]

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::{Instant, Link, testing::FrameBuilder};

fn frame(bytes: &[u8]) -> Frame<'_> {
    FrameBuilder::arriving(bytes, Instant::EPOCH)
}

fn parse<'a>(frame: &Frame<'a>) -> Result<Segment<'a>, ParseError> {
    match parse_frame(frame, Verify::Never)? {
        Parsed::Segment(segment) => Ok(segment),
        Parsed::Fragment(fragment) => panic!("a fragment: {fragment:?}"),
    }
}

fn v4() -> FrameBuilder {
    FrameBuilder::new("10.0.0.1:4000", "192.0.2.1:80").payload(b"hello")
}

fn v6() -> FrameBuilder {
    FrameBuilder::new("[2001:db8::1]:4000", "[2001:db8::2]:80").payload(b"hello")
}

#[track_caller]
fn payload_of(bytes: &[u8]) -> Vec<u8> {
    parse(&frame(bytes)).expect("a segment").payload.to_vec()
}

#[track_caller]
fn error_of(bytes: &[u8]) -> ParseError {
    parse(&frame(bytes)).expect_err("no segment")
}

#[test]
fn padding_is_not_payload() {
    let mut bytes = v4().build();
    bytes.extend([0; 9]);
    assert_eq!(payload_of(&bytes), b"hello");
}

#[test]
fn tags_are_followed_and_the_outermost_is_reported() {
    let bytes = v4().vlan(7).vlan(9).build();
    let segment =
        parse(&frame(&bytes)).map(|segment| (segment.vlans.outer(), segment.payload.len()));
    assert_eq!(segment, Ok((Some(9), 5)));
}

#[test]
fn a_priority_tag_is_of_no_vlan() {
    for (tags, vlan) in [
        (&[0][..], None),
        (&[0x6000], None),
        (&[0, 9], Some(9)),
        (&[7, 0], Some(7)),
        (&[0, 0, 0xe005, 0, 3], Some(5)),
        (&[0; 8], None),
    ] {
        for frame_of in [v4, v6] {
            let bytes = tags.iter().rev().fold(frame_of(), |frame, id| frame.vlan(*id)).build();
            let seen =
                parse(&frame(&bytes)).map(|segment| (segment.vlans.outer(), segment.payload));
            assert_eq!(seen, Ok((vlan, &b"hello"[..])), "{tags:?}");
        }
    }
}

/// What follows the addresses of a frame of 802.3: the length, LLC, SNAP, and a packet.
fn in_802_3(header: &[u8], ethernet_2: &[u8]) -> Vec<u8> {
    let packet = &ethernet_2[14..];
    let length = u16::try_from(header.len() + packet.len()).expect("short").to_be_bytes();
    [&ethernet_2[..12], &length, header, packet].concat()
}

#[test]
fn ip_is_read_behind_llc() {
    let v6 = v6().build();
    let v4 = v4().build();
    let frames = [
        in_802_3(&[0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0], &v4),
        in_802_3(&[0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd], &v6),
        in_802_3(&[0xaa, 0xaa, 3, 0, 0, 0xf8, 0x08, 0], &v4),
        in_802_3(&[6, 6, 3], &v4),
        in_802_3(&[0xaa, 0xaa, 3, 0, 0, 0, 0x81, 0, 0, 0, 0x08, 0], &v4),
    ];
    for mut bytes in frames {
        assert_eq!(payload_of(&bytes), b"hello");
        // Short frames are padded; tags stand before the length.
        bytes.extend([0; 9]);
        assert_eq!(payload_of(&bytes), b"hello");
        bytes.splice(12..12, [0x88, 0xa8, 0, 7, 0x81, 0, 0, 9]);
        let segment =
            parse(&frame(&bytes)).map(|segment| (segment.vlans.outer(), segment.payload.len()));
        assert_eq!(segment, Ok((Some(7), 5)));
        for cut in 12..bytes.len() - 15 {
            let wire_length = u32::try_from(bytes.len()).expect("short");
            let reason = parse(&Frame { wire_length, ..frame(&bytes[..cut]) }).map(|_segment| ());
            let is_cut = reason == Err(ParseError::Truncated);
            let has_header = cut + 5 + 9 >= bytes.len();
            assert!(is_cut || reason.is_ok() && has_header, "{reason:?} of {cut}");
        }
    }
    let spanning_tree = in_802_3(&[0x42, 0x42, 3], &v4);
    let other_vendor = in_802_3(&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x08, 0], &v4);
    let mut too_long = in_802_3(&[0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0], &v4);
    too_long[12] = 5;
    for bytes in [spanning_tree, other_vendor, too_long, vec![0; 60]] {
        assert_eq!(error_of(&bytes), ParseError::NotIp);
    }
}

#[test]
fn cooked_captures_have_tags_and_llc() {
    let ethernet = v4().build();
    for (inside, vlan) in [
        (&[0x81, 0, 0, 9, 0x08, 0][..], Some(9)),
        (&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9, 0x08, 0], Some(7)),
        (&[0x81, 0, 0x20, 0, 0x91, 0, 0, 9, 0x08, 0], Some(9)),
        (&[0, 4, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0], None),
        (&[0, 4, 6, 6, 3], None),
    ] {
        let (protocol, rest) = inside.split_at(2);
        let rest = [rest, &ethernet[14..]].concat();
        let frames = [
            (Link::LinuxSll, [&[0; 14][..], protocol, &rest].concat()),
            (Link::LinuxSll2, [protocol, &[0; 18], &rest].concat()),
        ];
        for (link, bytes) in frames {
            let parsed = parse(&Frame { link, ..frame(&bytes) });
            let seen = parsed.map(|segment| (segment.vlans.outer(), segment.payload));
            assert_eq!(seen, Ok((vlan, &b"hello"[..])), "{link:?} {inside:?}");
        }
    }
}

#[test]
fn both_directions_have_one_key_and_one_spread() {
    let there = v6().build();
    let back = FrameBuilder::new("[2001:db8::2]:80", "[2001:db8::1]:4000").build();
    let (there, back) = (frame(&there), frame(&back));
    assert_eq!(spread_hash(&there), spread_hash(&back));
    let ends = |frame| parse(frame).map(|segment| (segment.key, segment.from));
    let ((key, from), (same, other)) = (ends(&there).expect("v6"), ends(&back).expect("v6"));
    assert_eq!(key, same);
    assert_ne!(from, other);
}

/// Whatever the ports and the direction: a fragment goes where its flow goes.
#[test]
fn fragments_have_the_spread_of_their_hosts() {
    for (low, high) in [("10.0.0.1", "192.0.2.1"), ("[2001:db8::1]", "[2001:db8::2]")] {
        for (client, server) in [(4000, 80), (80, 4000), (7, 7)] {
            let (there, back) = (std::format!("{low}:{client}"), std::format!("{high}:{server}"));
            let whole = FrameBuilder::new(&there, &back).payload(&[1; 64]);
            let answer = FrameBuilder::new(&back, &there).build();
            let spread = spread_hash_of_hosts(&frame(&answer));
            assert_eq!(spread_hash_of_hosts(&frame(&whole.build())), spread);
            for fragment in whole.fragments(9, 32) {
                assert_eq!(spread_hash_of_hosts(&frame(&fragment)), spread);
            }
        }
    }
}

#[test]
fn ip_options_and_extension_headers_are_skipped() {
    assert_eq!(payload_of(&v4().ip_options(&[1; 8]).build()), b"hello");
    // Hop-by-hop, destination options, then TCP.
    let extensions = [60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0];
    assert_eq!(payload_of(&v6().extensions(0, &extensions).build()), b"hello");
}

#[test]
fn an_atomic_fragment_is_a_whole_packet_and_others_are_not() {
    assert_eq!(payload_of(&v6().extensions(44, &[6, 0, 0, 0, 1, 2, 3, 4]).build()), b"hello");
    let part_of = |bytes: &[u8]| match parse_frame(&frame(bytes), Verify::Never) {
        Ok(Parsed::Fragment(Fragment { part, .. })) => {
            (part.identification, part.offset, part.is_last)
        }
        other => panic!("no fragment: {other:?}"),
    };
    let v6_part = v6().extensions(44, &[6, 0, 0, 9, 1, 2, 3, 4]).build();
    assert_eq!(part_of(&v6_part), (0x0102_0304, 8, false));
    let mut bytes = v4().build();
    bytes[18..22].copy_from_slice(&[0x12, 0x34, 0x00, 0x03]);
    assert_eq!(part_of(&bytes), (0x1234, 24, true));
}

#[test]
fn a_length_beyond_the_wire_is_not_believed() {
    let mut bytes = v4().build();
    bytes[16..18].copy_from_slice(&1500u16.to_be_bytes());
    assert_eq!(error_of(&bytes), ParseError::Malformed);
}

#[test]
fn a_frame_that_the_capture_cut_keeps_its_length() {
    let bytes = v4().build();
    let cut = &bytes[..bytes.len() - 3];
    let wire_length = u32::try_from(bytes.len()).expect("short");
    let segment = parse(&Frame { wire_length, ..frame(cut) }).expect("a segment");
    assert_eq!((segment.payload, segment.payload_length), (&b"he"[..], 5));
}

#[test]
fn a_total_length_of_zero_means_the_rest_of_a_frame_that_had_yet_to_be_cut() {
    let mut bytes = v4().payload(&[b'x'; 1461]).build();
    bytes[16..18].fill(0);
    assert_eq!(payload_of(&bytes).len(), 1461);
    let mut bytes = v4().build();
    bytes[16..18].fill(0);
    assert_eq!(error_of(&bytes), ParseError::LengthZero);
}

#[test]
fn what_is_not_tcp_over_ip_is_named() {
    let mut bytes = v4().build();
    bytes[23] = 17;
    assert_eq!(error_of(&bytes), ParseError::NotTcp);
    bytes[12..14].copy_from_slice(&0x0806u16.to_be_bytes());
    assert_eq!(error_of(&bytes), ParseError::NotIp);
    assert_eq!(error_of(&[0; 13]), ParseError::Truncated);
}

#[test]
fn an_option_of_length_zero_ends_the_options() {
    for options in [[2, 0, 3, 3, 7, 0, 0, 0], [8, 255, 3, 3, 7, 0, 0, 0], [3, 3, 14, 0, 0, 0, 0, 0]]
    {
        let bytes = v4().flags("S").tcp_options(&options).build();
        let options = parse(&frame(&bytes)).expect("a segment").options;
        let scale = Options::parse(options).window_scale;
        assert_eq!(scale.is_some(), options[0] == 3);
    }
}

#[test]
fn a_window_scale_above_14_means_14() {
    assert_eq!(WindowScale::clamped(200).apply(1), 1 << 14);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn no_bytes_make_the_parser_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..120),
        network in 0..4u8,
        wire_length: u16,
    ) {
        if let (Some(kind), true) = (bytes.get_mut(12..14), network > 0) {
            kind.copy_from_slice(if network == 1 { &[0x08, 0] } else { &[0x86, 0xdd] });
        }
        if let Some(version) = bytes.get_mut(14) {
            *version = if network == 1 { 0x45 } else { 0x60 };
        }
        let frame = Frame { wire_length: u32::from(wire_length), ..frame(&bytes) };
        if let Ok(Parsed::Segment(segment)) = parse_frame(&frame, Verify::Never) {
            prop_assert!(segment.payload.len() <= segment.payload_length as usize);
        }
    }

    #[test]
    fn one_changed_byte_never_makes_the_parser_read_beyond(
        at in 0..90usize,
        value: u8,
        cut in 0..90usize,
        is_v6: bool,
    ) {
        let mut bytes = if is_v6 { v6().build() } else { v4().vlan(3).build() };
        let length = bytes.len();
        bytes[at % length] = value;
        bytes.truncate(length - cut % length);
        if let Ok(Parsed::Segment(segment)) = parse_frame(&frame(&bytes), Verify::Never) {
            prop_assert!(segment.payload.len() <= bytes.len());
        }
    }
}

/// What each link puts before a packet of IPv4, or of IPv6.
fn link_headers(packet: &[u8]) -> Vec<(Link, Vec<u8>)> {
    let is_v6 = packet[0] >> 4 == 6;
    let kind: [u8; 2] = if is_v6 { [0x86, 0xdd] } else { [0x08, 0] };
    let ppp = if is_v6 { 0x57 } else { 0x21 };
    let nlpid = if is_v6 { 0x8e } else { 0xcc };
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0][..], &kind].concat();
    let then = |header: &[u8], rest: &[u8]| [header, rest].concat();
    // Data in a wireless network: between stations, with quality, with throughput.
    let wireless = |control: u8, flags: u8, more: usize| {
        [&[control, flags][..], &[0; 20], &[0x10, 0x27], &vec![0; more], &snap].concat()
    };
    let radiotap = |header: &[u8], frame: &[u8]| {
        let length = u16::try_from(header.len() + 4).expect("short").to_le_bytes();
        [&[0, 0][..], &length, header, frame].concat()
    };
    let time_and_flags = [&[3, 0, 0, 0][..], &[9; 8], &[0x10, 0]].concat();
    let more_words = [&[2, 0, 0, 0x80][..], &[0, 0, 0, 0x80, 1, 0, 0, 0, 0x20, 0]].concat();
    let in_ppi =
        |number: u8, frame: &[u8]| [&[0, 0, 12, 0, number, 0, 0, 0][..], &[7; 4], frame].concat();
    let ethernet = then(&[2; 12], &kind);
    // The length of the packet, as the last attribute has it, follows.
    let nflog = vec![2, 0, 0, 0, 6, 0, 4, 0, 1, 2, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0];
    vec![
        (Link::LinuxSll, then(&[0; 14], &kind)),
        (Link::LinuxSll2, then(&kind, &[0; 18])),
        (Link::RawIp, vec![]),
        (Link::Loopback, vec![2, 0, 0, 0]),
        (Link::Hdlc, vec![0xff, 0x03, 0, ppp]),
        (Link::Hdlc, vec![0xff, 0x03, ppp]),
        (Link::Hdlc, vec![0, ppp]),
        (Link::Hdlc, vec![ppp]),
        (Link::Hdlc, then(&[0x0f, 0], &kind)),
        (Link::Hdlc, then(&[0x8f, 0], &kind)),
        (Link::FrameRelay, vec![0x18, 0x41, 3, nlpid]),
        (Link::FrameRelay, vec![0x18, 0x40, 0x20, 0x41, 3, 0, nlpid]),
        (Link::FrameRelay, then(&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0], &kind)),
        (Link::FrameRelay, then(&[0x18, 0x41, 3, 0, 0x80, 0, 0x80, 0xc2, 0, 7], &ethernet)),
        (Link::FrameRelay, vec![0x18, 0x41, 3, 0xcf, 0, ppp]),
        (Link::FrameRelay, then(&[0x18, 0x41], &kind)),
        (Link::Fddi, [&[0x57][..], &[0; 12], &snap].concat()),
        (Link::Llc, snap.clone()),
        (Link::Wireless, wireless(0x08, 0x01, 0)),
        (Link::Wireless, wireless(0x08, 0x03, 6)),
        (Link::Wireless, wireless(0x88, 0x02, 2)),
        (Link::Wireless, wireless(0x88, 0x83, 12)),
        (Link::Radiotap, radiotap(&[0, 0, 0, 0], &wireless(0x08, 0x01, 0))),
        (Link::Radiotap, radiotap(&time_and_flags, &wireless(0x88, 0x02, 2))),
        (Link::Radiotap, radiotap(&more_words, &wireless(0x88, 0x02, 4))),
        (Link::Ppi, in_ppi(105, &wireless(0x88, 0x02, 2))),
        (Link::Ppi, in_ppi(1, &ethernet)),
        (Link::Nflog, nflog),
        (Link::Infiniband, [&[0; 40][..], &kind, &[0; 2]].concat()),
    ]
}

#[test]
fn every_link_leads_to_the_packet() {
    for ethernet in [v4().build(), v6().build()] {
        let packet = &ethernet[14..];
        for (link, header) in link_headers(packet) {
            let length = u16::try_from(packet.len() + 4).expect("short").to_le_bytes();
            let attribute = [length, [9, 0]].concat();
            let header = if link == Link::Nflog { [header, attribute].concat() } else { header };
            let bytes = [&header[..], packet].concat();
            let parsed = parse(&Frame { link, ..frame(&bytes) });
            let payload = parsed.map(|segment| segment.payload);
            assert_eq!(payload, Ok(&b"hello"[..]), "{link:?} {header:x?}");
            for cut in 0..header.len() {
                let wire_length = u32::try_from(bytes.len()).expect("short");
                let cut = Frame { link, wire_length, ..frame(&bytes[..cut]) };
                assert_eq!(parse(&cut).err(), Some(ParseError::Truncated), "{link:?} {header:x?}");
            }
        }
    }
}

#[test]
fn attributes_of_the_firewall_are_read_in_either_byte_order() {
    let ethernet = v4().build();
    let packet = &ethernet[14..];
    let length = u16::try_from(packet.len() + 4).expect("short");
    let bytes = [&[2, 0, 0, 0, 0, 6, 0, 4, 1, 2, 0, 0][..], &length.to_be_bytes(), &[0, 9], packet];
    let bytes = bytes.concat();
    let parsed = parse(&Frame { link: Link::Nflog, ..frame(&bytes) });
    assert_eq!(parsed.map(|segment| segment.payload), Ok(&b"hello"[..]));
}

#[test]
fn the_first_packet_of_an_aggregate_is_read() {
    let ethernet = v4().build();
    let inside = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &ethernet[14..]].concat();
    let length = u16::try_from(inside.len()).expect("short").to_be_bytes();
    let header = [&[0x88, 2][..], &[0; 22], &[0x80, 0], &[3; 12], &length].concat();
    let bytes = [header, inside, vec![0xee; 40]].concat();
    let parsed = parse(&Frame { link: Link::Wireless, ..frame(&bytes) });
    assert_eq!(parsed.map(|segment| segment.payload), Ok(&b"hello"[..]));
}

#[test]
fn what_is_no_data_in_the_clear_is_no_ip() {
    let frame_of = |control: u8, flags: u8, sequence: u8| {
        [&[control, flags][..], &[0; 20], &[sequence, 0], &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]].concat()
    };
    for bytes in [
        frame_of(0x80, 0, 0),
        frame_of(0xd4, 0, 0),
        frame_of(0x48, 1, 0),
        frame_of(0x08, 0x41, 0),
        frame_of(0x08, 0x05, 0),
        frame_of(0x08, 0x01, 1),
    ] {
        let parsed = parse(&Frame { link: Link::Wireless, ..frame(&bytes) });
        assert_eq!(parsed.err(), Some(ParseError::NotIp), "{bytes:x?}");
    }
    let wrong = [&[0, 0, 9, 0, 2, 0, 0, 0, 0x40][..], &frame_of(0x08, 1, 0)].concat();
    let parsed = parse(&Frame { link: Link::Radiotap, ..frame(&wrong) });
    assert_eq!(parsed.err(), Some(ParseError::Checksum));
    for (link, bytes) in [
        (Link::Hdlc, &[0xff, 3, 0xc0, 0x21, 1][..]),
        (Link::FrameRelay, &[0x18, 0x41, 3, 0xcc ^ 1]),
        (Link::FrameRelay, &[0, 0, 0, 0]),
        (Link::Fddi, &[0x40; 20]),
        (Link::Ppi, &[0, 0, 8, 0, 192, 0, 0, 0, 0, 0, 8, 0, 1, 0, 0, 0]),
        (Link::Unread, b"anything"),
    ] {
        let parsed = parse(&Frame { link, ..frame(bytes) });
        assert_eq!(parsed.err(), Some(ParseError::NotIp), "{link:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50_000))]

    #[test]
    fn no_bytes_of_any_link_make_the_parser_panic(
        number in 0..280u32,
        mut bytes in prop::collection::vec(any::<u8>(), 0..160),
        header in any::<prop::sample::Index>(),
        has_header: bool,
        wire_length: u16,
    ) {
        let headers = link_headers(&[0x45]);
        let (mut link, header) = headers[header.index(headers.len())].clone();
        if has_header {
            bytes.splice(0..0, header);
        } else {
            link = Link::of_number(number).unwrap_or(Link::Unread);
        }
        let frame = Frame { link, wire_length: u32::from(wire_length), ..frame(&bytes) };
        if let Ok(Parsed::Segment(segment)) = parse_frame(&frame, Verify::Never) {
            prop_assert!(segment.payload.len() <= bytes.len());
        }
    }
}

#[test]
fn the_frames_of_a_plain_connection_are_common() {
    let syn = v4().flags("S").tcp_options(&[2, 4, 5, 180, 1, 3, 3, 7]).build();
    let data = v4().flags("P.").build();
    for bytes in [syn, data] {
        assert!(common::parse(&frame(&bytes), Verify::Software).is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    /// Two bytes of a common frame are changed, or none, and its end is cut off or padded.
    #[test]
    fn a_common_frame_is_parsed_as_any_frame_is(
        changes in prop::collection::vec((0..80usize, any::<u8>()), 0..3),
        padding in 0..8usize,
        cut in prop_oneof![3 => Just(0), 1 => 0..80usize],
        (is_syn, verifies) in any::<(bool, bool)>(),
        known in prop_oneof![Just(Checksums::Unknown), Just(Checksums::Good), Just(Checksums::Bad)],
    ) {
        let options = [1, 1, 3, 3, 9, 0, 0, 0];
        let mut bytes = v4().flags(if is_syn { "S" } else { "." }).tcp_options(&options).build();
        bytes.extend_from_slice(&[0; 8][..padding]);
        let length = bytes.len();
        for (at, value) in changes {
            bytes[at % length] = value;
        }
        bytes.truncate(length - cut % length);
        let frame = Frame { checksums: known, ..frame(&bytes) };
        let verify = if verifies { Verify::Software } else { Verify::Never };
        if let Some(common) = common::parse(&frame, verify) {
            match parse_any(&frame, verify, &Tunnels::default()) {
                Ok(Parsed::Segment(any)) => prop_assert_eq!(common, any),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
