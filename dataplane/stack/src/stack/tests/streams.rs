//! Which bytes a side holds, and where.

use super::*;

#[test]
fn each_side_holds_what_the_other_sent() {
    let mut world = established();
    world.play("C> P. 101 301 request\n S> P. 301 108 response");
    assert_eq!(world.received(Side::Server), "request");
    assert_eq!(world.received(Side::Client), "response");
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
fn one_byte_that_was_missed_is_no_keepalive() {
    // The acknowledgement overtakes the byte, as in captures of two directions.
    let mut world = established();
    world.play("C> P. 101 301 abc\n S> . 301 105\n C> P. 104 301 d\n C> P. 105 301 ef");
    assert_eq!(world.received(Side::Server), "abcdef");
    // A byte that the buffer has moved past is a keepalive like one that is held.
    let mut world = established();
    set(&mut world, &buffers(None, Some(0))).expect("freed");
    world.play("C> P. 101 301 abc\n C> . 103 301 Z");
    assert_eq!(world.flow().sides.client.retransmits, 0);
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
fn segments_far_outside_the_window_change_nothing() {
    let mut world = established();
    world.play("C> P. 101 301 hello\n S> P. 301 106 world");
    let before = world.flow();
    // Data far ahead, data far behind, an acknowledgement of what was never sent, an ancient one.
    world.play(
        "C> P. 500000000 306 x\n C> P. 4000000000 306 x\n C> . 106 900000000\n C> . 106 4000000000",
    );
    let after = world.flow();
    let counted = |stat| world.stack.stats().get(stat);
    assert_eq!(counted(Stat::SuspiciousBeyondWindow), 1);
    assert_eq!(counted(Stat::SuspiciousAckNotSent), 1);
    assert_eq!(counted(Stat::SuspiciousAckTooOld), 1);
    assert_eq!(after.sides.client.suspicious_segments, 3);
    assert_eq!(after.sides.server.buffer, before.sides.server.buffer);
    assert_eq!(after.sides.client.buffer, before.sides.client.buffer);
}

#[test]
fn bytes_that_come_behind_the_last_acknowledgement_fill_their_gap() {
    let mut world = established();
    world.play("S> F. 308 101\n C> F. 101 309\n S> . 309 102");
    let missing = |world: &World| {
        let buffer = world.flow().sides.client.buffer;
        (buffer.gaps, buffer.missing_bytes, buffer.contiguous.0)
    };
    assert_eq!(missing(&world), (1, 7, 0));
    world.play("S> P. 301 101 message");
    assert_eq!(world.received(Side::Client), "message");
    assert_eq!(missing(&world), (0, 0, 7));
    let counted = [Stat::Gaps, Stat::MissingBytes, Stat::FilledBytes];
    assert_eq!(counted.map(|stat| world.stack.stats().get(stat)), [1, 7, 7]);
    world.play("+1100");
    assert_eq!(world.ended.flows[0].1, Some(EndCause::Fin));
    // After a reset nobody receives anything.
    let mut world = established();
    world.play("C> . 101 308\n S> R 308\n S> P. 301 101 message");
    assert_eq!(world.received(Side::Client), "");
}

#[test]
fn a_side_whose_window_is_not_known_grants_a_large_one() {
    let limits = Limits { adopt_midstream: true, pool_bytes: 1 << 20, ..Limits::default() };
    let mut world = World::with(limits);
    // One direction was captured, and not all of it.
    world.play("C> P. 101 301 abc\n C> P. 200101 301 def");
    assert_eq!(world.received(Side::Server), "def");
    assert_eq!(world.stack.stats().get(Stat::SuspiciousBeyondWindow), 0);
    world.play("C> P. 20200101 301 far");
    assert_eq!(world.stack.stats().get(Stat::SuspiciousBeyondWindow), 1, "16 MiB are enough");
    let id = world.id();
    world.play("C> S 400000");
    assert_ne!(world.id(), id, "but a SYN begins another flow");
    let mut world = World::with(limits);
    world.play("C> P. 101 301 abc\n S> . 301 104\n C> P. 200101 301 def");
    assert_eq!(
        world.stack.stats().get(Stat::SuspiciousBeyondWindow),
        0,
        "without the SYN, no scale is known"
    );
    world.play("C> P. 20200101 301 far");
    assert_eq!(world.stack.stats().get(Stat::SuspiciousBeyondWindow), 1);
    let mut world = established();
    world.play("C> P. 200101 301 def");
    assert_eq!(world.stack.stats().get(Stat::SuspiciousBeyondWindow), 1);
}

/// How far what each side sends is acknowledged, client first.
fn acknowledged(world: &World) -> [Option<u64>; 2] {
    let sides = world.flow().sides;
    [sides.client, sides.server].map(|side| side.acknowledged.map(|offset| offset.0))
}

#[test]
fn what_was_acknowledged_is_told_beside_what_was_sent() {
    let mut world = established();
    world.play("C> P. 101 301 abcdef");
    assert_eq!(acknowledged(&world), [Some(0), Some(0)]);
    assert_eq!(world.flow().unacknowledged_bytes(), Some(6));
    world.play("S> P. 301 104 xyz");
    assert_eq!(acknowledged(&world), [Some(3), Some(0)]);
    assert_eq!(world.flow().unacknowledged_bytes(), Some(6));
    // A gap that was acknowledged counts, a FIN does not, and an old number changes nothing.
    world.play("C> F. 109 304 ghi\n S> . 304 113\n S> . 304 104");
    assert_eq!(acknowledged(&world), [Some(11), Some(3)]);
    assert_eq!(world.flow().sides.server.buffer.next.0, 11);
    assert_eq!(world.flow().unacknowledged_bytes(), Some(0));
}

#[test]
fn what_was_acknowledged_is_known_without_a_buffer_and_of_a_stopped_side() {
    for change in [buffers(Some(0), Some(0)), stop(StopScope::Client), stop(StopScope::Server)] {
        let mut world = established();
        set(&mut world, &change).expect("set");
        world.play("C> P. 101 301 abc\n S> P. 301 104 xyz\n C> P. 104 303 def");
        assert_eq!(acknowledged(&world), [Some(3), Some(2)], "{change:?}");
    }
}

#[test]
fn a_flow_is_one_sided_until_both_sides_were_heard() {
    let limits = Limits { adopt_midstream: true, pool_bytes: 1 << 20, ..Limits::default() };
    let mut world = World::with(limits);
    world.play("C> P. 101 301 abc\n C> P. 104 305 def");
    assert!(world.flow().is_one_sided);
    world.play("S> . 305 107");
    assert!(!world.flow().is_one_sided);
    let mut world = World::new();
    world.play("C> S 100");
    assert!(world.flow().is_one_sided);
    // An answer to another SYN is none.
    world.play("S> R. 0 900");
    assert!(world.flow().is_one_sided);
    world.play("S> R. 0 101");
    assert!(!world.flow().is_one_sided, "a refusal is an answer");
    let mut world = World::new();
    world.play("C> S 100\n C> . 101 301\n C> R 101");
    assert!(world.flow().is_one_sided);
    assert!(!established().flow().is_one_sided);
}

#[test]
fn what_was_acknowledged_is_not_known_of_one_direction() {
    let limits = Limits { adopt_midstream: true, pool_bytes: 1 << 20, ..Limits::default() };
    let mut world = World::with(limits);
    world.play("C> P. 101 301 abc\n C> P. 104 305 def");
    assert_eq!(acknowledged(&world), [None, None]);
    assert_eq!(world.flow().unacknowledged_bytes(), None);
    world.play("S> . 305 104");
    assert_eq!(acknowledged(&world), [Some(3), Some(0)]);
}
