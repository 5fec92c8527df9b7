//! What the receiver took, where a sender means to deceive: the three rules, one story each.

use super::*;
use crate::Suspicion;

/// The stack that a replay has: connections under way are adopted.
fn adopting() -> World {
    World::with(Limits { adopt_midstream: true, pool_bytes: 1 << 20, ..Limits::default() })
}

/// A timestamps option, with padding.
fn stamp(value: u32, echo: u32) -> Vec<u8> {
    [&[1, 1, 8, 10][..], &value.to_be_bytes(), &echo.to_be_bytes()].concat()
}

/// An established connection with timestamps: 1000 of the client, 2000 of the server.
fn stamped() -> World {
    let mut world = World::new();
    for (flags, seq, ack, options) in [
        ("S", 100, 0, stamp(1000, 0)),
        ("S.", 300, 101, stamp(2000, 1000)),
        (".", 101, 301, stamp(1000, 2000)),
    ] {
        let (from, to) = match flags {
            "S." => (world.server, world.client),
            _ => (world.client, world.server),
        };
        let frame = FrameBuilder::between(from, to).flags(flags).seq(seq, ack);
        world.send(&frame.tcp_options(&options));
    }
    world
}

/// Data of the client with these options.
fn data(world: &mut World, seq: u32, payload: &str, options: &[u8]) {
    let frame = FrameBuilder::between(world.client, world.server).flags("P.").seq(seq, 301);
    world.send(&frame.payload(payload.as_bytes()).tcp_options(options));
}

/// How often a reason was counted.
fn counted(world: &World, reason: Suspicion) -> u64 {
    let stats = Stat::ALL.into_iter();
    let mut of_reason =
        stats.filter(|stat| stat.name() == ("suspicious_segments", reason.as_str()));
    of_reason.next().map_or(0, |stat| world.stack.stats().get(stat))
}

#[test]
fn every_reason_has_a_counter_of_its_own() {
    let names = Stat::ALL.into_iter().map(Stat::name);
    let labels: Vec<_> =
        names.filter(|(family, _)| *family == "suspicious_segments").map(|(_, l)| l).collect();
    assert_eq!(labels, Suspicion::ALL.map(Suspicion::as_str));
}

#[test]
fn what_is_doubtful_and_not_acknowledged_leaves_no_trace() {
    // Acknowledges what was never sent; what was acknowledged long ago; ends beyond the window.
    for (doubtful, reason) in [
        ("C> P. 101 801 EVIL", Suspicion::AckNotSent),
        ("C> F. 101 801", Suspicion::AckNotSent),
        ("C> P. 101 300 EVIL", Suspicion::AckTooOld),
        ("C> P. 70000 301 EVIL", Suspicion::BeyondWindow),
    ] {
        let mut world = established();
        world.play(&format!("{doubtful}\n S> . 301 101\n C> P. 101 301 good\n S> . 301 105"));
        assert_eq!(world.received(Side::Server), "good", "{doubtful}");
        assert_eq!(world.states(), "ESTABLISHED ESTABLISHED", "{doubtful}");
        assert_eq!(counted(&world, reason), 1, "{doubtful}");
        assert_eq!(world.flow().sides.client.suspicious_segments, 1, "{doubtful}");
        assert_eq!(world.flow().sides.server.buffer.gaps, 0, "{doubtful}");
    }
}

#[test]
fn what_is_doubtful_and_acknowledged_was_taken_and_a_later_copy_is_a_retransmission() {
    let mut world = established();
    world.play("C> P. 101 300 took\n S> . 301 105\n C> P. 101 301 late\n S> . 301 105");
    assert_eq!(world.received(Side::Server), "took");
    assert_eq!(world.flow().sides.client.retransmits, 1);
}

#[test]
fn where_two_copies_come_before_the_acknowledgement_the_conflict_is_told() {
    let mut world = established();
    world.events();
    world.play("C> P. 101 300 EVIL\n C> P. 101 301 good\n S> . 301 105");
    assert_eq!(world.received(Side::Server), "good");
    assert!(world.events().contains("server conflict 0+4 good EVIL doubtful"));
}

/// An established connection whose server keeps the copy that a policy chooses.
fn choosing(policy: OverlapPolicy) -> World {
    let mut limits = Limits { pool_bytes: 1 << 20, ..Limits::default() };
    limits.defaults.overlap = Sides::both(policy);
    let mut world = World::with(limits);
    world.play(HANDSHAKE);
    world.events();
    world
}

