//! Stories of single flows, told as scripts.

use core::time::Duration;
use std::{format, string::String, vec, vec::Vec};

use super::*;
use crate::{
    Applied, OptionsOrigin, OverlapPolicy, Sides, SockOptChange, SockOptError, SockOptName,
    SockOptNames, StopScope, TcpState,
    testing::{FrameBuilder, World},
};

const HANDSHAKE: &str = "
    C> S 100
    S> S. 300 101
    C> . 101 301";

fn established() -> World {
    let mut world = World::new();
    world.play(HANDSHAKE);
    world
}

fn buffers(client: Option<u64>, server: Option<u64>) -> SockOptChange {
    SockOptChange { buffer_bytes: Sides { client, server }, ..SockOptChange::default() }
}

fn stop(scope: StopScope) -> SockOptChange {
    SockOptChange { stop: Some(scope), ..SockOptChange::default() }
}

fn set(world: &mut World, change: &SockOptChange) -> Result<Applied, SockOptError> {
    let id = world.id();
    world.stack.set_sock_opt(id, change, None, world.now, &mut world.ended)
}

mod fuzz;
mod lessons;
mod properties;
mod states;

#[test]
fn the_handshake_establishes_both_sides() {
    let mut world = World::new();
    assert_eq!(world.play("C> S 100").states(), "SYN-SENT SYN-RECEIVED");
    assert_eq!(world.play("S> S. 300 101").states(), "ESTABLISHED SYN-RECEIVED");
    assert_eq!(world.play("C> . 101 301").states(), "ESTABLISHED ESTABLISHED");
    assert_eq!(world.stack.stats().get(Stat::FlowsEstablished), 1);
}

#[test]
fn a_syn_ack_with_a_foreign_number_does_not_establish() {
    let mut world = World::new();
    world.play("C> S 100\n S> S. 300 999");
    assert_eq!(world.states(), "SYN-SENT SYN-RECEIVED");
    assert_eq!(world.stack.stats().get(Stat::OutOfWindow), 1);
}

#[test]
fn each_side_holds_what_the_other_sent() {
    let mut world = established();
    world.play("C> P. 101 301 request\n S> P. 301 108 response");
    assert_eq!(world.received(Side::Server), "request");
    assert_eq!(world.received(Side::Client), "response");
}

#[test]
fn exchanging_the_addresses_changes_nothing() {
    let script = format!(
        "{HANDSHAKE}
        C> P. 105 301 ello
        C> P. 101 301 hell
        S> . 301 109
        S> F. 301 109
        C> F. 109 302
        S> . 302 110"
    );
    let story = |mut world: World| {
        world.play(&script);
        let FlowSummary { sides, .. } = world.flow();
        (world.states(), sides, world.received(Side::Server))
    };
    assert_eq!(story(World::new()), story(World::new().mirrored()));
}

#[test]
fn out_of_order_segments_are_put_in_order() {
    let mut world = established();
    world.play("C> P. 106 301 world\n C> P. 101 301 hello");
    assert_eq!(world.received(Side::Server), "helloworld");
    assert_eq!(world.flow().sides.client.retransmits, 0);
}

#[test]
fn a_hole_that_was_acknowledged_becomes_a_gap_and_reading_goes_on() {
    let mut world = established();
    world.play("C> P. 101 301 abc\n C> P. 107 301 ghi\n S> . 301 110");
    let buffer = world.flow().sides.server.buffer;
    assert_eq!((buffer.gaps, buffer.missing_bytes, buffer.next.0), (1, 3, 9));
    assert_eq!(buffer.contiguous.0, 3);
    assert_eq!(world.received(Side::Server), "abcghi");
    world.play("C> P. 110 301 jkl");
    assert_eq!(world.received(Side::Server), "abcghijkl");
}

