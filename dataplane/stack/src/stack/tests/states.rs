//! The states of both sides under every kind of segment, as a table that is committed.
//!
//! A search finds the shortest story to each pair of states and goes on from there with every
//! segment that either side may send: the numbers are always right, the flags never matter.

use std::{
    collections::{BTreeMap, VecDeque},
    format,
    string::String,
    vec::Vec,
};

use super::*;
use crate::testing::check_snapshot;

/// As tcpdump prints them; the last two are what nobody sends.
const FLAGS: [&str; 9] = ["S", "S.", ".", "P.", "F.", "R", "R.", "F", "SF"];

const SPEAKERS: [(&str, Side); 2] = [("C", Side::Client), ("S", Side::Server)];

/// A story so far: what was said, and where each side's numbers stand.
#[derive(Debug, Clone)]
struct Story {
    script: String,
    first: Sides<u32>,
    next: Sides<u32>,
    has_closed: Sides<bool>,
}

impl Story {
    fn beginning() -> Self {
        let first = Sides { client: 100, server: 300 };
        let next = Sides { client: 101, server: 301 };
        Self { script: String::new(), first, next, has_closed: Sides::default() }
    }

    /// The story with one segment more. A SYN or FIN that was sent before is repeated.
    fn with(&self, who: &str, by: Side, flags: &str) -> Self {
        let mut story = self.clone();
        let closes = flags.contains('F');
        let seq = match (flags.contains('S'), closes && self.has_closed[by]) {
            (true, _) => self.first[by],
            (false, true) => self.next[by] - 1,
            (false, false) => self.next[by],
        };
        let ack = if flags.contains('.') { self.next[by.peer()] } else { 0 };
        let payload = if flags.contains('P') { "data" } else { "" };
        story.script += &format!("{who}> {flags} {seq} {ack} {payload}\n");
        if flags.contains('P') {
            story.next[by] += 4;
        }
        if closes && !self.has_closed[by] && !flags.contains('S') {
            story.has_closed[by] = true;
            story.next[by] += 1;
        }
        story
    }

    /// What the stack makes of it: both states, or that there is no flow.
    fn told(&self) -> (World, String) {
        let mut world = World::new();
        world.play(&self.script);
        let flow = world.stack.find(world.client, world.server, None).first().copied();
        let states = flow.map_or_else(
            || String::from("none"),
            |flow| {
                let told = [flow.sides.client.state, flow.sides.server.state];
                // Of a flow that the server's SYN has begun, the server is the client.
                let told =
                    if flow.tuple.client == world.client { told } else { [told[1], told[0]] };
                format!("{} {}", told[0], told[1])
            },
        );
        (world, states)
    }
}

/// One line for each pair of states, speaker and flags.
fn table() -> String {
    let mut known = BTreeMap::from([(String::from("none"), Story::beginning())]);
    let mut waiting = VecDeque::from([String::from("none")]);
    let mut lines = Vec::new();
    while let Some(before) = waiting.pop_front() {
        let story = known[&before].clone();
        let refused = |world: &World| {
            let suspicious =
                Stat::ALL.into_iter().filter(|stat| stat.name().0 == "suspicious_segments");
            suspicious.map(|stat| world.stack.stats().get(stat)).sum::<u64>()
        };
        let refused_before = refused(&story.told().0);
        let said = SPEAKERS.iter().flat_map(|by| FLAGS.map(|flags| (by, flags)));
        for ((who, by), flags) in said {
            let next = story.with(who, *by, flags);
            let (world, after) = next.told();
            let reused = world.stack.stats().get(Stat::FlowsStarted) > 1;
            let note = match (reused, refused(&world) > refused_before) {
                (true, _) => "  another flow",
                (false, true) => "  not believed",
                (false, false) => "",
            };
            lines.push(format!("{before:26} {who} {flags:2}  {after}{note}\n"));
            if !reused && !known.contains_key(&after) {
                known.insert(after.clone(), next);
                waiting.push_back(after);
            }
        }
    }
    lines.concat()
}

#[test]
fn every_pair_of_states_takes_every_segment_as_the_table_says() {
    let header = "# client and server before, who says what, client and server after\n";
    check_snapshot("src/stack/tests/states.txt", &format!("{header}{}", table()));
}