#[test]
fn a_copy_that_comes_behind_the_acknowledgement_was_not_taken_whatever_the_policy() {
    for policy in OverlapPolicy::ALL {
        let mut world = choosing(policy);
        world.play("C> P. 101 301 good\n S> . 301 105\n C> P. 101 301 EVIL");
        assert_eq!(world.received(Side::Server), "good", "{policy:?}");
        assert_eq!(world.flow().sides.server.buffer.conflicting_bytes, 4);
        assert!(world.events().contains("server conflict 0+4 good EVIL acknowledged"));
        // A predicted segment acknowledges, too.
        world.play("C> P. 105 301 more\n S> P. 301 109 x\n C> P. 101 302 EVILEVIL");
        assert_eq!(world.received(Side::Server), "goodmore", "{policy:?}");
    }
}

#[test]
fn a_policy_chooses_behind_what_was_acknowledged_and_both_conflicts_are_told() {
    for (policy, kept) in [(OverlapPolicy::First, "goodmore"), (OverlapPolicy::Last, "goodEVIL")] {
        let mut world = choosing(policy);
        world.play(
            "C> P. 101 301 good\n C> P. 105 301 more\n S> . 301 105\n C> P. 101 301 evilEVIL",
        );
        assert_eq!(world.received(Side::Server), kept, "{policy:?}");
        let events = world.events();
        assert!(events.contains("server conflict 0+4 goodmore evilEVIL acknowledged"), "{events}");
        let chosen = format!("server conflict 4+4 more EVIL {}", policy.as_str());
        assert!(events.contains(&chosen), "{events}");
    }
}

#[test]
fn what_was_acknowledged_and_missed_is_filled_whatever_the_policy() {
    let mut world = choosing(OverlapPolicy::Last);
    world.play("C> P. 101 301 go\n C> P. 105 301 more\n S> . 301 109");
    assert_eq!(world.flow().sides.server.buffer.gaps, 1);
    world.play("C> P. 101 301 EVodEVIL");
    assert_eq!(world.received(Side::Server), "goodmore");
    assert_eq!(world.flow().sides.server.buffer.gaps, 0);
}

#[test]
fn a_segment_without_ack_is_refused() {
    let mut world = established();
    world.play("C> P 101 0 EVIL\n C> F 101 0\n S> . 301 105\n C> P. 101 301 good");
    assert_eq!(world.received(Side::Server), "good");
    assert_eq!(counted(&world, Suspicion::NoAck), 2);
}

#[test]
fn an_old_timestamp_is_kept_aside_and_one_tick_back_is_not() {
    let mut world = stamped();
    data(&mut world, 101, "EVIL", &stamp(998, 2000));
    data(&mut world, 101, "good", &stamp(1000, 2000));
    data(&mut world, 105, "more", &stamp(999, 2000));
    data(&mut world, 109, "none", &[]);
    assert_eq!(world.received(Side::Server), "goodmorenone");
    assert_eq!(counted(&world, Suspicion::Timestamp), 1);
    // After 24 days the last one means nothing.
    let mut limits = Limits { pool_bytes: 1 << 20, ..Limits::default() };
    limits.timeouts.idle = Duration::MAX;
    let mut world = World::with(limits);
    world.play(HANDSHAKE);
    world.now = world.now.after(Duration::from_secs(25 * 24 * 3600));
    data(&mut world, 101, "good", &stamp(1, 2000));
    assert_eq!(world.received(Side::Server), "good");
}

#[test]
fn a_late_copy_that_says_nothing_new_is_not_suspicious() {
    let mut world = stamped();
    let answer = |world: &mut World, ack: u32, time: u32| {
        let frame = FrameBuilder::between(world.server, world.client).flags(".").seq(301, ack);
        world.send(&frame.tcp_options(&stamp(time, 1000)));
    };
    data(&mut world, 101, "good", &stamp(1000, 2000));
    data(&mut world, 101, "good", &stamp(1010, 2000));
    // The first copy comes again, held already; then, acknowledged; and so do late answers.
    data(&mut world, 101, "good", &stamp(1000, 2000));
    answer(&mut world, 105, 2010);
    answer(&mut world, 105, 2000);
    answer(&mut world, 101, 2000);
    data(&mut world, 101, "good", &stamp(1000, 2000));
    assert_eq!(world.flow().sides.client.suspicious_segments, 0);
    assert_eq!(world.flow().sides.server.suspicious_segments, 0);
    assert_eq!(world.flow().sides.client.retransmits, 3);
    assert_eq!(world.received(Side::Server), "good");
}