#[test]
fn the_first_copy_wins_unless_the_policy_says_last() {
    for (policy, kept) in [(OverlapPolicy::First, "abcdefg"), (OverlapPolicy::Last, "abXYefg")] {
        let mut world = established();
        let change = SockOptChange {
            overlap: Sides { client: None, server: Some(policy) },
            ..SockOptChange::default()
        };
        set(&mut world, &change).expect("set");
        world.play("C> P. 101 301 abcd\n C> P. 103 301 XYefg");
        assert_eq!(world.received(Side::Server), kept);
        assert_eq!(world.flow().sides.server.buffer.conflicting_bytes, 2);
        assert_eq!(world.stack.stats().get(Stat::ConflictingBytes), 2);
    }
}

#[test]
fn an_overlap_option_works_before_the_first_byte() {
    let mut world = World::new();
    world.play("C> S 100");
    let change = SockOptChange {
        overlap: Sides::both(Some(OverlapPolicy::Last)),
        ..SockOptChange::default()
    };
    assert_eq!(set(&mut world, &change).map(|applied| applied.revision), Ok(1));
    assert_eq!(world.flow().origin, OptionsOrigin::Explicit);
}

#[test]
fn a_keepalive_never_writes() {
    let mut world = established();
    let change = SockOptChange {
        overlap: Sides::both(Some(OverlapPolicy::Last)),
        ..SockOptChange::default()
    };
    set(&mut world, &change).expect("set");
    world.play("C> P. 101 301 abc\n S> . 301 104\n C> . 103 301 Z\n C> . 103 301");
    assert_eq!(world.received(Side::Server), "abc");
    assert_eq!(world.flow().sides.server.buffer.conflicting_bytes, 0);
}

#[test]
fn a_retransmission_is_counted_once() {
    let mut world = established();
    world.play("C> P. 101 301 abc\n C> P. 101 301 abc");
    assert_eq!(world.flow().sides.client.retransmits, 1);
    assert_eq!(world.flow().sides.client.payload_bytes, 6);
}

#[test]
fn data_on_a_syn_lie_at_offset_0() {
    let mut world = World::new();
    world.play("C> S 100 0 early\n S> S. 300 106\n C> . 106 301 late");
    assert_eq!(world.received(Side::Server), "earlylate");
}

#[test]
fn sequence_numbers_wrap() {
    let mut world = World::new();
    world.play(
        "C> S 4294967292
        S> S. 4294967295 4294967293
        C> P. 4294967293 0 abcdef
        S> P. 0 3 xyz
        C> P. 3 3 ghi",
    );
    assert_eq!(world.received(Side::Server), "abcdefghi");
    assert_eq!(world.received(Side::Client), "xyz");
}

#[test]
fn closing_runs_through_the_states_of_the_rfc() {
    let mut world = established();
    assert_eq!(world.play("C> F. 101 301").states(), "FIN-WAIT-1 CLOSE-WAIT");
    assert_eq!(world.play("S> . 301 102").states(), "FIN-WAIT-2 CLOSE-WAIT");
    assert_eq!(world.play("S> P. 301 102 still").states(), "FIN-WAIT-2 CLOSE-WAIT");
    assert_eq!(world.play("S> F. 306 102").states(), "TIME-WAIT LAST-ACK");
    assert_eq!(world.play("C> . 102 307").states(), "TIME-WAIT CLOSED");
    assert_eq!(world.received(Side::Client), "still");
    world.wait(Duration::from_millis(1100));
    let (_, cause, streams) = &world.ended.0[0];
    assert_eq!((*cause, streams[0].as_str()), (Some(EndCause::Fin), "still"));
    assert_eq!(world.stack.gauges().flows, 0);
    assert_eq!(world.stack.gauges().pool_used_bytes, 0);
}

#[test]
fn a_simultaneous_close_ends_in_time_wait_on_both_sides() {
    let mut world = established();
    world.play("C> F. 101 301\n S> F. 301 101\n C> . 102 302\n S> . 302 102");
    assert_eq!(world.states(), "TIME-WAIT TIME-WAIT");
}

#[test]
fn an_acknowledgement_is_taken_before_the_fin_of_its_segment_whoever_closes_first() {
    check(
        &mut established(),
        "C> F. 101 301\n S> F. 301 102",
        "client FIN-WAIT-1
        server CLOSE-WAIT
        server LAST-ACK
        client FIN-WAIT-2
        client TIME-WAIT",
    );
    check(
        &mut established(),
        "S> F. 301 101\n C> F. 101 302",
        "server FIN-WAIT-1
        client CLOSE-WAIT
        client LAST-ACK
        server FIN-WAIT-2
        server TIME-WAIT",
    );
}

