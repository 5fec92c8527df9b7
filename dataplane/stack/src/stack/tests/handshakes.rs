//! How a flow begins, and what does not begin one.

use super::*;

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
    assert_eq!(world.stack.stats().get(Stat::SuspiciousHandshakeAck), 1);
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
fn a_syn_on_a_live_connection_begins_another_flow_when_it_is_answered() {
    let mut world = established();
    let first = world.id();
    world.play("C> S 100\n C> S 3000000000\n S> . 301 101");
    assert_eq!(world.id(), first, "a challenge ACK is no answer");
    world.play("S> S. 9000 3000000001");
    assert_eq!(world.states(), "ESTABLISHED SYN-RECEIVED");
    assert_ne!(world.id(), first);
    assert_eq!(world.ended.flows[0].1, Some(EndCause::Reused));
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
fn a_connection_under_way_is_adopted_if_that_is_wanted() {
    let mut world = adopting();
    world.play("C> P. 5000 900 hello\n S> P. 900 5005 world");
    assert_eq!(world.states(), "ESTABLISHED ESTABLISHED");
    assert_eq!(world.received(Side::Server), "hello");
    assert_eq!(world.received(Side::Client), "world");
    world.play("C> F. 5005 905\n S> F. 905 5006\n C> . 5006 906");
    assert_eq!(world.states(), "TIME-WAIT CLOSED");
}

/// A stack that follows connections whose beginning it has not seen.
fn adopting() -> World {
    World::with(Limits { adopt_midstream: true, pool_bytes: 1 << 20, ..Limits::default() })
}

#[test]
fn a_lone_reset_is_a_flow_of_its_own_only_where_others_are_adopted() {
    let mut world = World::new();
    world.play("S> R 5000\n C> SR 100");
    assert_eq!(world.stack.stats().get(Stat::PacketsOrphan), 2);
    for flags in ["R", "R.", "SR"] {
        let mut world = adopting();
        world.play(&format!("S> {flags} 5000 900"));
        assert_eq!(world.flow().tuple.client, world.server, "who speaks first is the client");
        assert_eq!(world.states(), "CLOSED CLOSED");
        world.play("C> . 900 5001 stray\n +1100");
        assert_eq!(world.stack.stats().get(Stat::FlowsStarted), 1);
        assert_eq!(world.ended.flows[0].1, Some(EndCause::Rst));
    }
}

#[test]
fn a_late_copy_of_the_syn_belongs_to_its_flow_while_one_side_may_still_send() {
    let mut world = established();
    let id = world.id();
    world.play("C> F. 101 301\n S> P. 301 102 more\n C> S 100\n S> P. 305 102 and more");
    assert_eq!(world.id(), id);
    assert_eq!(world.received(Side::Client), "moreand more");
    // Another number is another connection when it is answered.
    world.play("C> S 105");
    assert_eq!(world.id(), id);
    world.play("S> S. 900 106");
    assert_ne!(world.id(), id);
    // Once both sides have closed, a higher number is at once.
    let mut world = established();
    let id = world.id();
    world.play("C> F. 101 301\n S> F. 301 102\n C> S 100");
    assert_eq!(world.id(), id, "the last FIN is not acknowledged");
    world.play("C> . 102 302\n C> S 100");
    assert_eq!(world.id(), id, "a stray copy, unless it is answered");
    world.play("C> S 103");
    assert_ne!(world.id(), id);
}

#[test]
fn a_fin_on_a_syn_does_not_close() {
    let mut world = World::new();
    assert_eq!(world.play("C> SF 100").states(), "SYN-SENT SYN-RECEIVED");
    world.play("C> S 100\n S> SF. 300 101\n C> . 101 301\n C> P. 101 301 hidden?");
    assert_eq!(world.stack.stats().get(Stat::FlowsStarted), 1);
    assert_eq!(world.states(), "ESTABLISHED ESTABLISHED");
    assert_eq!(world.received(Side::Server), "hidden?");
}

#[test]
fn a_reset_on_a_syn_is_a_reset_and_kills_nothing_blindly() {
    let mut world = established();
    let id = world.id();
    world.play("C> SR 3000000000\n C> SR 7");
    assert_eq!((world.id(), world.states().as_str()), (id, "ESTABLISHED ESTABLISHED"));
    assert_eq!(world.stack.stats().get(Stat::SuspiciousReset), 2);
    assert_eq!(world.play("C> SR 101").states(), "CLOSED CLOSED");
}

#[test]
fn a_syn_behind_the_first_byte_of_its_stream_begins_no_other_flow() {
    let mut world = adopting();
    world.play("C> P. 101 301 early\n S> . 301 106");
    let id = world.id();
    world.play("C> S 100\n S> S. 300 101\n C> P. 106 301 late");
    assert_eq!(world.id(), id);
    assert_eq!(world.received(Side::Server), "earlylate");
}

#[test]
fn a_syn_ack_is_not_judged_by_a_syn_that_was_not_seen() {
    let mut world = adopting();
    world.play("C> . 222 2186\n S> F. 308 222\n S> S. 300 101\n S> P. 301 101 message");
    assert_eq!(world.received(Side::Client), "message");
}

#[test]
fn a_handshake_that_was_acknowledged_does_not_move() {
    let mut world = established();
    world.play("S> S. 9000 101\n C> P. 101 301 hello\n S> P. 301 106 world");
    assert_eq!(world.received(Side::Server), "hello");
    assert_eq!(world.received(Side::Client), "world");
    assert_eq!(world.stack.stats().get(Stat::SuspiciousSyn), 1);
}

#[test]
fn a_syn_that_comes_after_its_fin_still_begins_the_stream() {
    let mut world = adopting();
    world.play("C> . 101 309\n S> F. 308 101\n S> S. 300 101\n S> P. 301 101 message");
    assert_eq!(world.received(Side::Client), "message");
    assert_eq!(world.states(), "CLOSE-WAIT FIN-WAIT-1");
}

#[test]
fn a_syn_after_a_long_silence_is_no_late_copy() {
    let mut limits = Limits { pool_bytes: 1 << 20, ..Limits::default() };
    (limits.timeouts.idle, limits.timeouts.closing) = (Duration::MAX, Duration::MAX);
    // The flow's own number while one side may still send; another one in the window.
    for (script, seq) in [("C> F. 101 301", 100), ("C> P. 101 301 abc", 5000)] {
        for (seconds, is_new) in [(239, false), (240, true)] {
            let mut world = World::with(limits);
            world.play(HANDSHAKE).play(script);
            let id = world.id();
            world.now = world.now.after(Duration::from_secs(seconds));
            world.play(&format!("C> S {seq}"));
            assert_eq!(world.id() != id, is_new, "{script:?} {seconds} s");
        }
    }
}