#[test]
fn a_late_answer_of_more_than_a_window_ago_is_not_suspicious_and_grants_nothing() {
    let mut world = world_of_zero();
    let answer = |world: &mut World, ack: u32, window: u16| {
        let frame = FrameBuilder::between(world.server, world.client).flags(".").seq(301, ack);
        world.send(&frame.window(window));
    };
    world.play("C> P. 101 301 good");
    answer(&mut world, 105, 4);
    world.play("C> P. 105 301 more");
    answer(&mut world, 109, 2);
    answer(&mut world, 101, 60_000);
    assert_eq!(world.flow().sides.server.suspicious_segments, 0);
    world.play("C> P. 109 301 EVIL");
    assert_eq!(counted(&world, Suspicion::BeyondWindow), 1);
    assert_eq!(world.received(Side::Server), "goodmore");
}

#[test]
fn an_old_timestamp_with_other_bytes_or_another_acknowledgement_is_suspicious() {
    for (seq, payload) in [(101, "EVIL"), (103, "odEV"), (105, "EVIL")] {
        let mut world = stamped();
        data(&mut world, 101, "good", &stamp(1010, 2000));
        data(&mut world, seq, payload, &stamp(1000, 2000));
        assert_eq!(counted(&world, Suspicion::Timestamp), 1, "{seq} {payload}");
        assert_eq!(world.received(Side::Server), "good");
    }
    let mut world = stamped();
    data(&mut world, 101, "good", &stamp(1010, 2000));
    let frame = FrameBuilder::between(world.client, world.server).flags("F.").seq(105, 301);
    world.send(&frame.tcp_options(&stamp(1000, 2000)));
    assert_eq!(counted(&world, Suspicion::Timestamp), 1);
}

#[test]
fn the_answer_to_a_syn_ack_echoes_that_and_nothing_later() {
    // A challenge comes between them: its timestamp is not the one to be echoed.
    for (echo, received) in [(2000, "data"), (2001, "")] {
        let mut world = World::new();
        let (client, server) = (world.client, world.server);
        let frame = FrameBuilder::between(client, server).flags("S").seq(100, 0);
        world.send(&frame.tcp_options(&stamp(1000, 0)));
        for (flags, seq, value) in [("S.", 300, 2000), (".", 301, 2001)] {
            let frame = FrameBuilder::between(server, client).flags(flags).seq(seq, 101);
            world.send(&frame.tcp_options(&stamp(value, 1000)));
        }
        data(&mut world, 101, "", &stamp(1001, echo));
        data(&mut world, 101, "data", &stamp(1001, echo));
        assert_eq!(world.received(Side::Server), received, "{echo}");
        // The server may see it otherwise: its acknowledgement decides, or what it sends.
        let frame = FrameBuilder::between(server, client).flags("P.").seq(301, 105);
        world.send(&frame.tcp_options(&stamp(2002, 1001)).payload(b"well"));
        data(&mut world, 105, " more", &stamp(1002, 2002));
        assert_eq!(world.received(Side::Server), "data more", "{echo}");
        assert_eq!(world.states(), "ESTABLISHED ESTABLISHED", "{echo}");
    }
}

/// Signatures, with padding: MD5, and the authentication option.
fn signatures() -> [Vec<u8>; 2] {
    [[&[1, 1, 19, 18][..], &[7; 16]].concat(), [&[29, 16, 1, 1][..], &[7; 12]].concat()]
}

#[test]
fn a_missing_signature_is_kept_aside_also_where_the_number_is_predicted() {
    let [md5, authentication] = signatures();
    for (signature, other) in [(&md5, &authentication), (&authentication, &md5)] {
        let mut world = World::new();
        for (flags, seq, ack) in [("S", 100, 0), ("S.", 300, 101), (".", 101, 301)] {
            let (from, to) = match flags {
                "S." => (world.server, world.client),
                _ => (world.client, world.server),
            };
            let frame = FrameBuilder::between(from, to).flags(flags).seq(seq, ack);
            world.send(&frame.tcp_options(signature));
        }
        data(&mut world, 101, "one ", signature);
        data(&mut world, 105, "EVIL", &[]);
        data(&mut world, 105, "EVIL", other);
        data(&mut world, 105, "two!", signature);
        assert_eq!(world.received(Side::Server), "one two!");
        assert_eq!(counted(&world, Suspicion::Signature), 2);
    }
}

#[test]
fn an_unexpected_signature_is_kept_aside() {
    let [signature, authentication] = signatures();
    let mut world = established();
    data(&mut world, 101, "EVIL", &signature);
    data(&mut world, 101, "good", &[]);
    assert_eq!(world.received(Side::Server), "good");
    assert_eq!(counted(&world, Suspicion::Signature), 1);
    // A reset with one counts only if its sender falls silent.
    let reset = FrameBuilder::between(world.client, world.server).flags("R.").seq(105, 301);
    world.send(&reset.tcp_options(&signature));
    data(&mut world, 105, " goes on", &[]);
    assert_eq!(world.received(Side::Server), "good goes on");
    assert_eq!(world.states(), "ESTABLISHED ESTABLISHED");
    // Hosts ignore the authentication option where they have no key for it.
    data(&mut world, 113, " unasked", &authentication);
    assert_eq!(world.received(Side::Server), "good goes on unasked");
}

