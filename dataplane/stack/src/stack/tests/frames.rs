//! VLAN tags, checksums and fragments on the way of a segment.

use super::*;

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

#[test]
fn overlapping_fragments_keep_the_earliest_copy() {
    let mut world = established();
    let (payload, fragments) = in_fragments(&world, 7);
    let mut forged = fragments[3].clone();
    forged[34..].fill(b'!');
    for fragment in fragments[..4].iter().chain([&forged]).chain(&fragments[4..]) {
        world.receive(fragment);
    }
    assert_eq!(world.received(Side::Server).as_bytes(), payload);
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

#[test]
fn a_fragment_that_contradicts_the_length_is_refused() {
    let mut world = established();
    let (payload, fragments) = in_fragments(&world, 7);
    let last = fragments.len() - 1;
    world.receive(&fragments[last]);
    // Claims to be last, too, but ends elsewhere.
    let mut forged = fragments[2].clone();
    forged[20] &= !0x20;
    forged[24..26].fill(0);
    let sum = forged[14..34].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum::<u32>();
    let sum = !((sum & 0xffff) + (sum >> 16)) & 0xffff;
    forged[24..26].copy_from_slice(&(sum as u16).to_be_bytes());
    world.receive(&forged);
    assert_eq!(world.stack.stats().get(Stat::PacketsFragmentRefused), 1);
    for fragment in &fragments[..last] {
        world.receive(fragment);
    }
    assert_eq!(world.received(Side::Server).as_bytes(), payload);
}
