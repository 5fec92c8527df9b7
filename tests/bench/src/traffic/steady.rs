//! T1, the steady state, and T3, the connection storm, which is the same without data: slots in
//! random phase that take turns, one packet each.
//!
//! ```text
//! S  S.  .  | P. client  P. server  ...  (each acknowledges all before) | F.  F.  .
//! ```

use mos_stack::Side;

use super::{
    Shape, Traffic,
    payload::mix,
    step::{Script, Step},
};

/// The traffic. Every flow has the same steps.
#[derive(Debug)]
pub struct Steady {
    slots: Vec<Slot>,
    next: usize,
    steps: Vec<Step>,
}

/// Runs one flow after another.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Flows before this one.
    turn: u32,
    /// The next segment. If negative, the turns to wait before the first flow begins: these give
    /// the slots their random phases.
    step: i32,
}

/// The steps of every flow: `data_segments` of `payload` bytes, from the client and the server in
/// turn.
pub(super) fn steps(payload: u16, data_segments: u32) -> Vec<Step> {
    let mut script = Script::default();
    script.open();
    for nth in 0..data_segments {
        script.data(if nth.is_multiple_of(2) { Side::Client } else { Side::Server }, payload);
    }
    script.close();
    script.steps
}

/// The bytes of the longer of the two streams.
pub(super) fn stream_bytes(steps: &[Step]) -> u64 {
    steps.iter().map(|step| step.seq.bytes.max(step.ack.bytes).into()).max().unwrap_or_default()
}

impl Steady {
    /// `flows` flows at once, of `data_segments` segments of `payload` bytes each.
    #[must_use]
    pub fn new(flows: u32, payload: u16, data_segments: u32) -> Self {
        let steps = steps(payload, data_segments);
        let slot = |slot| {
            let wait = mix(u64::from(slot)) % steps.len() as u64;
            Slot { turn: 0, step: -i32::try_from(wait).unwrap_or_default() }
        };
        Self { slots: (0..flows.max(1)).map(slot).collect(), next: 0, steps }
    }
}

impl Traffic for Steady {
    fn next_frame(&mut self, out: &mut [u8]) -> Option<usize> {
        loop {
            let index = self.next;
            self.next = if index + 1 == self.slots.len() { 0 } else { index + 1 };
            let slot = &mut self.slots[index];
            let Slot { turn, step } = *slot;
            slot.step += 1;
            let Ok(step) = usize::try_from(step) else { continue };
            if step + 1 == self.steps.len() {
                *slot = Slot { turn: turn.wrapping_add(1), step: 0 };
            }
            let index = u32::try_from(index).unwrap_or_default();
            return Some(self.steps[step].of_flow(index, turn).write(out));
        }
    }

    fn shape(&self) -> Shape {
        let flows = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let life_frames = u64::from(flows) * self.steps.len() as u64;
        Shape::orderly(flows, stream_bytes(&self.steps), life_frames)
    }
}
