//! How long flows live, and which go first when room is needed.

use super::*;

#[test]
fn silence_ends_each_flow_on_its_own_time() {
    let mut world = World::new();
    world.play("C> S 100\n +9900");
    assert_eq!(world.stack.gauges().flows, 1);
    world.play("+200");
    assert_eq!(world.ended.flows[0].1, Some(EndCause::Timeout));
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
    assert_eq!(world.ended.flows[0].1, Some(EndCause::Timeout));
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
fn finishing_reports_open_flows_without_a_cause() {
    let mut world = established();
    world.stack.finish(&mut world.ended);
    assert_eq!(world.ended.flows[0].1, None);
    assert_eq!(world.stack.gauges().flows, 0);
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

#[test]
fn ended_flows_give_their_memory_to_others_before_any_byte_is_refused() {
    let mut limits = Limits { pool_bytes: 1 << 20, ..Limits::default() };
    limits.timeouts.time_wait = Duration::MAX;
    let mut world = World::with(limits);
    for port in 1..=300 {
        world.client.set_port(port);
        world.play(HANDSHAKE);
        for n in 0..8 {
            let segment = FrameBuilder::between(world.client, world.server).flags("P.");
            world.send(&segment.seq(101 + 1000 * n, 301).payload(&[b'x'; 1000]));
        }
        world.play("C> R 8101");
    }
    assert_eq!(world.stack.stats().get(Stat::RefusedBytes), 0);
    let (first, cause, _) = &world.ended.flows[0];
    assert_eq!((first.tuple.client.port(), *cause), (1, Some(EndCause::Rst)), "the oldest first");
    let gauges = world.stack.gauges();
    assert!(gauges.flows > 50, "only as many as must: {}", gauges.flows);
}

#[test]
fn finishing_gives_all_memory_back_that_of_fragments_too() {
    let mut world = established();
    world.play("C> P. 101 301 held");
    let segment = FrameBuilder::between(world.client, world.server).flags("P.").seq(105, 301);
    world.receive(&segment.payload(&[b'x'; 900]).fragments(7, 96)[1]);
    assert!(world.stack.gauges().pool_used_bytes > 2048);
    world.stack.finish(&mut world.ended);
    assert_eq!(world.stack.gauges().pool_used_bytes, 0);
}
