//! Headers of IP for which a host discards the packet, and those for which it does not. What Linux
//! 6.18 makes of each was asked of it.

#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the contract of the parser does not bind its tests"
)]

use std::{format, vec, vec::Vec};

use proptest::prelude::*;

use super::super::{Fragment, ParseError, Parsed, Segment, Verify, parse_frame};
use crate::{Frame, Instant, testing::FrameBuilder};

fn v4() -> FrameBuilder {
    FrameBuilder::new("10.0.0.1:4000", "192.0.2.1:80").payload(b"hello")
}

fn v6() -> FrameBuilder {
    FrameBuilder::new("[2001:db8::1]:4000", "[2001:db8::2]:80").payload(b"hello")
}

fn parsed(bytes: &[u8]) -> Result<Parsed<'_>, ParseError> {
    parse_frame(&FrameBuilder::arriving(bytes, Instant::EPOCH), Verify::Software)
}

/// Why a frame is refused; `None` for one that holds the segment of `v4` or `v6`.
#[track_caller]
fn refusal(frame: &FrameBuilder) -> Option<ParseError> {
    match parsed(&frame.build()) {
        Ok(Parsed::Segment(Segment { payload: b"hello", .. })) => None,
        Err(reason) => Some(reason),
        other => panic!("{other:?}"),
    }
}

/// An extension header of options, filled up to a multiple of 8 bytes.
fn options(next: u8, options: &[u8]) -> Vec<u8> {
    let units = (2 + options.len()).div_ceil(8);
    let padding = units * 8 - 2 - options.len();
    let mut header = [&[next, u8::try_from(units - 1).expect("short")], options].concat();
    match padding {
        0 => {}
        1 => header.push(0),
        _ => {
            header.extend([1, u8::try_from(padding - 2).expect("short")]);
            header.resize(units * 8, 0);
        }
    }
    header
}

const HOP_BY_HOP: u8 = 0;
const TCP: u8 = 6;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

