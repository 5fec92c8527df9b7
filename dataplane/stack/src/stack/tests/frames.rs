//! VLAN tags, checksums and fragments on the way of a segment.

use super::*;
use crate::Link;

#[test]
fn vlans_tell_flows_apart_only_if_asked_to() {
    for (vlan_in_key, flows) in [(false, 1), (true, 2)] {
        let mut world =
            World::with(Limits { vlan_in_key, pool_bytes: 1 << 20, ..Limits::default() });
        for vlan in [5, 6] {
            let syn = FrameBuilder::between(world.client, world.server).flags("S").vlan(vlan);
            world.send(&syn);
        }
        assert_eq!(world.stack.gauges().flows, flows);
        assert_eq!(world.stack.find(world.server, world.client, None).len() as u64, flows);
        let found = world.stack.find(world.client, world.server, Some(5));
        assert_eq!(found.first().and_then(|flow| flow.tuple.vlan), Some(5));
    }
}

/// S-tag and C-tag in one order or the other, with priority tags between, and none at all.
#[test]
fn inner_tags_tell_flows_apart_too_where_vlans_do() {
    let stacks = [&[][..], &[10], &[20], &[100, 10], &[100, 20], &[200, 10], &[10, 100]];
    for (vlan_in_key, flows) in [(false, 1), (true, stacks.len())] {
        let mut world =
            World::with(Limits { vlan_in_key, pool_bytes: 1 << 20, ..Limits::default() });
        let with_priority = |tags: &[u16]| tags.iter().flat_map(|id| [0, *id]).collect::<Vec<_>>();
        for tags in stacks.iter().flat_map(|tags| [tags.to_vec(), with_priority(tags)]) {
            let syn = FrameBuilder::between(world.client, world.server).flags("S");
            world.send(&tags.iter().rev().fold(syn, |frame, id| frame.vlan(*id)));
        }
        assert_eq!(world.stack.gauges().flows, flows as u64);
        let found = |vlan| world.stack.find(world.server, world.client, vlan);
        assert_eq!(found(None).len(), flows);
        if vlan_in_key {
            let ids: Vec<_> = found(Some(100)).iter().map(|flow| flow.inner_vlan).collect();
            assert_eq!(ids, [Some(10), Some(20)]);
            assert_eq!(found(Some(10)).len(), 2);
        }
    }
}

/// Two networks with the same addresses: what one sends changes nothing in the other.
#[test]
fn vlans_keep_fragments_apart_where_they_tell_flows_apart() {
    for (vlan_in_key, mixed, flows) in [(false, 1, 1), (true, 0, 2)] {
        let adopt_midstream = true;
        let limits = Limits { vlan_in_key, adopt_midstream, ..Limits::default() };
        let mut world = World::with(Limits { pool_bytes: 1 << 20, ..limits });
        let segment = FrameBuilder::between(world.client, world.server).payload(&[b'x'; 60]);
        let [first, second] = [5, 6].map(|vlan| segment.clone().vlan(vlan).fragments(7, 40));
        let [a, b] = first.try_into().expect("two");
        let [c, d] = second.try_into().expect("two");
        [a, d].iter().for_each(|fragment| world.receive(fragment));
        assert_eq!(world.stack.stats().get(Stat::PacketsMonitored), mixed);
        [c, b].iter().for_each(|fragment| world.receive(fragment));
        assert_eq!(world.stack.stats().get(Stat::PacketsMonitored), 2);
        assert_eq!(world.stack.gauges().flows, flows);
    }
}

#[test]
fn a_wrong_checksum_is_counted_and_changes_nothing() {
    for (at, vlan) in [(24, false), (50, false), (28, true)] {
        let mut world = World::new();
        let mut syn = FrameBuilder::between(world.client, world.server).flags("S");
        if vlan {
            syn = syn.vlan(3);
        }
        let mut bytes = syn.build();
        bytes[at] ^= 0x40;
        let frame = FrameBuilder::arriving(&bytes, world.now);
        world.stack.handle_burst(&[frame], &mut world.ended);
        assert_eq!(world.stack.stats().get(Stat::PacketsChecksum), 1, "byte {at}");
        let known = Frame { checksums: crate::Checksums::Good, ..frame };
        world.stack.handle_burst(&[known], &mut world.ended);
        assert_eq!(world.stack.stats().get(Stat::PacketsMonitored), 1);
    }
}