#[test]
fn what_gives_way_aside_is_told() {
    let mut world = established();
    for (at, seq) in [70_000, 72_000, 74_000, 76_000].into_iter().enumerate() {
        world.play(&format!("C> P. {seq} 301 EVIL"));
        assert_eq!(counted(&world, Suspicion::PushedOut), 0, "{at}");
    }
    world.play("C> P. 78000 301 EVIL");
    assert_eq!(counted(&world, Suspicion::PushedOut), 1);
    assert_eq!(world.flow().sides.client.suspicious_segments, 6);
    world.play("C> P. 101 301 good\n S> . 301 105");
    assert_eq!(world.received(Side::Server), "good");
}

#[test]
fn a_window_of_zero_is_believed() {
    let mut world = World::new();
    let server =
        |world: &World, flags| FrameBuilder::between(world.server, world.client).flags(flags);
    world.play("C> S 100");
    world.send(&server(&world, "S.").seq(300, 101).window(4));
    world.play("C> P. 101 301 good");
    world.send(&server(&world, ".").seq(301, 105).window(0));
    world.play("C> P. 105 301 EVIL");
    assert_eq!(counted(&world, Suspicion::BeyondWindow), 1);
    world.send(&server(&world, ".").seq(301, 105).window(4));
    world.play("C> P. 105 301 more");
    assert_eq!(world.received(Side::Server), "goodmore");
}

#[test]
fn a_fin_counts_when_the_stream_reaches_it() {
    let mut world = established();
    world.play("C> F. 111 301\n S> . 301 101\n C> P. 101 301 ahead of the FIN\n S> . 301 117");
    assert_eq!(world.received(Side::Server), "ahead of the FIN");
    assert_eq!(world.states(), "ESTABLISHED ESTABLISHED");
    world.play("C> F. 105 301\n C> P. 117 301 , and behind an old one");
    assert_eq!(world.received(Side::Server), "ahead of the FIN, and behind an old one");
    // Of two, the one that is reached first.
    let mut world = established();
    world.play("C> F. 141 301\n C> F. 105 301\n C> P. 101 301 last\n S> . 301 106");
    assert_eq!(world.states(), "FIN-WAIT-2 CLOSE-WAIT");
    assert_eq!(world.flow().sides.server.buffer.gaps, 0);
}

#[test]
fn payload_of_a_syn_counts_when_it_is_acknowledged() {
    for (answer, received) in [(101, "good"), (105, "EVIL"), (103, "EVod")] {
        let mut world = World::new();
        world.play(&format!("C> S 100 0 EVIL\n S> S. 300 {answer}\n C> . 101 301"));
        world.play("C> P. 101 301 good");
        assert_eq!(world.received(Side::Server), received, "{answer}");
    }
    let mut world = World::new();
    world.play("C> S 100\n S> S. 300 101 EVIL\n C> . 101 301\n S> P. 301 101 good");
    assert_eq!(world.received(Side::Client), "good");
}

#[test]
fn of_two_syns_the_one_counts_that_the_syn_ack_acknowledges() {
    for script in ["C> S 100\n C> S 50000", "C> S 50000\n C> S 100"] {
        let mut world = World::new();
        world.play(script);
        world.play("S> S. 300 101\n C> . 101 301\n C> P. 101 301 good\n S> P. 301 105 well");
        assert_eq!(world.received(Side::Server), "good", "{script}");
        assert_eq!(world.received(Side::Client), "well", "{script}");
    }
}

#[test]
fn of_two_syn_acks_the_one_counts_that_the_client_acknowledges() {
    let mut world = World::new();
    world.play("C> S 100\n S> S. 300 101\n S> S. 90000 101\n C> . 101 301");
    world.play("C> P. 101 301 good\n S> P. 301 105 well");
    assert_eq!(world.received(Side::Client), "well");
    let mut world = World::new();
    world.play("C> S 100\n S> S. 90000 101\n S> S. 300 101\n C> . 101 301");
    world.play("C> P. 101 301 good\n S> P. 301 105 well");
    assert_eq!(world.received(Side::Client), "well");
}

#[test]
fn a_server_that_has_not_answered_the_syn_sends_nothing_that_counts() {
    let mut world = World::new();
    world.play("C> S 100\n S> P. 301 101 EVIL\n S> S. 300 101\n C> . 101 301");
    world.play("S> P. 301 101 good\n C> . 101 305");
    assert_eq!(world.received(Side::Client), "good");
    assert_eq!(counted(&world, Suspicion::BeforeSyn), 1);
}

