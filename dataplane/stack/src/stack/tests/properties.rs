//! Properties of whole conversations: what may change without changing what the stack says.

use core::net::SocketAddr;

use proptest::prelude::*;
use std::{string::String, vec::Vec};

use super::*;
use crate::{
    SideSummary,
    tcp::prediction,
    testing::{Conversation, Dice, Ended, Faults},
};

/// Longest stream of one side, in bytes: fits into the buffers of [`world`] whole.
const STREAM_MAX: usize = 12_000;

fn world() -> World {
    let mut limits = Limits { flows_max: 4, half_open_max: 4, ..Limits::default() };
    limits.pool_bytes = 1 << 20;
    limits.defaults.buffer_bytes = Sides::both(16_384);
    World::with(limits)
}

fn faults() -> impl Strategy<Value = Faults> {
    (0..80u8, 0..60u8, 0..120u8).prop_map(|(loss, repeat, reorder)| Faults {
        loss,
        repeat,
        reorder,
    })
}

/// Addresses of the client and the server.
fn ends() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let ends = [("10.0.0.1:4000", "192.0.2.1:80"), ("[2001:db8::1]:4000", "[2001:db8::2]:80")];
    let parse = |text: &str| text.parse().expect("an address");
    prop::sample::select(ends.to_vec()).prop_map(move |(c, s)| (parse(c), parse(s)))
}

/// What the stack says of a conversation: its events, and what each side has received.
#[derive(Debug, PartialEq, Eq)]
struct Story {
    events: Vec<String>,
    received: [String; 2],
    /// What was heard of each side's stream, in stretches without a gap.
    heard: [Vec<(u64, String)>; 2],
    sides: [SideSummary; 2],
    cause: Option<EndCause>,
}

/// Plays frames to a fresh stack, those apart that the monitor misses.
fn story(frames: &[Vec<u8>], missed: impl Fn(usize) -> bool) -> Story {
    let mut world = world();
    for (_, frame) in frames.iter().enumerate().filter(|(at, _)| !missed(*at)) {
        world.receive(frame);
    }
    world.wait(Duration::from_secs(400));
    assert_eq!(world.stack.gauges().pool_used_bytes, 0);
    let (summary, cause, received) = world.ended.flows.pop().expect("the flow has ended");
    assert!(world.ended.flows.is_empty(), "one flow");
    let Sides { client, server } = summary.sides;
    let heard = Side::BOTH.map(|side| stretches(side, &world.ended.heard));
    Story { events: world.ended.events, received, heard, sides: [client, server], cause }
}

/// Events, flows that have ended, what was heard of streams, and the counters.
type Said = (
    Vec<String>,
    Vec<(FlowSummary, Option<EndCause>, [String; 2])>,
    Vec<(Side, u64, Vec<u8>)>,
    Stats,
);

/// What was heard of one side's stream: every byte once, and in order.
fn stretches(side: Side, heard: &[(Side, u64, Vec<u8>)]) -> Vec<(u64, String)> {
    let mut stretches: Vec<(u64, Vec<u8>)> = Vec::new();
    for (_, offset, bytes) in heard.iter().filter(|(of, ..)| *of == side) {
        assert!(!bytes.is_empty());
        match stretches.last_mut() {
            Some((start, heard)) if *start + heard.len() as u64 >= *offset => {
                assert_eq!(*start + heard.len() as u64, *offset, "no byte is heard twice");
                heard.extend_from_slice(bytes);
            }
            _ => stretches.push((*offset, bytes.clone())),
        }
    }
    stretches.into_iter().map(|(start, heard)| (start, text(&heard))).collect()
}