#[test]
fn checksums_are_not_verified_if_nobody_wants_it() {
    let limits = Limits { verify_checksums: false, pool_bytes: 1 << 20, ..Limits::default() };
    let mut world = World::with(limits);
    let mut bytes = FrameBuilder::between(world.client, world.server).flags("S").build();
    bytes[24] ^= 0x40;
    world.stack.handle_burst(&[FrameBuilder::arriving(&bytes, world.now)], &mut world.ended);
    assert_eq!(world.stack.gauges().flows, 1);
}

/// A segment of 900 bytes, in fragments of 96.
fn in_fragments(world: &World, identification: u16) -> (Vec<u8>, Vec<Vec<u8>>) {
    let payload: Vec<u8> = (0..900).map(|n: u32| b'a' + (n % 23) as u8).collect();
    let segment = FrameBuilder::between(world.client, world.server).flags("P.").seq(101, 301);
    let fragments = segment.payload(&payload).fragments(identification, 96);
    (payload, fragments)
}

#[test]
fn fragments_in_any_order_make_one_segment() {
    for is_v6 in [false, true] {
        let mut world = World::new();
        if is_v6 {
            world.client = "[2001:db8::1]:4000".parse().expect("an address");
            world.server = "[2001:db8::2]:80".parse().expect("an address");
        }
        world.play(HANDSHAKE);
        let (payload, mut fragments) = in_fragments(&world, 7);
        let count = fragments.len() as u64;
        fragments.reverse();
        fragments.swap(2, 5);
        for fragment in &fragments {
            world.receive(fragment);
        }
        assert_eq!(world.received(Side::Server).as_bytes(), payload);
        let stats = world.stack.stats();
        assert_eq!(stats.get(Stat::PacketsFragment), count - 1);
        assert_eq!(stats.get(Stat::PacketsMonitored), 3 + 1);
        let used = world.stack.gauges().pool_used_bytes;
        assert!(used <= 2048, "the fragments' memory is back: {used}");
    }
}

const V4: [&str; 2] = ["10.0.0.1:4000", "192.0.2.1:80"];
const V6: [&str; 2] = ["[2001:db8::1]:4000", "[2001:db8::2]:80"];

/// A world with a connection, and a segment of 60 bytes: 80 with its header.
fn with_segment(ends: [&str; 2]) -> (World, FrameBuilder) {
    let mut world = World::new();
    [world.client, world.server] = ends.map(|end| end.parse().expect("an address"));
    world.play(HANDSHAKE);
    let segment = FrameBuilder::between(world.client, world.server).flags("P.").seq(101, 301);
    (world, segment.payload(&[b'x'; 60]))
}

/// What becomes of a segment in fragments with these bytes of the packet; the first letter says
/// whether more follow (`m`) or not (`l`), and a `!` that the bytes are others.
fn put_together(ends: [&str; 2], fragments: &str) -> (&'static str, [u64; 3]) {
    let (mut world, segment) = with_segment(ends);
    let (whole, other) = (segment.ip_payload(), vec![b'!'; 200]);
    for fragment in fragments.split_whitespace() {
        let (range, is_other) = (fragment[1..].trim_end_matches('!'), fragment.ends_with('!'));
        let (start, end) = range.split_once('-').expect("a range");
        let (start, end): (usize, usize) =
            (start.parse().expect("a number"), end.parse().expect("a number"));
        let bytes = if is_other { &other[..end - start] } else { &whole[start..end] };
        let more = usize::from(fragment.starts_with('m'));
        world.receive(&segment.fragment_of(bytes, 7, start | more));
    }
    let stats = world.stack.stats();
    let counted =
        [Stat::PacketsFragment, Stat::PacketsFragmentRefused, Stat::PacketsFragmentOverlap];
    let packets = fragments.split_whitespace().count() as u64 + 3;
    assert_eq!(stats.packets(), packets, "{fragments}");
    let counted = counted.map(|stat| stats.get(stat));
    match world.received(Side::Server).as_str() {
        "" => ("nothing", counted),
        text if text == "x".repeat(60) => ("whole", counted),
        text => panic!("{fragments}: {text}"),
    }
}