#[test]
fn what_comes_before_the_syn_belongs_to_no_connection_of_that_syn() {
    let mut world = adopting();
    world.play("C> P. 101 0 EVIL\n C> S 100\n S> S. 300 101\n C> . 101 301");
    world.play("C> P. 101 301 good");
    assert_eq!(world.received(Side::Server), "good");
}

#[test]
fn behind_a_loss_longer_than_a_window_both_directions_go_on() {
    let mut world = established();
    world.play("S> P. 301 101 before\n C> . 101 307");
    world.play("S> P. 900301 101 behind\n C> . 101 900307\n C> P. 101 900307 answer");
    world.play("S> F. 900307 107\n C> F. 107 900308\n S> . 900308 108");
    assert_eq!(world.received(Side::Server), "answer");
    let buffer = world.flow().sides.client.buffer;
    assert_eq!((buffer.gaps, buffer.next.0), (1, 900_006));
    world.play("+1100");
    assert_eq!(world.ended.flows[0].1, Some(EndCause::Fin));
}

#[test]
fn a_flow_whose_answers_are_no_longer_captured_is_not_deaf() {
    let mut world = established();
    world.play("C> P. 101 301 a\n S> . 301 102");
    // The server goes on where nobody sees it: every segment acknowledges more.
    for n in 0..100u32 {
        let frame = FrameBuilder::between(world.client, world.server).flags("P.");
        world.send(&frame.seq(102 + 1000 * n, 400 + n).payload(&[b'x'; 1000]));
    }
    let buffer = world.flow().sides.server.buffer;
    assert!(buffer.next.0 > 60_000 && buffer.gaps == 0, "{buffer:?}");
}

#[test]
fn what_follows_an_answer_that_was_not_captured_is_shown_whole() {
    let mut limits = Limits { pool_bytes: 1 << 20, ..Limits::default() };
    limits.defaults.buffer_bytes = Sides::both(1 << 18);
    let mut world = World::with(limits);
    world.play(HANDSHAKE);
    // The window has room for 65 segments. What grants more is missing.
    let sent = ["abc", "defg", "hijkl"].concat().repeat(12_000);
    for n in 0..140 {
        let at = 1000 * n as usize;
        data(&mut world, 101 + 1000 * n, &sent[at..at + 1000], &[]);
    }
    world.play("S> . 301 140101");
    assert!(counted(&world, Suspicion::BeyondWindow) > 64);
    let buffer = world.flow().sides.server.buffer;
    assert_eq!((buffer.gaps, buffer.missing_bytes), (0, 0));
    assert!(world.received(Side::Server) == sent[..140_000]);
}

#[test]
fn a_long_stretch_below_the_first_byte_is_not_believed() {
    let mut world = stamped();
    data(&mut world, 101, "good", &stamp(2000, 2000));
    let fin = FrameBuilder::between(world.client, world.server).flags("F.").seq(105, 301);
    world.send(&fin.tcp_options(&stamp(2000, 2000)));
    for n in 0..80_u32 {
        // Old ones, which begin below the first byte and end behind the FIN.
        let seq = 101_u32.wrapping_sub(65_450).wrapping_add(1000 * n);
        data(&mut world, seq, &"E".repeat(1000), &stamp(1000, 2000));
    }
    world.play("S> . 301 106");
    assert_eq!(world.received(Side::Server), "good");
    assert_eq!(world.flow().sides.server.buffer.gaps, 0);
}

#[test]
fn a_reset_that_the_endpoints_did_not_believe_does_not_end_the_flow() {
    let mut world = established();
    world.play("C> R 101\n C> P. 101 301 goes on\n S> . 301 108\n S> P. 301 108 so do we");
    assert_eq!(world.received(Side::Server), "goes on");
    assert_eq!(world.received(Side::Client), "so do we");
    assert_eq!(world.states(), "ESTABLISHED ESTABLISHED");
    // Nor before the handshake.
    let mut world = World::new();
    world.play("C> S 100\n S> R. 0 101\n S> S. 300 101\n C> . 101 301\n C> P. 101 301 good");
    assert_eq!(world.received(Side::Server), "good");
}

