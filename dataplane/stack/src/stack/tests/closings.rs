//! How a connection ends: by FIN, and by a RST that is believed.

use super::*;

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
    let (_, cause, streams) = &world.ended.flows[0];
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
    assert_eq!(world.stack.stats().get(Stat::SuspiciousReset), 1);
    assert_eq!(world.play("C> R 101").states(), "CLOSED CLOSED");
    world.play("+1100");
    assert_eq!(world.ended.flows[0].1, Some(EndCause::Rst));
}

#[test]
fn a_refused_connection_ends_by_reset() {
    let mut world = World::new();
    world.play("C> S 100\n S> R. 0 101\n +1100");
    assert_eq!(world.ended.flows[0].1, Some(EndCause::Rst));
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
    assert_eq!(world.ended.flows[0].1, Some(EndCause::Rst));
}

#[test]
fn a_challenged_reset_ends_the_flow_when_it_is_repeated_exactly() {
    let mut world = established();
    world.play("C> P. 101 301 hello\n C> R 110\n S> . 301 106\n C> R 106");
    assert_eq!(world.states(), "CLOSED CLOSED");
}
