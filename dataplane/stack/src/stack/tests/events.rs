//! What is told, in which order.

use super::*;

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
    assert!(place("server new_data 0..10") < place("flow_ended rst"), "{events}");
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
        S> . 301 120
        C> . 120 301",
        "server new_data 0..6
        server conflict 2+4 cdef XdYZgh first
        server new_data 6..8
        server suspicious ack_not_sent
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
fn a_flow_stopped_in_its_handshake_is_never_told_to_be_established() {
    let mut world = World::new();
    check(&mut world, "C> S 100", "flow_started\n client SYN-SENT\n server SYN-RECEIVED");
    set(&mut world, &stop(StopScope::Both)).expect("stopped");
    check(&mut world, "S> S. 300 101\n C> . 101 301\n C> P. 101 301 late", "");
}

#[test]
fn orphans_are_told() {
    check(&mut World::new(), "C> . 101 301 hello", "orphan_packet");
}