#[test]
fn a_fin_before_a_filled_hole_does_not_close() {
    let mut world = established();
    assert_eq!(world.play("C> F. 104 301 def").states(), "FIN-WAIT-1 ESTABLISHED");
    assert_eq!(world.play("C> P. 101 301 abc").states(), "FIN-WAIT-1 CLOSE-WAIT");
    assert_eq!(world.received(Side::Server), "abcdef");
}

#[test]
fn a_blind_reset_is_ignored_and_a_right_one_ends_the_flow() {
    let mut world = established();
    assert_eq!(world.play("C> R 3000000000").states(), "ESTABLISHED ESTABLISHED");
    assert_eq!(world.stack.stats().get(Stat::OutOfWindow), 1);
    assert_eq!(world.play("C> R 101").states(), "CLOSED CLOSED");
    world.play("+1100");
    assert_eq!(world.ended.0[0].1, Some(EndCause::Rst));
}

#[test]
fn a_refused_connection_ends_by_reset() {
    let mut world = World::new();
    world.play("C> S 100\n S> R. 0 101\n +1100");
    assert_eq!(world.ended.0[0].1, Some(EndCause::Rst));
}

#[test]
fn a_repeated_syn_does_not_begin_another_flow_but_a_new_one_does() {
    let mut world = established();
    let first = world.id();
    world.play("C> S 100");
    assert_eq!(world.id(), first);
    world.play("C> S 3000000000");
    assert_ne!(world.id(), first);
    assert_eq!(world.ended.0[0].1, Some(EndCause::Reused));
    assert_eq!(
        world.stack.summary(first),
        Err(LookupError::Ended { cause: Some(EndCause::Reused) })
    );
}

#[test]
fn a_syn_after_the_end_begins_another_flow() {
    let mut world = established();
    let first = world.id();
    world.play("C> F. 101 301\n S> F. 301 102\n C> . 102 302\n C> S 500");
    assert_ne!(world.id(), first);
    assert_eq!(world.states(), "SYN-SENT SYN-RECEIVED");
}

#[test]
fn silence_ends_each_flow_on_its_own_time() {
    let mut world = World::new();
    world.play("C> S 100\n +9900");
    assert_eq!(world.stack.gauges().flows, 1);
    world.play("+200");
    assert_eq!(world.ended.0[0].1, Some(EndCause::Timeout));
    world.play("+1000").play(HANDSHAKE);
    // An older flow that stays active does not delay a younger one, nor the other way round.
    for _ in 0..4 {
        world.play("+100000\n C> P. 101 301 x");
    }
    assert_eq!(world.stack.gauges().flows, 1);
    world.play("+300100");
    assert_eq!(world.stack.gauges().flows, 0);
}

#[test]
fn a_packet_after_the_deadline_does_not_revive_a_flow() {
    let mut world = established();
    world.now = world.now.after(Duration::from_secs(301));
    world.play("C> P. 101 301 late");
    assert_eq!(world.stack.stats().get(Stat::PacketsOrphan), 1);
    assert_eq!(world.ended.0[0].1, Some(EndCause::Timeout));
}

#[test]
fn a_flow_that_begins_with_syn_ack_knows_its_client() {
    let mut world = World::new();
    world.play("S> S. 300 101\n C> . 101 301 hello");
    assert_eq!(world.flow().tuple.client, world.client);
    assert_eq!(world.states(), "ESTABLISHED ESTABLISHED");
}

#[test]
fn packets_without_a_flow_are_orphans() {
    let mut world = World::new();
    world.play("C> . 101 301 hello\n S> R 301");
    assert_eq!(world.stack.stats().get(Stat::PacketsOrphan), 2);
    assert_eq!(world.stack.gauges().flows, 0);
}