#[test]
fn ipv4_options_that_a_host_takes_are_skipped() {
    let taken: [&[u8]; 16] = [
        &[1, 1, 1, 1],
        // What follows the end of the options is nothing.
        &[0, 99, 0, 7],
        &[99, 4, 0, 0],
        // Record Route: with room, full, without room at all, its pointer far behind.
        &[7, 7, 4, 0, 0, 0, 0, 0],
        &[7, 7, 8, 1, 2, 3, 4, 0],
        &[7, 3, 4, 0],
        &[7, 7, 255, 0, 0, 0, 0, 0],
        // Timestamp: times, times and addresses, full, an unknown flag.
        &[68, 8, 5, 0, 0, 0, 0, 0],
        &[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        &[68, 8, 9, 0xe0, 0, 0, 0, 0],
        &[68, 8, 9, 0xf3, 0, 0, 0, 0],
        &[68, 8, 5, 2, 0, 0, 0, 0],
        // Router Alert, with any value.
        &[148, 4, 0, 0],
        &[148, 4, 1, 1],
        // Security and Stream Identifier of RFC 791, of any length.
        &[130, 2, 0, 0],
        &[136, 4, 0, 0],
    ];
    for options in taken {
        assert_eq!(refusal(&v4().ip_options(options)), None, "{options:?}");
        assert_eq!(refusal(&v4().vlan(7).ip_options(options)), None, "{options:?}");
    }
}

#[test]
fn ipv4_options_for_which_a_host_discards_the_packet_are_refused() {
    let refused: [&[u8]; 27] = [
        // A length of 0, of 1, beyond the header, and no length.
        &[7, 0, 4, 0],
        &[7, 1, 4, 0],
        &[99, 0, 0, 0],
        &[99, 5, 0, 0],
        &[1, 1, 1, 99],
        // Source routes, loose and strict: unexpired, expired, empty.
        &[131, 7, 4, 10, 9, 0, 5, 0],
        &[137, 7, 4, 10, 9, 0, 5, 0],
        &[131, 7, 8, 10, 9, 0, 5, 0],
        &[137, 3, 4, 0],
        // Record Route: the pointer before the data, no room for an address, too short, twice.
        &[7, 7, 3, 0, 0, 0, 0, 0],
        &[7, 7, 5, 0, 0, 0, 0, 0],
        &[7, 2, 0, 0],
        &[7, 3, 4, 7, 3, 4, 0, 0],
        // Timestamp: likewise, a full count of hosts without room, no room for what it asks for.
        &[68, 8, 4, 0, 0, 0, 0, 0],
        &[68, 8, 6, 0, 0, 0, 0, 0],
        &[68, 8, 6, 2, 0, 0, 0, 0],
        &[68, 3, 5, 0],
        &[68, 4, 5, 0, 68, 4, 5, 0],
        &[68, 8, 9, 0xf0, 0, 0, 0, 0],
        &[68, 8, 5, 1, 0, 0, 0, 0],
        &[68, 8, 5, 3, 0, 0, 0, 0],
        &[68, 4, 3, 0],
        // Router Alert without a value.
        &[148, 3, 0, 0],
        &[148, 2, 1, 1],
        // Labels of a security domain: malformed, and of one that nobody has configured.
        &[134, 4, 0, 0],
        &[134, 10, 0, 0, 0, 1, 1, 4, 0, 1, 0, 0],
        // Behind right ones.
        &[1, 148, 4, 0, 0, 131, 3, 4],
    ];
    for options in refused {
        let frame = v4().ip_options(options);
        assert_eq!(refusal(&frame), Some(ParseError::IpOptions), "{options:?}");
        assert_eq!(refusal(&frame.vlan(7)), Some(ParseError::IpOptions), "{options:?}");
        // A host checks them before it puts fragments together.
        let fragment = v4().ip_options(options).fragment(7, 8..25);
        assert_eq!(parsed(&fragment).err(), Some(ParseError::IpOptions), "{options:?}");
    }
}

#[test]
fn options_end_with_the_header() {
    // The option reaches into TCP, which begins behind the header.
    let mut bytes = v4().ip_options(&[1, 1, 99, 3]).build();
    assert_eq!(parsed(&bytes).err(), Some(ParseError::IpOptions));
    bytes.truncate(14 + 22);
    let whole = FrameBuilder::arriving(&bytes, Instant::EPOCH);
    let cut = parse_frame(&Frame { wire_length: 63, ..whole }, Verify::Never);
    assert_eq!(cut.err(), Some(ParseError::Truncated));
}

#[test]
fn ipv6_options_are_skipped_or_oblige_to_discard_by_their_type() {
    let frame = |place, list: &[u8]| v6().extensions(place, &options(TCP, list));
    for kind in 0x20..=0xff_u8 {
        let is_skipped = kind & 0xc0 == 0;
        for place in [HOP_BY_HOP, DESTINATION] {
            let refused = refusal(&frame(place, &[kind, 4, 0, 0, 0, 0]));
            let at_home = (place, kind) == (HOP_BY_HOP, 0x31);
            let expected = (!is_skipped || at_home).then_some(ParseError::IpOptions);
            assert_eq!(refused, expected, "{kind:#x} in {place}");
        }
    }
}

#[test]
fn ipv6_options_that_a_host_takes_are_skipped() {
    let unknown = |count: usize| [0x1e, 0].repeat(count);
    let both: [&[u8]; 7] = [
        &[],
        &[0; 6],
        &[0, 0, 0, 0, 0, 0, 0, 0x1e, 5, 0, 0, 0, 0, 0],
        &[1, 5, 0, 0, 0, 0, 0, 0x1e, 5, 0, 0, 0, 0, 0],
        &[4, 1, 0],
        &unknown(8),
        &[0x3e, 4, 1, 2, 3, 4],
    ];
    for list in both {
        for place in [HOP_BY_HOP, DESTINATION] {
            let frame = v6().extensions(place, &options(TCP, list));
            assert_eq!(refusal(&frame), None, "{list:?} in {place}");
        }
    }
    // Options of hop-by-hop mean nothing elsewhere.
    for (place, list) in [
        (HOP_BY_HOP, &[5, 2, 0, 0][..]),
        (HOP_BY_HOP, &[1, 0, 0x31, 2, 0, 0]),
        (DESTINATION, &[5, 4, 0, 0, 0, 0]),
        (DESTINATION, &[7, 4, 0, 0, 0, 0]),
        (DESTINATION, &[0x31, 4, 0, 0, 0, 0]),
    ] {
        assert_eq!(refusal(&v6().extensions(place, &options(TCP, list))), None, "{list:?}");
    }
}

#[test]
fn ipv6_options_for_which_a_host_discards_the_packet_are_refused() {
    let unknown = [0x1e, 0].repeat(9);
    let both: [&[u8]; 12] = [
        // Beyond the header, known or not; no length.
        &[0x1e, 5, 0, 0, 0, 0],
        &[1, 5, 0, 0, 0, 0],
        &[1, 3, 0, 0, 0, 0x1e],
        &[1, 3, 0, 0, 0, 1],
        // Padding that holds something, and padding that aligns nothing.
        &[1, 4, 0, 0, 1, 0],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0x1e, 4, 0, 0, 0, 0],
        &[1, 6, 0, 0, 0, 0, 0, 0, 0x1e, 4, 0, 0, 0, 0],
        &[1, 2, 0, 0, 0, 0, 0, 0, 0x1e, 4, 0, 0, 0, 0],
        // More options than a host counts.
        &unknown,
        // The jumbo option in a packet that says its length, and with a length that needs none.
        &[0xc2, 4, 0, 1, 0, 0],
        &[0xc2, 4, 0, 0, 0, 33],
        // Behind right ones.
        &[5, 2, 0, 0, 0xde, 0],
    ];
    for list in both {
        for place in [HOP_BY_HOP, DESTINATION] {
            let frame = v6().extensions(place, &options(TCP, list));
            assert_eq!(refusal(&frame), Some(ParseError::IpOptions), "{list:?} in {place}");
            assert_eq!(refusal(&frame.vlan(7)), Some(ParseError::IpOptions), "{list:?}");
        }
    }
    for (place, list) in [
        (HOP_BY_HOP, &[5, 4, 0, 0, 0, 0][..]),
        (HOP_BY_HOP, &[7, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        (HOP_BY_HOP, &[0xc9, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (DESTINATION, &[0xc9, 4, 0, 0, 0, 0]),
    ] {
        let refused = refusal(&v6().extensions(place, &options(TCP, list)));
        assert_eq!(refused, Some(ParseError::IpOptions), "{list:?}");
    }
}

#[test]
fn extension_headers_come_in_any_order_and_number_but_for_two() {
    let (hop, destination) = (|next| options(next, &[]), |next| options(next, &[]));
    let atomic = |next| [next, 9, 0, 6, 1, 2, 3, 4];
    let done = |next| [next, 0, 253, 0, 0, 0, 0, 0];
    let many = destination(DESTINATION).repeat(99);
    let taken = [
        (HOP_BY_HOP, hop(TCP)),
        (HOP_BY_HOP, [hop(DESTINATION), destination(TCP)].concat()),
        (DESTINATION, [many, destination(TCP)].concat()),
        (FRAGMENT, atomic(TCP).to_vec()),
        (DESTINATION, [&destination(FRAGMENT)[..], &atomic(DESTINATION), &hop(TCP)].concat()),
        (ROUTING, [done(ROUTING), done(TCP)].concat()),
        (FRAGMENT, [atomic(ROUTING), done(TCP)].concat()),
    ];
    for (next, headers) in &taken {
        assert_eq!(refusal(&v6().extensions(*next, headers)), None, "{headers:?}");
    }
    let refused = [
        (HOP_BY_HOP, [hop(HOP_BY_HOP), hop(TCP)].concat()),
        (DESTINATION, [destination(HOP_BY_HOP), hop(TCP)].concat()),
        (FRAGMENT, [&atomic(HOP_BY_HOP)[..], &hop(TCP)].concat()),
        (FRAGMENT, [atomic(FRAGMENT), atomic(TCP)].concat()),
        (FRAGMENT, [atomic(FRAGMENT), [6, 0, 0, 9, 1, 2, 3, 4]].concat()),
    ];
    for (next, headers) in &refused {
        let refused = refusal(&v6().extensions(*next, headers));
        assert_eq!(refused, Some(ParseError::ExtensionHeaders), "{headers:?}");
    }
    // No host reads TCP behind these: no key, or nothing may follow.
    for next in [50, 51, 59, 135, 139, 140, 253, 254] {
        let refused = refusal(&v6().extensions(next, &[6, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(refused, Some(ParseError::NotTcp), "{next}");
    }
    for next in [ROUTING, DESTINATION] {
        let refused = refusal(&v6().extensions(next, &[6, 20, 0, 0, 0, 0, 0, 0]));
        assert_eq!(refused, Some(ParseError::Malformed), "{next}");
    }
}

/// A routing header with these segments, the last one first.
fn routing(next: u8, kind: u8, left: u8, segments: &[&str]) -> Vec<u8> {
    let count = u8::try_from(segments.len()).expect("few");
    let last_entry = if kind == 4 { count.saturating_sub(1) } else { 0 };
    let mut header = [next, 2 * count, kind, left, last_entry, 0, 0, 0].to_vec();
    for segment in segments {
        let address: core::net::Ipv6Addr = segment.parse().expect("an address");
        header.extend(address.octets());
    }
    header
}

const END: &str = "2001:db8::2";
const HOP: &str = "2001:db8:5::1";

#[test]
fn a_routing_header_with_segments_left_is_followed_or_refused() {
    let refused = |kind, left, segments: &[&str]| {
        let frame = v6().extensions(ROUTING, &routing(TCP, kind, left, segments));
        refusal(&frame.header_addresses("2001:db8::1", HOP))
    };
    // The checksum is right only with the last segment as the destination.
    assert_eq!(refused(4, 1, &[END]), None);
    assert_eq!(refused(4, 1, &[END, HOP]), None);
    assert_eq!(refused(4, 2, &[END, HOP]), None, "the first segment may be left out");
    assert_eq!(refused(4, 3, &[END, HOP]), Some(ParseError::ExtensionHeaders));
    assert_eq!(refused(4, 1, &[]), Some(ParseError::ExtensionHeaders));
    assert_eq!(refused(2, 1, &[END]), None);
    assert_eq!(refused(2, 1, &[END, HOP]), Some(ParseError::ExtensionHeaders));
    assert_eq!(refused(2, 2, &[END]), Some(ParseError::ExtensionHeaders));
    for kind in [0, 1, 3, 5, 6, 253] {
        assert_eq!(refused(kind, 1, &[END]), Some(ParseError::ExtensionHeaders), "type {kind}");
    }
}

#[test]
fn a_routing_header_without_segments_left_is_skipped() {
    for kind in [0, 1, 2, 4, 5, 253] {
        let frame = v6().extensions(ROUTING, &routing(TCP, kind, 0, &[HOP]));
        assert_eq!(refusal(&frame), None, "type {kind}");
    }
    let low_power = v6().extensions(ROUTING, &routing(TCP, 3, 0, &[HOP]));
    assert_eq!(refusal(&low_power), Some(ParseError::ExtensionHeaders));
    let group = low_power.extensions(ROUTING, &routing(TCP, 4, 1, &[END]));
    let refused = refusal(&group.header_addresses("2001:db8::1", "ff0e::1"));
    assert_eq!(refused, Some(ParseError::ExtensionHeaders));
}

#[test]
fn the_endpoints_of_a_connection_are_those_at_home_and_at_the_end_of_the_route() {
    let direct = v6().build();
    let Ok(Parsed::Segment(direct)) = parsed(&direct) else { panic!("a segment") };
    let home = [&[0xc9, 16][..], &[0x20, 1, 0x0d, 0xb8], &[0; 11], &[1]].concat();
    let home = |next| options(next, &[&[1, 0][..], &home].concat());
    let away = "2001:db8:9::9";
    let route = |next| routing(next, 4, 1, &[END, HOP]);
    let ways = [
        (DESTINATION, home(TCP), (away, END)),
        (ROUTING, route(TCP), ("2001:db8::1", HOP)),
        (ROUTING, [route(DESTINATION), home(TCP)].concat(), (away, HOP)),
        (DESTINATION, [home(ROUTING), routing(TCP, 2, 1, &[END])].concat(), (away, HOP)),
    ];
    for (next, headers, (source, destination)) in &ways {
        let frame = v6().extensions(*next, headers).header_addresses(source, destination);
        let bytes = frame.build();
        assert_eq!(parsed(&bytes).map(keyed), Ok(Some((direct.key, direct.from))), "{headers:?}");
        let Ok(Parsed::Segment(segment)) = parsed(&bytes) else { panic!("a segment") };
        assert_eq!(segment, direct);
    }
    let twice = v6().extensions(DESTINATION, &[home(DESTINATION), home(TCP)].concat());
    assert_eq!(refusal(&twice), Some(ParseError::IpOptions));
}

/// The key and the sender of a segment.
fn keyed(parsed: Parsed<'_>) -> Option<(crate::flow::FlowKey, crate::flow::End)> {
    match parsed {
        Parsed::Segment(segment) => Some((segment.key, segment.from)),
        Parsed::Fragment(_) => None,
    }
}

/// The frame says a length of 0.
fn without_length(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = if bytes[14] >> 4 == 6 { 18 } else { 16 };
    bytes[at..at + 2].fill(0);
    bytes
}

#[test]
fn a_length_of_zero_is_believed_where_the_packet_had_yet_to_be_cut() {
    for frame in [v4(), v6()] {
        for (payload, is_believed) in [(5, false), (1420, false), (1461, true), (9000, true)] {
            let bytes = without_length(frame.clone().payload(&[b'x'; 9000][..payload]).build());
            match parsed(&bytes) {
                Ok(Parsed::Segment(segment)) => {
                    assert!(is_believed && segment.payload.len() == payload, "{payload}");
                }
                other => {
                    assert_eq!(other.err(), Some(ParseError::LengthZero));
                    assert!(!is_believed, "{payload}");
                }
            }
        }
        let fragment = without_length(frame.payload(&[b'x'; 4000]).fragment(7, 0..3000));
        assert_eq!(parsed(&fragment).err(), Some(ParseError::LengthZero));
    }
}

#[test]
fn the_length_of_a_jumbogram_is_in_its_option() {
    let payload = vec![b'x'; 70_000];
    // The builder's length field is that of a short packet; the frame is put together by hand.
    let jumbogram = |said: u32, trailer: usize| {
        let jumbo = [&[TCP, 0, 0xc2, 4][..], &said.to_be_bytes()].concat();
        let mut bytes = v6().extensions(HOP_BY_HOP, &jumbo).build();
        bytes.extend(&payload[5..]);
        bytes.extend(&payload[..trailer]);
        bytes[18..20].fill(0);
        bytes
    };
    let length = |bytes: &[u8]| match parsed(bytes) {
        Ok(Parsed::Segment(segment)) => Ok(segment.payload.len()),
        Ok(other) => panic!("{other:?}"),
        Err(reason) => Err(reason),
    };
    assert_eq!(length(&jumbogram(8 + 20 + 70_000, 0)), Ok(70_000));
    assert_eq!(length(&jumbogram(8 + 20 + 70_000, 9)), Ok(70_000), "padding is no payload");
    assert_eq!(length(&jumbogram(8 + 20 + 70_001, 0)), Err(ParseError::Malformed));
    assert_eq!(length(&jumbogram(65_535, 0)), Err(ParseError::IpOptions));
}

#[test]
fn a_time_to_live_of_zero_is_no_reason_to_discard() {
    let mut bytes = v6().build();
    bytes[21] = 0;
    assert!(matches!(parsed(&bytes), Ok(Parsed::Segment(_))));
}

/// Whether a fragment is taken, and why not.
fn taken(bytes: &[u8]) -> Result<(), ParseError> {
    match parsed(bytes)? {
        Parsed::Fragment(Fragment { .. }) => Ok(()),
        Parsed::Segment(segment) => panic!("{segment:?}"),
    }
}

#[test]
fn the_first_fragment_of_ipv6_holds_all_headers() {
    let refused = Err(ParseError::FragmentHeaders);
    let segment = v6().payload(&[b'x'; 60]);
    for (end, expected) in [(8, refused), (16, refused), (24, Ok(())), (40, Ok(()))] {
        assert_eq!(taken(&segment.fragment(7, 0..end)), expected, "{end}");
        assert_eq!(taken(&segment.clone().vlan(3).fragment(7, 0..end)), expected, "{end}");
        assert_eq!(taken(&segment.fragment(7, end..80)), Ok(()), "only the first");
    }
    let long = [&[TCP, 7, 1, 4, 0, 0, 0, 0, 0x1e, 54][..], &[0; 54]].concat();
    let chains = [
        (options(TCP, &[]), 8, refused),
        (options(TCP, &[]), 24, refused),
        (options(TCP, &[]), 32, Ok(())),
        (long.clone(), 32, refused),
        ([options(DESTINATION, &[]), long.clone()].concat(), 32, refused),
        // The second header lies beyond: Linux takes these.
        ([options(DESTINATION, &[]), options(TCP, &[])].concat(), 8, Ok(())),
        ([&[DESTINATION][..], &long[1..], &options(TCP, &[])].concat(), 32, Ok(())),
    ];
    for (headers, end, expected) in chains {
        let frame = segment.clone().extensions(DESTINATION, &headers);
        assert_eq!(taken(&frame.fragment(7, 0..end)), expected, "{headers:?} to {end}");
    }
    // What says that options follow, and has none, ends beyond the fragment.
    let mut options_missing = segment.fragment(7, 0..40);
    options_missing[54] = HOP_BY_HOP;
    assert_eq!(taken(&options_missing), refused);
    let v4 = v4().payload(&[b'x'; 60]);
    assert_eq!(taken(&v4.fragment(7, 0..8)), Ok(()), "IPv4 has no such rule");
}

#[test]
fn the_options_before_a_fragment_are_those_of_that_fragment() {
    let segment = v6().payload(&[b'x'; 60]);
    let refused = [DESTINATION, HOP_BY_HOP];
    for place in refused {
        let frame = segment.clone().extensions(place, &options(TCP, &[0x9e, 0]));
        let mut bytes = frame.build();
        // The Fragment header comes behind the options.
        bytes[54] = FRAGMENT;
        let at = 54 + 8;
        let fragment = [TCP, 0, 0, 1, 0, 0, 0, 7];
        bytes.splice(at..at, fragment);
        bytes[19] += 8;
        assert_eq!(taken(&bytes), Err(ParseError::IpOptions), "{place}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50_000))]

    /// Whatever the headers hold: no panic, and nothing beyond the frame.
    #[test]
    fn no_headers_make_the_parser_read_beyond(
        is_v6: bool,
        next in prop::sample::select(&[HOP_BY_HOP, TCP, ROUTING, FRAGMENT, 51, DESTINATION][..]),
        headers in prop::collection::vec(
            prop_oneof![
                Just(0), Just(1), Just(4), Just(6), Just(16), Just(43), Just(44), Just(60),
                Just(0xc2), Just(0xc9), any::<u8>(),
            ],
            0..48,
        ),
        cut in 0..40usize,
        has_length: bool,
    ) {
        let whole = headers.len() / 8 * 8;
        let frame = if is_v6 {
            v6().extensions(next, &headers[..whole])
        } else {
            v4().ip_options(&headers[..whole.min(40)])
        };
        let mut bytes = if has_length { frame.build() } else { without_length(frame.build()) };
        let wire_length = u32::try_from(bytes.len()).expect("short");
        bytes.truncate(bytes.len() - cut);
        let frame = Frame { wire_length, ..FrameBuilder::arriving(&bytes, Instant::EPOCH) };
        match parse_frame(&frame, Verify::Never) {
            Ok(Parsed::Segment(segment)) => {
                prop_assert!(segment.payload.len() <= segment.payload_length as usize);
                prop_assert!(segment.payload_length as usize <= 5 + whole);
            }
            Ok(Parsed::Fragment(fragment)) => prop_assert!(fragment.payload.len() <= bytes.len()),
            Err(reason) => prop_assert_ne!(format!("{reason}"), ""),
        }
    }
}