/// Everything that is said of frames that need not make one whole flow.
fn said(frames: &[Vec<u8>]) -> Said {
    let mut limits = Limits { flows_max: 4, half_open_max: 4, ..Limits::default() };
    limits.verify_checksums = false;
    limits.pool_bytes = 1 << 20;
    limits.defaults.buffer_bytes = Sides { client: 4096, server: 0 };
    let mut world = World::with(limits);
    for frame in frames {
        world.receive(frame);
    }
    world.wait(Duration::from_secs(400));
    let Ended { flows, events, heard, .. } = world.ended;
    (events, flows, heard, world.stack.stats().clone())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The same story with the sides exchanged.
fn exchanged(mut story: Story) -> Story {
    for event in &mut story.events {
        *event = match event.split_once(' ') {
            Some(("client", rest)) => format!("server {rest}"),
            Some(("server", rest)) => format!("client {rest}"),
            Some(_) | None => event.clone(),
        };
    }
    story.received.reverse();
    story.heard.reverse();
    story.sides.reverse();
    story
}

/// What follows the handshake, which tells the client from the server.
fn after_handshake(story: &Story) -> &[String] {
    let established = story.events.iter().position(|event| event == "flow_established");
    &story.events[established.expect("established")..]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Frames are missed, and bytes of TCP headers changed: prediction must not show.
    #[test]
    fn prediction_changes_nothing_that_is_said(
        seed: u64,
        faults in faults(),
        missed in prop::collection::vec(0..200usize, 0..4),
        changes in prop::collection::vec((0..200usize, 38..50usize, any::<u8>()), 0..12),
    ) {
        let (client, server) = ("10.0.0.1:4000", "192.0.2.1:80");
        let ends = (client.parse().expect("an address"), server.parse().expect("an address"));
        let mut frames = Conversation::new(seed, faults, STREAM_MAX).frames(ends.0, ends.1);
        for (index, at, value) in changes {
            let length = frames.len();
            frames[index % length][at] = value;
        }
        for index in missed {
            frames.remove(index % frames.len());
        }
        prop_assert!(said(&frames) == prediction::without(|| said(&frames)));
    }

    #[test]
    fn honest_conversations_are_received_whole_and_end_by_fin(
        seed: u64, faults in faults(), ends in ends(),
    ) {
        let conversation = Conversation::new(seed, faults, STREAM_MAX);
        let (client, server) = ends;
        let told = story(&conversation.frames(client, server), |_| false);
        let Sides { client, server } = &conversation.streams;
        prop_assert!(told.received == [text(server), text(client)]);
        let whole = |stream: &[u8]| Vec::from_iter((!stream.is_empty()).then(|| (0, text(stream))));
        prop_assert!(told.heard == [whole(server), whole(client)]);
        prop_assert_eq!(told.cause, Some(EndCause::Fin));
        let wrong = told.events.iter().find(|event| {
            event.contains("gap") || event.contains("conflict") || event.contains("overrun")
        });
        prop_assert_eq!(wrong, None);
    }

    #[test]
    fn exchanging_the_addresses_changes_no_event(
        seed: u64, faults in faults(), ends in ends(), missed in 0..40usize,
    ) {
        let conversation = Conversation::new(seed, faults, STREAM_MAX);
        let (client, server) = ends;
        // Which packets the monitor misses depends on their place alone.
        let misses = |at| at > 0 && Dice(seed ^ at as u64).below(256) < missed;
        let one = story(&conversation.frames(client, server), misses);
        let other = story(&conversation.frames(server, client), misses);
        prop_assert!(one == other, "{one:#?}\n{other:#?}");
    }

    #[test]
    fn exchanging_who_speaks_exchanges_the_sides(
        seed: u64, faults in faults(), ends in ends(),
    ) {
        let conversation = Conversation::new(seed, faults, STREAM_MAX);
        let (client, server) = ends;
        let one = story(&conversation.frames(client, server), |_| false);
        let other = conversation.with_roles_exchanged();
        let other = exchanged(story(&other.frames(client, server), |_| false));
        prop_assert_eq!(after_handshake(&one), after_handshake(&other));
        prop_assert!(one.received == other.received && one.heard == other.heard);
        prop_assert_eq!(one.cause, other.cause);
    }

    #[test]
    fn cutting_and_reordering_segments_changes_no_byte(
        seed: u64,
        faults in faults(),
        ends in ends(),
        cuts in prop::collection::vec((any::<u16>(), any::<u16>()), 1..12),
        swaps in prop::collection::vec(any::<u16>(), 0..12),
    ) {
        let mut conversation = Conversation::new(seed, faults, STREAM_MAX);
        let (client, server) = ends;
        let whole = story(&conversation.frames(client, server), |_| false);
        for (which, place) in cuts {
            cut(&mut conversation, usize::from(which), usize::from(place));
        }
        for which in swaps {
            swap(&mut conversation, usize::from(which));
        }
        let pieces = story(&conversation.frames(client, server), |_| false);
        prop_assert!(whole.received == pieces.received && whole.heard == pieces.heard);
        prop_assert_eq!(whole.cause, pieces.cause);
    }
}

/// Cuts one segment with payload in two.
fn cut(conversation: &mut Conversation, which: usize, place: usize) {
    let long: Vec<_> = (0..conversation.spoken.len())
        .filter(|at| conversation.spoken[*at].payload.len() > 1)
        .collect();
    let Some(at) = long.get(which % long.len().max(1)) else { return };
    let first = &mut conversation.spoken[*at];
    let place = 1 + place % (first.payload.len() - 1);
    let mut second = first.clone();
    second.payload = first.payload.split_off(place);
    second.seq += u32::try_from(place).expect("short");
    first.flags = "P.";
    conversation.spoken.insert(at + 1, second);
}

/// Exchanges two neighbours with payload of the same sender that acknowledge the same.
fn swap(conversation: &mut Conversation, which: usize) {
    let spoken = &mut conversation.spoken;
    let is_free = |at: &usize| {
        let (one, other) = (&spoken[*at], &spoken[*at + 1]);
        *at >= 3 && one.by == other.by && one.ack == other.ack
    };
    let free: Vec<_> = (0..spoken.len() - 1).filter(is_free).collect();
    if let Some(at) = free.get(which % free.len().max(1)) {
        spoken.swap(*at, *at + 1);
    }
}