#[test]
fn a_full_table_refuses_new_flows_and_keeps_the_old_ones() {
    let limits =
        Limits { flows_max: 2, half_open_max: 2, pool_bytes: 1 << 20, ..Limits::default() };
    let mut world = World::with(limits);
    for port in 1..=3 {
        world.client.set_port(port);
        world.play(HANDSHAKE);
    }
    assert_eq!(world.stack.gauges().flows, 2);
    assert_eq!(world.stack.stats().get(Stat::PacketsTableFull), 2);
}

#[test]
fn buffers_grow_and_shrink_while_data_flow() {
    let mut world = established();
    world.play("C> P. 101 301 abc");
    let applied = set(&mut world, &buffers(None, Some(65_537))).expect("grown");
    assert_eq!(applied.options.buffer_bytes.server, 67_584);
    assert_eq!((applied.discarded_bytes, applied.unchanged, applied.revision), (0, false, 1));
    let applied = set(&mut world, &buffers(None, Some(0))).expect("freed");
    assert_eq!((applied.discarded_bytes, applied.revision), (3, 2));
    assert_eq!(world.stack.gauges().pool_used_bytes, 0);
    let id = world.id();
    let peeked = world.stack.peek(id, Side::Server, None, &mut [0; 8]);
    assert_eq!(peeked, Err(PeekError::BufferingDisabled(Side::Server)));
    world.play("C> P. 104 301 def");
    set(&mut world, &buffers(None, Some(2048))).expect("again");
    world.play("C> P. 107 301 ghi");
    assert_eq!(world.received(Side::Server), "ghi");
    assert!(set(&mut world, &buffers(None, Some(2048))).expect("same").unchanged);
}

#[test]
fn a_change_is_checked_first_and_applied_whole_or_not_at_all() {
    let mut world = established();
    let before = world.flow();
    let id = before.id;
    let both = SockOptChange {
        overlap: Sides::both(Some(OverlapPolicy::Last)),
        ..buffers(Some(1 << 30), Some(4096))
    };
    assert_eq!(
        set(&mut world, &both),
        Err(SockOptError::OutOfRange {
            name: SockOptName::Buffer(Side::Client),
            value: 1 << 30,
            max: 16 << 20
        })
    );
    let too_much = set(&mut world, &buffers(Some(2 << 20), None));
    assert!(matches!(too_much, Err(SockOptError::PoolExhausted { .. })));
    let stale = world.stack.set_sock_opt(id, &buffers(Some(0), None), Some(7), world.now, &mut ());
    assert_eq!(stale, Err(SockOptError::RevisionMismatch { current: 0 }));
    let checked = world.stack.check_sock_opt(id, &buffers(Some(4096), None), Some(0));
    assert_eq!(checked.map(|applied| (applied.revision, applied.unchanged)), Ok((1, false)));
    assert_eq!(world.flow(), before);
}

#[test]
fn a_locked_option_cannot_be_changed() {
    let mut locked = SockOptNames::default();
    locked.insert(SockOptName::Buffer(Side::Client));
    let mut world = World::with(Limits { locked, pool_bytes: 1 << 20, ..Limits::default() });
    world.play(HANDSHAKE);
    let name = SockOptName::Buffer(Side::Client);
    assert_eq!(set(&mut world, &buffers(Some(0), None)), Err(SockOptError::Locked { name }));
    set(&mut world, &buffers(None, Some(0))).expect("the other side's is not locked");
}

#[test]
fn stopping_one_side_frees_its_buffer_and_freezes_it() {
    let mut world = established();
    world.play("C> P. 101 301 abc\n S> P. 301 104 xyz");
    let applied = set(&mut world, &stop(StopScope::Client)).expect("stopped");
    assert_eq!((applied.discarded_bytes, applied.options.stopped), (3, Some(StopScope::Client)));
    let frozen = world.flow().sides.client;
    world.play("S> P. 304 104 more\n C> P. 104 308 def\n C> F. 107 308");
    // All but the position in the stream, which the stack needs to follow the other side.
    let client = world.flow().sides.client;
    assert_eq!(crate::SideSummary { buffer: frozen.buffer, ..client }, frozen);
    assert_eq!(client.buffer.buffered_bytes, 0);
    assert_eq!(world.received(Side::Server), "abcdef");
    assert_eq!(world.flow().sides.server.state, TcpState::CloseWait);
    let name = SockOptName::Overlap(Side::Client);
    let change = SockOptChange {
        overlap: Sides { client: Some(OverlapPolicy::Last), server: None },
        ..SockOptChange::default()
    };
    assert_eq!(set(&mut world, &change), Err(SockOptError::Stopped { name }));
}