#[test]
fn a_reset_that_ends_beyond_the_window_counts_if_its_sender_falls_silent() {
    let full = |world: &mut World| {
        let server = FrameBuilder::between(world.server, world.client).flags(".");
        world.play("C> P. 101 301 good");
        world.send(&server.seq(301, 105).window(0));
    };
    let mut world = world_of_zero();
    full(&mut world);
    // Its exact number does not help: the receiver has no room for its payload.
    world.play("C> R. 105 301 EVIL\n C> S 105");
    let server = FrameBuilder::between(world.server, world.client).flags(".");
    world.send(&server.seq(301, 105).window(500));
    world.play("C> P. 105 301 more\n S> . 301 109");
    assert_eq!(world.received(Side::Server), "goodmore");
    let mut world = world_of_zero();
    full(&mut world);
    world.play("C> R. 105 301 EVIL").wait(Duration::from_secs(400));
    assert_eq!(world.ended.flows[0].1, Some(EndCause::Rst));
    // A SYN takes room, too.
    let mut world = world_of_zero();
    full(&mut world);
    world.play("C> SR. 105 301");
    assert_eq!(world.states(), "ESTABLISHED ESTABLISHED");
}

/// An established connection whose server grants exactly four bytes.
fn world_of_zero() -> World {
    let mut world = World::new();
    world.play("C> S 100");
    world.send(
        &FrameBuilder::between(world.server, world.client).flags("S.").seq(300, 101).window(4),
    );
    world.play("C> . 101 301");
    world
}

#[test]
fn of_two_timestamps_2_to_the_31_apart_neither_is_older() {
    let half = 1000_u32.wrapping_add(1 << 31);
    let mut world = stamped();
    data(&mut world, 101, "", &stamp(half, 2000));
    data(&mut world, 101, "EVIL", &stamp(1001, 2000));
    data(&mut world, 101, "good", &stamp(half, 2000));
    assert_eq!(world.received(Side::Server), "good");
    assert_eq!(counted(&world, Suspicion::Timestamp), 1);
    // Payload waits until it is acknowledged.
    let mut world = stamped();
    data(&mut world, 101, "took", &stamp(half, 2000));
    assert_eq!(world.received(Side::Server), "");
    world.play("S> . 301 105");
    assert_eq!(world.received(Side::Server), "took");
}

#[test]
fn a_reset_that_refuses_a_segment_does_not_prove_what_that_acknowledged() {
    // The flow begins in the middle, so it counts as established, and then has a handshake.
    let mut world = adopting();
    world.play("C> P 100 0 EVIL\n C> S 99\n S> S. 300 100");
    world.play("C> . 100 900301\n S> R 900301\n C> . 100 301");
    world.play("C> P. 100 301 good\n S> P. 301 104 well");
    assert_eq!(world.received(Side::Server), "good");
    assert_eq!(world.received(Side::Client), "well");
    assert_eq!(world.flow().sides.client.buffer.gaps, 0);
}

#[test]
fn in_time_wait_a_syn_with_the_next_number_begins_nothing() {
    let closed = "C> F. 101 301\n S> F. 301 102\n C> . 102 302";
    for (number, flows) in [(101, 0), (102, 0), (103, 1)] {
        let mut world = established();
        world.play(&format!("{closed}\n C> S {number}"));
        assert_eq!(world.ended.flows.len(), flows, "{number}");
    }
}

#[test]
fn what_a_side_goes_on_with_below_its_unanswered_syn_is_not_of_that_connection() {
    let mut world = established();
    world.play("C> F. 101 301\n S> F. 301 102\n C> . 102 302\n C> S 110\n S> . 302 102");
    world.play("C> P. 101 302 data of the old one\n S> . 302 102");
    assert_eq!(world.received(Side::Server), "");
    world.play("S> S. 900 111\n C> . 111 901\n C> P. 111 901 good");
    assert_eq!(world.received(Side::Server), "good");
}

#[test]
fn where_the_receiver_resets_which_copy_it_took_is_told_as_open() {
    let mut world = established();
    world.events();
    world.play("C> FP. 101 300 EVIL\n C> P. 101 301 good\n S> R 301");
    assert!(world.events().contains("server conflict 0+4 good EVIL doubtful"));
    assert_eq!(world.flow().sides.server.buffer.conflicting_bytes, 4);
    // It has acknowledged less: so it has not taken it.
    let mut world = established();
    world.play("C> FP. 101 300 EVIL\n S> . 301 101\n C> P. 101 301 good\n S> R 301");
    assert_eq!(world.flow().sides.server.buffer.conflicting_bytes, 0);
}

#[test]
fn what_is_kept_aside_takes_a_bounded_part_of_the_pool_and_gives_it_back() {
    let mut world = established();
    for n in 0..2000u32 {
        let frame = FrameBuilder::between(world.client, world.server).flags("P.");
        world.send(&frame.seq(101 + 3 * n, 5000 + n).payload(&[b'x'; 1400]));
    }
    let used = world.stack.gauges().pool_used_bytes;
    assert!(used <= 3 * (64 * 1024 + 2 * 2048), "{used}");
    world.wait(Duration::from_secs(400));
    assert_eq!(world.stack.gauges().pool_used_bytes, 0);
}

