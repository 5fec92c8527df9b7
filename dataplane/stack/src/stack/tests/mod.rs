//! Stories of single flows, told as scripts.

use core::{net::SocketAddr, time::Duration};
use std::{format, string::String, vec, vec::Vec};

use super::*;
use crate::{
    Applied, Fact, FlowId, FlowSummary, Frame, LookupError, OptionsOrigin, OverlapPolicy,
    PeekError, Side, Sides, SockOptChange, SockOptError, SockOptName, SockOptNames, Stat,
    StopScope, TcpState,
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

/// Plays a script after the handshake and compares the events, leading white space apart.
#[track_caller]
fn check(world: &mut World, script: &str, events: &str) {
    world.events();
    world.play(script);
    let expected: Vec<_> = events.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(world.events(), expected.join("\n"));
}

mod attack;
mod closings;
mod events;
mod frames;
mod fuzz;
mod handshakes;
mod lessons;
mod lifetimes;
mod options;
mod policies;
mod properties;
mod states;
mod streams;
mod truth;
mod unmonitored;