/// What Linux 6.18 makes of each was asked of it.
#[test]
fn overlapping_fragments_discard_their_packet_and_duplicates_do_not() {
    for ends in [V4, V6] {
        for (fragments, expected) in [
            ("m0-40 m0-40 l40-80", ("whole", [2, 0, 0])),
            ("m0-40 m8-24 l40-80", ("whole", [2, 0, 0])),
            // Others' bytes within a run are dropped as a duplicate is: the earlier ones count.
            ("m0-40 m0-40! l40-80", ("whole", [2, 0, 0])),
            ("m0-24 m24-48 m16-32! l48-80", ("whole", [3, 0, 0])),
            // The same range, but its run did not come in order.
            ("m24-48 m0-24 m16-32 l48-80", ("nothing", [3, 0, 1])),
            ("m0-40 m32-56 l56-80", ("nothing", [2, 0, 1])),
            ("m0-40 m32-56! l56-80", ("nothing", [2, 0, 1])),
            ("l40-80 m32-48 m0-40", ("nothing", [2, 0, 1])),
            ("m8-40 m0-48 l48-80", ("nothing", [2, 0, 1])),
            ("m32-40 m0-24 m0-40 l40-80", ("nothing", [3, 0, 1])),
            // What comes after that is another packet.
            ("m0-40 m32-56 l40-80", ("nothing", [2, 0, 1])),
            ("m0-40 m32-56! m0-40 l40-80", ("whole", [2, 0, 1])),
            // The last one says the length; a duplicate of it does, too, but completes nothing.
            ("m0-40 m40-80 l40-80", ("nothing", [3, 0, 0])),
            ("m40-80 l40-80 m0-40", ("whole", [2, 0, 0])),
        ] {
            assert_eq!(put_together(ends, fragments), expected, "{fragments} {ends:?}");
        }
    }
}

#[test]
fn fragments_that_contradict_each_other_discard_their_packet() {
    for ends in [V4, V6] {
        for (fragments, expected) in [
            ("l40-80 m0-24 l40-72 m24-40", ("nothing", [3, 1, 0])),
            ("l40-80 l40-72 m0-40 l40-80", ("whole", [2, 1, 0])),
            ("l40-80 m80-96! m0-40", ("nothing", [2, 1, 0])),
            ("m0-40 m40-80 l40-72", ("nothing", [2, 1, 0])),
            ("m0-40 m40-40 l40-80", ("nothing", [2, 1, 0])),
            ("m0-40 m40-80 l80-80", ("nothing", [2, 1, 0])),
        ] {
            assert_eq!(put_together(ends, fragments), expected, "{fragments} {ends:?}");
        }
    }
}

/// IPv6 refuses such a fragment, a host cuts one of IPv4.
#[test]
fn a_fragment_that_is_not_the_last_ends_at_a_multiple_of_8() {
    for (fragments, of_v4, of_v6) in [
        ("m0-43 l40-80", ("whole", [1, 0, 0]), ("nothing", [1, 0, 0])),
        ("m0-45 l48-80", ("nothing", [2, 0, 0]), ("nothing", [1, 0, 0])),
        ("m0-40 m40-45 l40-80", ("nothing", [2, 1, 0]), ("whole", [1, 0, 0])),
        ("m0-40 m65528-65544! l40-80", ("nothing", [2, 1, 0]), ("whole", [1, 0, 0])),
        ("m0-40 l65528-65544! l40-80", ("nothing", [2, 1, 0]), ("whole", [1, 0, 0])),
    ] {
        assert_eq!(put_together(V4, fragments), of_v4, "{fragments}");
        assert_eq!(put_together(V6, fragments), of_v6, "{fragments}");
    }
}

#[test]
fn more_runs_than_a_packet_may_have_are_refused_and_the_others_stay() {
    let mut world = established();
    let segment = FrameBuilder::between(world.client, world.server).flags("P.").seq(101, 301);
    let segment = segment.payload(&[b'x'; 4068]);
    for start in (0..4088).step_by(16) {
        world.receive(&segment.fragment(7, start..start + 8));
    }
    world.receive(&segment.fragment(7, 0..8));
    assert_eq!(world.stack.stats().get(Stat::PacketsFragmentRefused), 0);
    for start in (8..4088).step_by(16).rev() {
        world.receive(&segment.fragment(7, start..start + 8));
    }
    assert!(world.stack.stats().get(Stat::PacketsFragmentRefused) > 0);
    assert_eq!(world.received(Side::Server), "");
}