#[test]
fn what_was_acknowledged_before_proves_nothing_of_what_is_kept_aside() {
    let mut world = stamped();
    // It begins before what the challenge acknowledges, and its timestamp is far away.
    data(&mut world, 99, "EVILEVIL", &stamp(1000 + (1 << 31), 2000));
    world.play("S> . 301 101");
    data(&mut world, 101, "good", &stamp(1001, 2000));
    world.play("S> . 301 105");
    assert_eq!(world.received(Side::Server), "good");
}

#[test]
fn what_bytes_explain_that_are_not_doubtful_proves_nothing_of_what_is_kept_aside() {
    let mut world = stamped();
    let old = |world: &World, payload: &str, options: &[u8]| {
        let frame = FrameBuilder::between(world.client, world.server).flags("P.").seq(103, 1);
        frame.payload(payload.as_bytes()).tcp_options(options)
    };
    let frame = old(&world, "EVIL", &stamp(5000, 2000));
    world.send(&frame);
    data(&mut world, 101, "good", &stamp(1001, 2000));
    world.play("S> . 301 105");
    data(&mut world, 105, " still", &stamp(1002, 2000));
    world.play("S> . 301 111");
    assert_eq!(world.received(Side::Server), "good still");
}

#[test]
fn a_reset_without_ack_proves_no_gap() {
    let mut world = established();
    world.play("C> F. 101 302\n S> R 302");
    assert_eq!(world.flow().sides.client.buffer.gaps, 0);
}

#[test]
fn another_copy_within_what_is_kept_aside_is_no_repetition() {
    let mut world = established();
    world.events();
    world.play("C> P. 101 300 EVIL\n C> P. 101 299 good\n S> . 301 105");
    assert!(world.events().contains("server conflict 0+4 EVIL good"));
}

#[test]
fn a_fin_that_is_kept_aside_waits_for_its_own_acknowledgement() {
    let mut world = established();
    world.play("C> F. 101 801\n S> . 301 101\n S> . 301 102");
    assert_eq!(world.states(), "FIN-WAIT-2 CLOSE-WAIT");
    assert_eq!(world.flow().sides.server.buffer.gaps, 0);
}

#[test]
fn bytes_behind_a_fin_count_when_they_are_acknowledged() {
    let mut world = established();
    world.play("C> F. 101 301\n C> P. 101 301 goes on\n S> . 301 108");
    assert_eq!(world.received(Side::Server), "goes on");
    assert_eq!(world.states(), "ESTABLISHED ESTABLISHED");
}

#[test]
fn another_byte_that_was_not_acknowledged_is_no_keepalive() {
    let mut world = established();
    world.events();
    world.play("C> P. 101 301 E\n C> P. 101 301 g\n S> . 301 102");
    assert!(world.events().contains("server conflict 0+1 E g"));
}

#[test]
fn an_empty_segment_before_the_handshake_is_complete_moves_nothing() {
    let mut world = World::new();
    world.play("C> S 100\n S> S. 290 101 E\n S> . 301 101\n S> S. 300 101\n C> . 101 301");
    world.play("S> P. 301 101 good\n C> . 101 305");
    assert_eq!(world.received(Side::Client), "good");
}

#[test]
fn what_was_under_way_before_a_reset_is_acknowledged_behind_it() {
    let mut world = established();
    world.play("C> P. 101 301 good\n C> R 105\n S> . 301 105");
    assert_eq!(world.flow().sides.client.acknowledged.map(|offset| offset.0), Some(4));
}

#[test]
fn a_fin_within_payload_that_is_kept_aside_is_no_repetition_of_it() {
    let mut world = established();
    world.play("C> FP. 101 300 EVILEVIL\n C> F. 101 300\n S> . 301 102");
    assert_eq!(counted(&world, Suspicion::Fin), 1);
}

#[test]
fn bytes_in_the_place_of_a_fin_are_a_copy_of_what_comes_there_later() {
    let mut world = established();
    world.events();
    // The byte was taken, and the FIN was not: the stream goes on behind it.
    world
        .play("C> P. 101 300 E\n C> F. 101 301\n S> . 301 102\n C> P. 101 301 good\n S> . 301 105");
    assert!(world.events().contains("server conflict 0+1 E g"));
    assert_eq!(world.states(), "ESTABLISHED ESTABLISHED");
}

#[test]
fn the_same_conflict_and_the_same_doubt_of_a_fin_are_told_once() {
    let mut world = established();
    world.events();
    world.play("C> P. 101 300 EVILEVIL\n C> P. 101 301 good\n C> F. 105 301");
    world.play("S> . 301 105\n S> . 301 106\n S> . 301 106\n S> . 301 106");
    assert_eq!(world.events().matches("conflict").count(), 1);
    assert_eq!(world.flow().sides.server.buffer.conflicting_bytes, 4);
    assert_eq!(counted(&world, Suspicion::Fin), 1);
}

