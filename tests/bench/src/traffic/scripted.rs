//! Flows that differ from each other: T2, disorder, and T4, mixed sizes. Slots in random phase take
//! turns, one packet each. The script of a flow is written when the flow begins.

use mos_stack::Side;

use super::{
    Shape, Traffic,
    payload::mix,
    steady::steps,
    step::{Script, Step},
};

/// The conversation in a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// As T1, with 20 segments of data.
    Even {
        /// Bytes of each segment.
        payload: u16,
    },
    /// One to three requests, each answered by segments of 6, 536 and 1460 bytes in the ratio 7 : 4
    /// : 1. Every other segment is acknowledged.
    Mixed,
}

/// Numbers per 1000 data segments that are moved, dropped or repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disorder {
    /// Moved by one to three places.
    pub late: u32,
    /// Dropped, but acknowledged by the other side.
    pub lost: u32,
    /// Sent twice.
    pub twice: u32,
}

/// The traffic.
#[derive(Debug)]
pub struct Scripted {
    talk: Talk,
    disorder: Disorder,
    slots: Vec<Slot>,
    next: usize,
}

/// Runs one flow after another.
#[derive(Debug)]
struct Slot {
    /// Flows begun, this one included.
    turn: u32,
    /// Turns to wait before the first flow begins.
    wait: u64,
    script: Script,
    next: usize,
}

/// Typical number of steps of a flow: the range of the phases.
const LIFE: u64 = 26;

/// Steps of the longest flow, with room for repeated ones.
const STEPS_MAX: usize = 72;

/// Bytes of a request.
const REQUEST: u16 = 120;

/// Segments of a response, at most.
const RESPONSE_MAX: u64 = 12;

/// Requests of a flow, at most.
const REQUESTS_MAX: u64 = 3;

impl Scripted {
    /// `flows` flows at once.
    #[must_use]
    pub fn new(flows: u32, talk: Talk, disorder: Disorder) -> Self {
        // The memory for the longest script is allocated and touched here, so that nothing grows
        // later.
        let slot = |slot| Slot {
            wait: mix(u64::from(slot)) % LIFE,
            script: Script::of_length(STEPS_MAX),
            next: STEPS_MAX,
            turn: 0,
        };
        Self { talk, disorder, slots: (0..flows.max(1)).map(slot).collect(), next: 0 }
    }
}

impl Traffic for Scripted {
    fn next_frame(&mut self, out: &mut [u8]) -> Option<usize> {
        loop {
            let index = self.next;
            self.next = if index + 1 == self.slots.len() { 0 } else { index + 1 };
            let number = u32::try_from(index).unwrap_or_default();
            let slot = &mut self.slots[index];
            if slot.wait > 0 {
                slot.wait -= 1;
                continue;
            }
            if slot.next == slot.script.steps.len() {
                (slot.next, slot.turn) = (0, slot.turn.wrapping_add(1));
                let mut random = Random::new(number, slot.turn);
                write(&mut slot.script, self.talk, &mut random);
                disturb(&mut slot.script.steps, self.disorder, &mut random);
            }
            let step = slot.script.steps[slot.next];
            slot.next += 1;
            return Some(step.of_flow(number, slot.turn).write(out));
        }
    }

    fn shape(&self) -> Shape {
        let flows = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let stream_bytes = match self.talk {
            Talk::Even { payload } => 10 * u64::from(payload),
            Talk::Mixed => REQUESTS_MAX * RESPONSE_MAX * 1460,
        };
        Shape::orderly(flows, stream_bytes, u64::from(flows) * LIFE)
    }
}

/// Random numbers that belong to one flow.
#[derive(Debug)]
struct Random(u64);

impl Random {
    const fn new(slot: u32, turn: u32) -> Self {
        Self(mix(super::flow_number(slot, turn)))
    }

    /// A number below `bound`.
    const fn below(&mut self, bound: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % bound
    }
}

fn write(script: &mut Script, talk: Talk, random: &mut Random) {
    script.open();
    match talk {
        Talk::Even { payload } => {
            script.steps.clear();
            script.steps.extend(steps(payload, 20));
            return;
        }
        Talk::Mixed => {
            for _ in 0..=random.below(REQUESTS_MAX) {
                exchange(script, random);
            }
        }
    }
    script.close();
}

/// A request and its response.
fn exchange(script: &mut Script, random: &mut Random) {
    script.data(Side::Client, REQUEST);
    let segments = 1 + random.below(RESPONSE_MAX);
    for nth in 0..segments {
        script.data(
            Side::Server,
            match random.below(12) {
                0..7 => 6,
                7..11 => 536,
                _ => 1460,
            },
        );
        if nth % 2 == 1 || nth + 1 == segments {
            script.acknowledge(Side::Client);
        }
    }
}

/// Moves, drops and repeats segments of data, none of them past the last segment.
fn disturb(steps: &mut Vec<Step>, disorder: Disorder, random: &mut Random) {
    let last = steps.len().saturating_sub(1) * 2;
    let mut placed = Vec::with_capacity(steps.len() + 4);
    for (nth, step) in steps.drain(..).enumerate() {
        // Segments have even places. A late or repeated one takes the odd place after another
        // segment.
        let place = 2 * nth;
        let behind = |places: u64| {
            (place + 1 + 2 * usize::try_from(places).unwrap_or_default()).min(last.max(1) - 1)
        };
        let fate = |random: &mut Random, share| step.is_data() && random.below(1000) < share;
        if fate(random, disorder.lost.into()) {
            continue;
        }
        let is_late = fate(random, disorder.late.into());
        placed.push((if is_late { behind(1 + random.below(3)) } else { place }, step));
        if fate(random, disorder.twice.into()) {
            placed.push((behind(1), step));
        }
    }
    placed.sort_by_key(|(place, _)| *place);
    steps.extend(placed.into_iter().map(|(_, step)| step));
}