#[test]
fn stopping_both_sides_stops_the_flow_and_its_packets_are_counted_apart() {
    for stops in [vec![StopScope::Both], vec![StopScope::Client, StopScope::Server]] {
        let mut world = established();
        world.play("C> P. 101 301 abc");
        let id = world.id();
        for scope in stops {
            world
                .stack
                .set_sock_opt(id, &stop(scope), None, world.now, &mut world.ended)
                .expect("stopped");
        }
        assert_eq!(world.ended.0.len(), 1);
        assert_eq!(world.ended.0[0].1, Some(EndCause::Stopped));
        assert_eq!(world.stack.gauges().pool_used_bytes, 0);
        assert!(world.stack.find(world.client, world.server, None).is_empty());
        world.play("C> P. 104 301 def\n S> . 301 107");
        assert_eq!(world.stack.stats().get(Stat::PacketsStopped), 2);
        let again =
            world.stack.set_sock_opt(id, &stop(StopScope::Both), None, world.now, &mut world.ended);
        assert_eq!(again.map(|applied| applied.unchanged), Ok(true));
        // The tombstone goes with the connection, and is not reported twice.
        world.play("C> R 107\n +1100");
        assert_eq!((world.ended.0.len(), world.stack.gauges().flows), (1, 0));
    }
}

#[test]
fn a_walk_over_the_slots_sees_every_lasting_flow_once() {
    let mut world = World::new();
    for port in 1..=40 {
        world.client.set_port(port);
        world.play(HANDSHAKE);
    }
    let mut seen = Vec::new();
    let mut cursor = Some(SlotCursor::default());
    while let Some(at) = cursor {
        let mut page = ArrayVec::<_, 3>::new();
        cursor = world.stack.scan(at, 5, &mut page);
        seen.extend(page.iter().map(|flow| flow.tuple.client.port()));
    }
    assert_eq!(seen, (1..=40).collect::<Vec<_>>());
}

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
fn a_small_buffer_keeps_the_newest_bytes() {
    let mut world = established();
    let mut seq = 101;
    for n in 0..200u32 {
        let payload: String = format!("{n:0100}");
        let segment = FrameBuilder::between(world.client, world.server)
            .flags("P.")
            .seq(seq, 301)
            .window(500)
            .payload(payload.as_bytes());
        world.send(&segment);
        seq += 100;
    }
    let buffer = world.flow().sides.server.buffer;
    assert_eq!((buffer.buffered_bytes, buffer.overwritten_bytes), (8192, 20_000 - 8192));
    assert!(world.received(Side::Server).ends_with("199"));
}

#[test]
fn finishing_reports_open_flows_without_a_cause() {
    let mut world = established();
    world.stack.finish(&mut world.ended);
    assert_eq!(world.ended.0[0].1, None);
    assert_eq!(world.stack.gauges().flows, 0);
}

/// Plays a script after the handshake and compares the events, leading white space apart.
#[track_caller]
fn check(world: &mut World, script: &str, events: &str) {
    world.events();
    world.play(script);
    let expected: Vec<_> = events.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(world.events(), expected.join("\n"));
}

#[test]
fn a_handshake_is_told_in_order() {
    check(
        &mut World::new(),
        HANDSHAKE,
        "flow_started
        client SYN-SENT
        server SYN-RECEIVED
        client ESTABLISHED
        server ESTABLISHED
        flow_established",
    );
}

#[test]
fn new_data_are_told_once_for_each_side_with_their_range() {
    check(
        &mut established(),
        "C> P. 101 301 hello\n S> P. 301 106 world",
        "server new_data 0..5\n client new_data 0..5",
    );
}