#[test]
fn a_packet_is_not_longer_than_its_header_can_say() {
    for (ends, options, longest) in [(V4, 0, 65_515), (V4, 8, 65_507), (V6, 0, 65_535)] {
        for (length, is_read) in [(longest - 15, true), (longest, true), (longest + 1, false)] {
            if length > 65_535 {
                continue;
            }
            let (mut world, segment) = with_segment(ends);
            set(&mut world, &buffers(None, Some(1 << 17))).expect("set");
            let mut payload = segment.payload(&vec![b'x'; 1000]).ip_payload();
            payload.resize(length, b'y');
            let segment = FrameBuilder::between(world.client, world.server);
            let segment = segment.ip_options(&vec![1; options]);
            for start in (0..length).step_by(8000) {
                let end = length.min(start + 8000);
                let bytes = &payload[start..end];
                let more = usize::from(end < length);
                let frame = segment.fragment_of(bytes, 7, start | more);
                world.receive(&frame);
            }
            // The checksum of TCP is that of another payload: only here the packet was whole.
            let checked = world.stack.stats().get(Stat::PacketsChecksum);
            assert_eq!(checked == 1, is_read, "{length} behind {options} {ends:?}");
            let refused = world.stack.stats().get(Stat::PacketsFragmentRefused);
            assert_eq!(refused == 0, is_read);
        }
    }
}

/// RFC 3168 section 5.3.
#[test]
fn fragments_of_which_only_some_support_congestion_marks_are_no_packet() {
    for ends in [V4, V6] {
        for (first, second, is_whole) in
            [(0, 0, true), (2, 3, true), (2, 1, true), (0, 2, false), (3, 0, false), (1, 0, false)]
        {
            let (mut world, segment) = with_segment(ends);
            world.receive(&segment.clone().congestion(first).fragment(7, 0..40));
            // A duplicate counts for nothing.
            world.receive(&segment.clone().congestion(2 - first.min(2)).fragment(7, 0..40));
            world.receive(&segment.congestion(second).fragment(7, 40..80));
            let received = world.received(Side::Server).len();
            assert_eq!(received == 60, is_whole, "{first} {second} {ends:?}");
        }
    }
}

#[test]
fn the_first_fragment_says_what_the_packet_begins_with() {
    const TCP: u8 = 6;
    const HOP_BY_HOP: u8 = 0;
    const UDP: u8 = 17;
    for (first, second, is_read) in
        [(TCP, UDP, true), (TCP, HOP_BY_HOP, true), (UDP, TCP, false), (TCP, TCP, true)]
    {
        for is_reversed in [false, true] {
            let (mut world, segment) = with_segment(V6);
            let mut fragments = [segment.fragment(7, 0..40), segment.fragment(7, 40..80)];
            (fragments[0][54], fragments[1][54]) = (first, second);
            if is_reversed {
                fragments.reverse();
            }
            fragments.iter().for_each(|fragment| world.receive(fragment));
            assert_eq!(world.received(Side::Server).len() == 60, is_read, "{first} {second}");
        }
    }
}

#[test]
fn what_the_headers_within_fragments_oblige_to_holds_for_the_whole_packet() {
    for (next, header, outcome) in [
        (60, [6, 0, 0x1e, 4, 0, 0, 0, 0], Stat::PacketsMonitored),
        (60, [6, 0, 0x9e, 4, 0, 0, 0, 0], Stat::PacketsIpOptions),
        (43, [6, 0, 0, 0, 0, 0, 0, 0], Stat::PacketsMonitored),
        (43, [6, 0, 0, 1, 0, 0, 0, 0], Stat::PacketsExtensionHeaders),
        (0, [6, 0, 1, 4, 0, 0, 0, 0], Stat::PacketsExtensionHeaders),
        (44, [6, 0, 0, 0, 0, 0, 0, 0], Stat::PacketsExtensionHeaders),
    ] {
        let (mut world, segment) = with_segment(V6);
        let before = world.stack.stats().get(outcome);
        let segment = segment.extensions(next, &header);
        segment.fragments(7, 48).iter().for_each(|fragment| world.receive(fragment));
        assert_eq!(world.stack.stats().get(outcome), before + 1, "{next} {header:?}");
        let is_read = world.received(Side::Server).len() == 60;
        assert_eq!(is_read, outcome == Stat::PacketsMonitored, "{next} {header:?}");
    }
}

