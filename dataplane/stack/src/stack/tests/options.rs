//! Options that change while data flow, and stopping.

use super::*;

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
    assert_eq!(checked.map(|applied| (applied.revision, applied.unchanged)), Ok((0, false)));
    assert_eq!(world.flow(), before);
}

#[test]
fn a_check_tells_what_the_change_will_do_and_the_revision_in_force() {
    let mut world = established();
    world.play("C> P. 101 301 abc\n S> P. 301 104 xyz");
    for (change, discarded_bytes) in [
        (buffers(Some(65_536), Some(4096)), 0),
        (buffers(Some(0), None), 3),
        (stop(StopScope::Server), 3),
    ] {
        let revision = world.flow().revision;
        let checked = world.stack.check_sock_opt(world.id(), &change, Some(revision));
        let checked = checked.expect("it is allowed");
        assert_eq!((checked.revision, checked.discarded_bytes), (revision, discarded_bytes));
        assert_eq!(world.flow().revision, revision);
        let applied = set(&mut world, &change).expect("it is allowed");
        assert_eq!(applied, Applied { revision: revision + 1, ..checked });
    }
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
fn stopping_a_side_frees_what_is_kept_aside_for_it_and_keeps_no_more() {
    let mut world = established();
    let doubtful = |world: &mut World, seq, flags| {
        let frame = FrameBuilder::between(world.client, world.server).flags(flags).seq(seq, 801);
        world.send(&frame.payload(&[b'x'; 1000]));
    };
    doubtful(&mut world, 101, "P.");
    assert!(world.stack.gauges().pool_used_bytes > 0);
    set(&mut world, &stop(StopScope::Server)).expect("stopped");
    assert_eq!(world.stack.gauges().pool_used_bytes, 0);
    doubtful(&mut world, 1101, "F.");
    assert_eq!(world.stack.gauges().pool_used_bytes, 0);
    // The flow is still followed.
    world.play("S> . 301 2102\n S> F. 301 2102\n C> . 2102 302\n +1100");
    assert_eq!(world.ended.flows[0].1, Some(EndCause::Fin));
    assert_eq!(world.stack.stats().get(Stat::Gaps), 0);
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
        assert_eq!(world.ended.flows.len(), 1);
        assert_eq!(world.ended.flows[0].1, Some(EndCause::Stopped));
        assert_eq!(world.stack.gauges().pool_used_bytes, 0);
        assert!(world.stack.find(world.client, world.server, None).is_empty());
        world.play("C> P. 104 301 def\n S> . 301 107");
        assert_eq!(world.stack.stats().get(Stat::PacketsStopped), 2);
        let again =
            world.stack.set_sock_opt(id, &stop(StopScope::Both), None, world.now, &mut world.ended);
        assert_eq!(again.map(|applied| applied.unchanged), Ok(true));
        // The tombstone goes with the connection, and is not reported twice.
        world.play("C> R 107\n +1100");
        assert_eq!((world.ended.flows.len(), world.stack.gauges().flows), (1, 0));
    }
}