#[test]
fn new_data_are_told_after_half_close() {
    check(
        &mut established(),
        "C> F. 101 301\n S> P. 301 102 still",
        "client FIN-WAIT-1
        server CLOSE-WAIT
        client FIN-WAIT-2
        client new_data 0..5",
    );
}

#[test]
fn new_data_are_told_before_the_end_that_comes_in_the_same_burst() {
    let mut world = established();
    world.events();
    let segment = |flags: &str, seq| {
        FrameBuilder::between(world.client, world.server).flags(flags).seq(seq, 301)
    };
    let frames = [
        segment("P.", 101).payload(b"last words").build(),
        segment("R", 111).build(),
        segment("S", 900_000).build(),
    ];
    let frames = frames.each_ref().map(|bytes| FrameBuilder::arriving(bytes, world.now));
    world.stack.handle_burst(&frames, &mut world.ended);
    let events = world.events();
    let place = |line| events.find(line).expect("told");
    assert!(place("server new_data 0..10") < place("flow_ended reused"), "{events}");
}

#[test]
fn a_burst_tells_new_data_of_a_side_once() {
    let mut world = established();
    world.events();
    let segment = |seq| FrameBuilder::between(world.client, world.server).flags("P.").seq(seq, 301);
    let frames = [101, 104, 107].map(|seq| segment(seq).payload(b"abc").build());
    let frames = frames.each_ref().map(|bytes| FrameBuilder::arriving(bytes, world.now));
    world.stack.handle_burst(&frames, &mut world.ended);
    assert_eq!(world.events(), "server new_data 0..9");
}

#[test]
fn conflicts_gaps_retransmissions_and_overruns_are_told() {
    let mut world = established();
    check(
        &mut world,
        "C> P. 101 301 abcdef
        C> P. 103 301 XdYZgh
        S> . 301 120",
        "server new_data 0..6
        server conflict 2+4 cdef XdYZgh
        server new_data 6..8
        server gap 8+11
        server new_data 8..19",
    );
    check(&mut world, "C> P. 101 301 abcdef", "server retransmission 0+6");
    let id = world.id();
    let change = buffers(None, Some(2048));
    world.stack.set_sock_opt(id, &change, None, world.now, &mut world.ended).expect("set");
    assert_eq!(world.events(), "options_changed");
    let long: String = "x".repeat(1400);
    let script = format!("C> P. 120 301 {long}\n C> P. 1520 301 {long}");
    check(
        &mut world,
        &script,
        "server new_data 19..1419
        server buffer_overrun 0+760
        server new_data 1419..2819",
    );
}

#[test]
fn a_stopped_side_tells_nothing_more() {
    let mut world = established();
    set(&mut world, &stop(StopScope::Client)).expect("stopped");
    check(&mut world, "S> P. 301 101 secret\n C> P. 101 307 open", "server new_data 0..4");
    set(&mut world, &stop(StopScope::Server)).expect("stopped");
    check(&mut world, "C> P. 105 307 more\n C> R 109\n +1100", "");
}