#[test]
fn packets_from_or_to_addresses_that_no_endpoint_has_begin_no_flow() {
    let limits = Limits { adopt_midstream: true, pool_bytes: 1 << 20, ..Limits::default() };
    for (one, other, is_possible) in [
        ("10.0.0.1:1", "224.0.0.1:2", false),
        ("10.0.0.1:1", "239.255.255.250:2", false),
        ("10.0.0.1:1", "255.255.255.255:2", false),
        ("10.0.0.1:1", "0.0.0.0:2", false),
        ("10.0.0.1:1", "127.0.0.1:2", false),
        ("127.0.0.1:1", "127.0.0.1:2", true),
        ("127.0.0.1:1", "127.0.1.1:2", true),
        ("10.0.0.1:1", "10.0.0.1:2", false),
        ("[2001:db8::1]:1", "[2001:db8::1]:2", false),
        ("10.0.0.1:1", "0.1.2.3:2", true),
        ("10.0.0.1:1", "240.0.0.1:2", true),
        ("[2001:db8::1]:1", "[ff02::1]:2", false),
        ("[2001:db8::1]:1", "[ff0e::1]:2", false),
        ("[2001:db8::1]:1", "[::]:2", false),
        ("[2001:db8::1]:1", "[::1]:2", false),
        ("[2001:db8::1]:1", "[::ffff:10.0.0.1]:2", false),
        ("[::1]:1", "[::1]:2", true),
        ("[2001:db8::1]:1", "[fe80::1]:2", true),
        ("[2001:db8::1]:1", "[64:ff9b::10.0.0.1]:2", true),
    ] {
        for (source, destination) in [(one, other), (other, one)] {
            let mut world = World::with(limits);
            for flags in ["S", "S.", "P."] {
                world.send(&FrameBuilder::new(source, destination).flags(flags).payload(b"x"));
            }
            let refused = world.stack.stats().get(Stat::PacketsAddress);
            let expected = if is_possible { (0, 1) } else { (3, 0) };
            assert_eq!((refused, world.stack.gauges().flows), expected, "{source} {destination}");
        }
    }
}

#[test]
fn a_host_talks_to_itself_on_its_loopback_interface() {
    const ETHERNET: usize = 14;
    let cooked = |before: usize, kind: u16, after: usize| {
        [vec![0; before], kind.to_be_bytes().to_vec(), vec![0; after]].concat()
    };
    let ipv4 = [8, 0];
    let cases = [
        (Link::Ethernet, [&[0; 12][..], &ipv4].concat(), true),
        (Link::Ethernet, [&[0; 11][..], &[1], &ipv4].concat(), false),
        (Link::LinuxSll, [cooked(2, 772, 10), ipv4.to_vec()].concat(), true),
        (Link::LinuxSll, [cooked(2, 1, 10), ipv4.to_vec()].concat(), false),
        (Link::LinuxSll2, [ipv4.to_vec(), cooked(6, 772, 10)].concat(), true),
        (Link::LinuxSll2, [ipv4.to_vec(), cooked(6, 1, 10)].concat(), false),
        (Link::Loopback, vec![2, 0, 0, 0], true),
        (Link::RawIp, vec![], false),
    ];
    for (link, header, is_taken) in cases {
        let mut world = World::new();
        let syn = FrameBuilder::new("10.0.0.1:1", "10.0.0.1:2").flags("S").build();
        let bytes = [&header[..], &syn[ETHERNET..]].concat();
        let frame = Frame { link, ..FrameBuilder::arriving(&bytes, world.now) };
        world.stack.handle_burst(&[frame], &mut world.ended);
        assert_eq!(world.stack.gauges().flows, u64::from(is_taken), "{link:?} {header:?}");
        let refused = world.stack.stats().get(Stat::PacketsAddress);
        assert_eq!(refused, u64::from(!is_taken), "{link:?} {header:?}");
    }
}

#[test]
fn fragments_that_stay_incomplete_give_their_memory_back() {
    let mut world = established();
    let (_, fragments) = in_fragments(&world, 7);
    for fragment in &fragments[1..] {
        world.receive(fragment);
    }
    assert!(world.stack.gauges().pool_used_bytes > 0);
    world.now = world.now.after(Duration::from_secs(31));
    for _ in 0..100 {
        world.stack.handle_timeout(world.now, 10, &mut world.ended);
    }
    assert_eq!(world.stack.gauges().pool_used_bytes, 0);
    // The missing one comes too late.
    world.receive(&fragments[0]);
    assert_eq!(world.received(Side::Server), "");
}

#[test]
fn a_flood_of_fragments_takes_a_bounded_part_of_the_pool() {
    let mut world = established();
    for identification in 0..5000 {
        let (_, fragments) = in_fragments(&world, identification);
        world.receive(&fragments[4]);
    }
    let used = world.stack.gauges().pool_used_bytes;
    // One data block and one index block each.
    assert!(used <= crate::limits::ASSEMBLIES_MAX as u64 * 2 * 2048, "{used}");
    assert_eq!(world.stack.stats().get(Stat::PacketsFragment), 5000);
}
