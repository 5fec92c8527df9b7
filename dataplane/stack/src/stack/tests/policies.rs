//! Policies: what a flow begins with, what is not monitored at all, and who is the client.

use alloc::sync::Arc;
use std::{string::ToString as _, vec};

use super::*;
use crate::{
    SockOpts,
    policy::{Alternative, MatchCount, PolicyRule, PolicyTable, Ranges, Treatment},
};

/// A policy for flows to a port of the server.
fn to_port(port: u16, treatment: Treatment) -> PolicyRule {
    let mut alternative = Alternative::all();
    alternative.ends.server.ports = Ranges::of(port..=port);
    let matches = Arc::new(MatchCount::new(1));
    PolicyRule { alternatives: vec![alternative], treatment, matches }
}

fn small() -> SockOpts {
    SockOpts {
        buffer_bytes: Sides { client: 0, server: 2048 },
        overlap: Sides::both(OverlapPolicy::Last),
        stopped: None,
    }
}

fn give(world: &mut World, generation: u64, rules: &[PolicyRule]) {
    let table = PolicyTable::new(generation, rules.to_vec()).expect("a table");
    world.stack.set_policies(Some(Arc::new(table)));
}

/// A world whose flows go to port 80, with a policy for them.
fn treating(limits: Limits, treatment: Treatment) -> (World, Arc<MatchCount>) {
    let mut world = World::with(Limits { pool_bytes: 1 << 20, ..limits });
    let rule = to_port(80, treatment);
    give(&mut world, 1, core::slice::from_ref(&rule));
    (world, rule.matches)
}

fn count(world: &World, stat: Stat) -> u64 {
    world.stack.stats().get(stat)
}

#[test]
fn a_flow_begins_with_the_options_of_its_policy_and_others_with_the_defaults() {
    let (mut world, matches) = treating(Limits::default(), Treatment::Monitor(small()));
    world.play(HANDSHAKE);
    let flow = world.flow();
    assert_eq!((flow.options, flow.revision, flow.origin), (small(), 0, OptionsOrigin::Policy));
    world.play("C> P. 101 301 abc\n S> P. 301 104 xyz");
    assert_eq!(
        (world.received(Side::Server), world.received(Side::Client)),
        ("abc".into(), "".into())
    );
    set(&mut world, &buffers(Some(2048), None)).expect("changed");
    assert_eq!(world.flow().origin, OptionsOrigin::Explicit);
    world.server.set_port(81);
    world.play(HANDSHAKE);
    let other = world.flow();
    assert_eq!((other.options, other.origin), (SockOpts::default(), OptionsOrigin::Default));
    assert_eq!(matches.sum(), 1);
}

#[test]
fn flows_that_have_begun_keep_what_they_have() {
    let (mut world, matches) = treating(Limits::default(), Treatment::Monitor(small()));
    world.play("C> S 100");
    let generation = |world: &World| world.stack.gauges().policy_generation;
    assert_eq!(generation(&world), 1);
    give(&mut world, 2, &[to_port(80, Treatment::Exclude)]);
    world.play("S> S. 300 101\n C> . 101 301\n C> P. 101 301 abc");
    assert_eq!((world.flow().options, generation(&world)), (small(), 2));
    // The next connection of the tuple is another flow.
    world.play("C> R 104\n +1100\n C> S 900");
    assert!(world.stack.find(world.client, world.server, None).is_empty());
    assert_eq!(matches.sum(), 1);
}

#[test]
fn of_an_excluded_flow_nothing_is_kept_in_either_direction() {
    for adopt_midstream in [false, true] {
        let limits = Limits { adopt_midstream, ..Limits::default() };
        let (mut world, matches) = treating(limits, Treatment::Exclude);
        world.play(HANDSHAKE);
        world.play("C> P. 101 301 abc\n S> P. 301 104 xyz\n S> F. 304 104\n C> R 104");
        assert_eq!(world.events(), "");
        assert_eq!(
            (count(&world, Stat::PacketsExcluded), count(&world, Stat::FlowsStarted)),
            (7, 0)
        );
        assert_eq!((world.stack.gauges().flows, matches.sum()), (0, 1));
        world.server.set_port(81);
        world.play("C> P. 101 301 abc");
        let orphans = u64::from(!adopt_midstream);
        assert_eq!((count(&world, Stat::PacketsOrphan), matches.sum()), (orphans, 1));
    }
}

#[test]
fn a_flow_that_is_picked_up_begins_by_the_same_policies() {
    let limits = Limits { adopt_midstream: true, ..Limits::default() };
    let (mut world, matches) = treating(limits, Treatment::Monitor(small()));
    world.play("C> P. 101 301 abc");
    assert_eq!((world.flow().options, world.flow().origin), (small(), OptionsOrigin::Policy));
    let (mut world, _) = treating(Limits::default(), Treatment::Monitor(small()));
    world.play("S> S. 300 101");
    assert_eq!(world.flow().options, small(), "the sender of a SYN/ACK is the server");
    assert_eq!(matches.sum(), 0, "a match is a SYN");
}

#[test]
fn a_side_that_a_policy_stops_is_never_monitored() {
    let stopped = SockOpts {
        buffer_bytes: Sides { client: 0, server: 8192 },
        stopped: Some(StopScope::Client),
        ..SockOpts::default()
    };
    let (mut world, _) = treating(Limits::default(), Treatment::Monitor(stopped));
    world.play(HANDSHAKE);
    world.play("C> P. 101 301 abc\n S> P. 301 104 xyz\n C> . 104 304");
    let flow = world.flow();
    assert_eq!((flow.options, world.received(Side::Server)), (stopped, "abc".to_string()));
    assert_eq!(flow.sides.client.buffer.buffered_bytes, 0);
    let id = world.id();
    let peeked = world.stack.peek(id, Side::Client, None, &mut [0; 8]);
    assert_eq!(peeked, Err(PeekError::Stopped(Side::Client)));
}

#[test]
fn a_flow_that_a_policy_stops_ends_when_it_begins() {
    let stopped = SockOpts {
        buffer_bytes: Sides::both(0),
        stopped: Some(StopScope::Both),
        ..SockOpts::default()
    };
    let (mut world, matches) = treating(Limits::default(), Treatment::Monitor(stopped));
    world.play(HANDSHAKE);
    world.play("C> P. 101 301 abc\n C> R 104\n +1100");
    assert_eq!(world.events(), "flow_started\nflow_ended stopped");
    assert_eq!(
        (count(&world, Stat::PacketsStopped), count(&world, Stat::FlowsEndedStopped)),
        (5, 1)
    );
    assert_eq!((world.ended.flows.len(), world.stack.gauges().flows, matches.sum()), (1, 0, 1));
}