#[test]
fn behind_any_number_of_syns_the_answer_that_is_acknowledged_begins_the_connection() {
    let mut world = World::new();
    world.play("C> S 100");
    for forged in 0..5 {
        world.play(&format!("C> S {}", 7000 + 100 * forged));
    }
    world.play("S> S. 300 101\n C> . 101 301\n C> P. 101 301 good\n S> . 301 105");
    assert_eq!(world.received(Side::Server), "good");
    assert_eq!(world.states(), "ESTABLISHED ESTABLISHED");
}

#[test]
fn after_two_fins_what_is_acknowledged_behind_one_of_them_shows_that_it_was_none() {
    let mut world = established();
    world.play("S> F. 301 101\n C> F. 101 302\n S> . 302 102\n C> P. 101 302 good\n S> . 302 105");
    assert_eq!(world.received(Side::Server), "good");
}

#[test]
fn behind_a_fin_another_one_ends_the_stream_that_goes_on() {
    let mut world = established();
    world.play("C> P. 101 301 good\n C> F. 105 301\n C> P. 105 301 more\n C> F. 109 301");
    world.play("S> . 301 110");
    assert_eq!(world.received(Side::Server), "goodmore");
    assert_eq!(world.states(), "FIN-WAIT-2 CLOSE-WAIT");
    // The nearer one came later, and the stream went over it.
    let mut world = established();
    world.play("C> F. 109 301\n C> P. 101 301 good\n C> F. 105 301\n C> P. 105 301 more");
    world.play("S> . 301 110");
    assert_eq!(world.received(Side::Server), "goodmore");
    assert_eq!(world.states(), "FIN-WAIT-2 CLOSE-WAIT");
}

#[test]
fn what_the_receiver_holds_takes_no_place_of_what_is_kept_aside() {
    let mut world = established();
    world.events();
    world.play("C> P. 101 301 good\n C> P. 101 300 EVIL");
    for length in 1..=4 {
        // Honest, though it acknowledges too little: copies of what is held, and what follows.
        world.play(&format!("C> P. 101 300 {}", &"good"[..length]));
        world.play(&format!("C> P. 101 300 good{}", &"more"[..length]));
    }
    world.play("S> . 301 109");
    assert!(world.events().contains("server conflict 0+4 good EVIL"));
    assert_eq!(world.received(Side::Server), "goodmore");
}

#[test]
fn a_claim_of_what_was_kept_aside_is_no_loss() {
    let mut world = established();
    world.play("S> . 301 102\n S> R 301\n C> F. 101 301\n S> F. 301 101\n C> . 102 302");
    world.play("S> . 302 102");
    assert_eq!(world.flow().sides.server.buffer.gaps, 0);
}

#[test]
fn what_was_acknowledged_had_room() {
    // A forged acknowledgement has moved the window away: each side's answer proves the other's.
    let mut world = established();
    world.play("C> P. 101 301 good\n S> . 301 105");
    let forged = FrameBuilder::between(world.server, world.client);
    let forged = forged.flags(".").seq(301, 60_000).window(0);
    world.send(&forged);
    world.play("C> P. 105 301 more\n S> P. 301 109 well\n C> . 109 305\n S> . 305 109");
    assert_eq!((world.received(Side::Server), world.received(Side::Client)).0, "goodmore");
    assert_eq!(world.received(Side::Client), "well");
}

#[test]
fn a_fin_that_was_acknowledged_had_room_of_its_own() {
    let mut world = stamped();
    data(&mut world, 101, "good", &stamp(1001, 2000));
    // A forged timestamp lies ahead, so that the client's windows are not heard any more.
    data(&mut world, 101, "", &stamp(1501, 2000));
    let says = |world: &mut World, flags, seq, payload: &[u8]| {
        let frame = FrameBuilder::between(world.server, world.client).flags(flags);
        let frame = frame.seq(seq, 101).payload(payload).tcp_options(&stamp(2001, 1000));
        world.send(&frame);
    };
    let room = vec![b'x'; 65_535];
    says(&mut world, "P.", 301, &room[..1400]);
    says(&mut world, "F.", 301 + 65_535, b"");
    let answer = FrameBuilder::between(world.client, world.server).flags(".");
    world.send(&answer.seq(105, 301 + 65_536).tcp_options(&stamp(1002, 2001)));
    let last = FrameBuilder::between(world.server, world.client).flags(".");
    world.send(&last.seq(301 + 65_536, 105).tcp_options(&stamp(2002, 1002)));
    assert_eq!(world.flow().sides.client.acknowledged.map(|offset| offset.0), Some(4));
}
