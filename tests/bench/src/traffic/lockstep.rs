//! T5, all flows open at once, and the T3 whose flows all close together: one step of every flow,
//! then the next step of every flow, each time in another order.

use super::{
    Shape, Traffic,
    payload::mix,
    steady::{steps, stream_bytes},
    step::Step,
};

/// The traffic.
#[derive(Debug)]
pub struct Lockstep {
    flows: u32,
    steps: Vec<Step>,
    /// Completed lives of all flows.
    turn: u32,
    step: usize,
    /// Flows that have taken this step.
    taken: u32,
}

impl Lockstep {
    /// `flows` flows at once, of `data_segments` segments of `payload` bytes each.
    #[must_use]
    pub fn new(flows: u32, payload: u16, data_segments: u32) -> Self {
        let steps = steps(payload, data_segments);
        Self { flows: flows.max(1), steps, turn: 0, step: 0, taken: 0 }
    }

    fn advance(&mut self) {
        self.taken += 1;
        if self.taken == self.flows {
            (self.taken, self.step) = (0, self.step + 1);
        }
        if self.step == self.steps.len() {
            (self.step, self.turn) = (0, self.turn.wrapping_add(1));
        }
    }
}

impl Traffic for Lockstep {
    fn next_frame(&mut self, out: &mut [u8]) -> Option<usize> {
        let slot = shuffled(self.taken, self.flows, self.step as u64);
        let length = self.steps[self.step].of_flow(slot, self.turn).write(out);
        self.advance();
        Some(length)
    }

    fn shape(&self) -> Shape {
        let life_frames = u64::from(self.flows) * self.steps.len() as u64;
        // A step of all flows takes four seconds: ended flows are gone before all new ones have
        // begun, and no flow is idle long enough to time out.
        let frames_per_second = u64::from(self.flows).div_ceil(4);
        let stream_bytes = stream_bytes(&self.steps);
        Shape { frames_per_second, ..Shape::orderly(self.flows, stream_bytes, life_frames) }
    }
}

/// The number at place `at` in the permutation `order` of the numbers below `count`.
fn shuffled(at: u32, count: u32, order: u64) -> u32 {
    let bits = (u32::BITS - (count - 1).leading_zeros()).max(2);
    let mask = u32::MAX >> (u32::BITS - bits);
    let [low, high] = [mix(2 * order), mix(2 * order + 1)].map(|key| key.to_le_bytes());
    let word = |key: [u8; 8]| u32::from_le_bytes([key[0], key[1], key[2], key[3]]);
    let (first, second) = (word(low), word(high));
    let mut number = at;
    // Each pass permutes the numbers of `bits` bits. A number that is not below `count` takes
    // another pass.
    loop {
        for key in [first, second] {
            number = number.wrapping_mul(key | 1).wrapping_add(key >> 7) & mask;
            number ^= number >> (bits / 2);
        }
        if number < count {
            return number;
        }
    }
}