#[test]
fn orphans_are_told() {
    check(&mut World::new(), "C> . 101 301 hello", "orphan_packet");
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

#[test]
fn a_connection_under_way_is_adopted_if_that_is_wanted() {
    let limits = Limits { adopt_midstream: true, pool_bytes: 1 << 20, ..Limits::default() };
    let mut world = World::with(limits);
    world.play("C> P. 5000 900 hello\n S> P. 900 5005 world");
    assert_eq!(world.states(), "ESTABLISHED ESTABLISHED");
    assert_eq!(world.received(Side::Server), "hello");
    assert_eq!(world.received(Side::Client), "world");
    world.play("C> F. 5005 905\n S> F. 905 5006\n C> . 5006 906");
    assert_eq!(world.states(), "TIME-WAIT CLOSED");
    let orphans = world.stack.stats().get(Stat::PacketsOrphan);
    world.client.set_port(1);
    world.play("C> R 5000");
    assert_eq!(world.stack.stats().get(Stat::PacketsOrphan), orphans + 1);
}

#[test]
fn a_reset_in_the_window_waits_for_what_follows() {
    let mut world = established();
    world.play("C> P. 101 301 hello\n S> . 301 106");
    assert_eq!(world.play("C> R 150").states(), "ESTABLISHED ESTABLISHED");
    // The sender goes on: it has reset nothing.
    world.play("C> P. 106 301 more\n +20000");
    assert_eq!(world.states(), "ESTABLISHED ESTABLISHED");
    // It falls silent: it has.
    world.play("C> R 150\n +9000");
    assert_eq!(world.stack.gauges().flows, 1);
    world.play("+1500");
    assert_eq!(world.ended.0[0].1, Some(EndCause::Rst));
}

#[test]
fn a_challenged_reset_ends_the_flow_when_it_is_repeated_exactly() {
    let mut world = established();
    world.play("C> P. 101 301 hello\n C> R 110\n S> . 301 106\n C> R 106");
    assert_eq!(world.states(), "CLOSED CLOSED");
}

#[test]
fn a_handshake_that_was_acknowledged_does_not_move() {
    let mut world = established();
    world.play("S> S. 9000 101\n C> P. 101 301 hello\n S> P. 301 106 world");
    assert_eq!(world.received(Side::Server), "hello");
    assert_eq!(world.received(Side::Client), "world");
    assert_eq!(world.stack.stats().get(Stat::OutOfWindow), 1);
}

#[test]
fn segments_far_outside_the_window_change_nothing() {
    let mut world = established();
    world.play("C> P. 101 301 hello\n S> P. 301 106 world");
    let before = world.flow();
    // Data far ahead, data far behind, an acknowledgement of what was never sent, an ancient one.
    world.play(
        "C> P. 500000000 306 x\n C> P. 4000000000 306 x\n C> . 106 900000000\n C> . 106 4000000000",
    );
    let after = world.flow();
    assert_eq!(world.stack.stats().get(Stat::OutOfWindow), 4);
    assert_eq!(after.sides.server.buffer, before.sides.server.buffer);
    assert_eq!(after.sides.client.buffer, before.sides.client.buffer);
}

#[test]
fn a_flood_of_syns_evicts_half_open_flows_and_no_established_one() {
    let limits =
        Limits { flows_max: 64, half_open_max: 16, pool_bytes: 1 << 20, ..Limits::default() };
    let mut world = World::with(limits);
    world.play(HANDSHAKE).play("C> P. 101 301 precious");
    let (client, id) = (world.client, world.id());
    for port in 1..1000 {
        world.client.set_port(port);
        world.play("C> S 100");
    }
    assert_eq!(world.stack.gauges().flows, 17);
    assert_eq!(world.stack.stats().get(Stat::FlowsEndedEvicted), 999 - 16);
    assert_eq!(world.stack.stats().get(Stat::PacketsTableFull), 0);
    world.client = client;
    assert_eq!(world.id(), id);
    world.play("C> P. 109 301 data");
    assert_eq!(world.received(Side::Server), "preciousdata");
}

#[test]
fn a_full_table_lets_ended_flows_go_before_it_refuses() {
    let limits =
        Limits { flows_max: 8, half_open_max: 8, pool_bytes: 1 << 20, ..Limits::default() };
    let mut world = World::with(limits);
    for port in 1..=20 {
        world.client.set_port(port);
        world.play("C> S 100\n S> R. 0 101");
    }
    assert_eq!(world.stack.stats().get(Stat::PacketsTableFull), 0);
    assert_eq!(world.stack.stats().get(Stat::FlowsEndedRst), 12);
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

#[test]
fn a_syn_that_comes_after_its_fin_still_begins_the_stream() {
    let limits = Limits { adopt_midstream: true, pool_bytes: 1 << 20, ..Limits::default() };
    let mut world = World::with(limits);
    world.play("C> . 101 309\n S> F. 308 101\n S> S. 300 101\n S> P. 301 101 message");
    assert_eq!(world.received(Side::Client), "message");
    assert_eq!(world.states(), "CLOSE-WAIT FIN-WAIT-1");
}
