//! T1, the steady state: slots in random phase that take turns, one packet each.
//!
//! ```text
//! S  S.  .  | P. client  P. server  ...  (each acknowledges all before) | F.  F.  .
//! ```

use mos_stack::Side;

use super::{
    Shape, Traffic, endpoints, flow_number,
    frame::{Segment, flags},
    payload::{Stream, mix},
};

/// Segments of a flow that carry no data: three to open it, and three to close it.
const OVERHEAD: u32 = 6;

/// The traffic.
#[derive(Debug)]
pub struct Steady {
    slots: Vec<Slot>,
    next: usize,
    payload: usize,
    data_segments: u32,
}

/// Runs one flow after another.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Flows before this one.
    turn: u32,
    /// The segment that is next; negative: turns to wait before the first flow begins, which is
    /// what gives the slots their random phases.
    step: i32,
}

impl Steady {
    /// `flows` flows at once, of `data_segments` segments of `payload` bytes each.
    #[must_use]
    pub fn new(flows: u32, payload: usize, data_segments: u32) -> Self {
        let life = u64::from(data_segments + OVERHEAD);
        let slot = |slot| {
            let wait = mix(u64::from(slot)) % life;
            Slot { turn: 0, step: -i32::try_from(wait).unwrap_or_default() }
        };
        Self { slots: (0..flows.max(1)).map(slot).collect(), next: 0, payload, data_segments }
    }
}

impl Traffic for Steady {
    fn next_frame(&mut self, out: &mut [u8]) -> usize {
        loop {
            let index = self.next;
            self.next = if index + 1 == self.slots.len() { 0 } else { index + 1 };
            let slot = &mut self.slots[index];
            let Slot { turn, step } = *slot;
            slot.step += 1;
            let Ok(step) = u32::try_from(step) else { continue };
            if step + 1 == self.data_segments + OVERHEAD {
                *slot = Slot { turn: turn.wrapping_add(1), step: 0 };
            }
            let index = u32::try_from(index).unwrap_or_default();
            return segment(index, turn, step, self.data_segments, self.payload).write(out);
        }
    }

    fn shape(&self) -> Shape {
        let flows = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        Shape {
            flows,
            stream_bytes: u64::from(self.data_segments.div_ceil(2)) * self.payload as u64,
            life_frames: u64::from(flows) * u64::from(self.data_segments + OVERHEAD),
        }
    }
}

/// Segment `step` of the flow that `slot` runs in its turn `turn`.
fn segment(slot: u32, turn: u32, step: u32, data_segments: u32, payload: usize) -> Segment {
    let (client, server) = endpoints(slot, turn);
    let flow = flow_number(slot, turn);
    let (from_client, from_server) =
        (Stream::new(flow, Side::Client), Stream::new(flow, Side::Server));
    // Data segments sent before this one, of either side.
    let before = step.saturating_sub(3).min(data_segments);
    let is_data = (3..3 + data_segments).contains(&step);
    let sent_by_client = u64::from(before.div_ceil(2)) * payload as u64;
    let sent_by_server = u64::from(before / 2) * payload as u64;
    let closing = step.checked_sub(3 + data_segments);
    let is_clients = match (step, closing) {
        (_, Some(nth)) => nth != 1,
        (0 | 2, None) => true,
        (1, None) => false,
        (_, None) => before.is_multiple_of(2),
    };
    let bits = match (step, closing) {
        (0, _) => flags::SYN,
        (1, _) => flags::SYN | flags::ACK,
        (_, Some(0 | 1)) => flags::FIN | flags::ACK,
        _ if is_data => flags::PSH | flags::ACK,
        _ => flags::ACK,
    };
    // SYN and FIN take a number of their own.
    let client_extra = u32::from(step > 0) + u32::from(closing > Some(0));
    let server_extra = u32::from(step > 1) + u32::from(closing > Some(1));
    let client_at = number(from_client, sent_by_client, client_extra);
    let server_at = number(from_server, sent_by_server, server_extra);
    let (source, target, stream, offset, seq, ack) = if is_clients {
        (client, server, from_client, sent_by_client, client_at, server_at)
    } else {
        (server, client, from_server, sent_by_server, server_at, client_at)
    };
    let ack = if step == 0 { 0 } else { ack };
    let length = if is_data { payload } else { 0 };
    Segment { source, target, seq, ack, flags: bits, stream, offset, length }
}

/// The sequence number after so many bytes, which are few, and `extra` control bits.
fn number(stream: Stream, bytes: u64, extra: u32) -> u32 {
    let bytes = u32::try_from(bytes).unwrap_or_default();
    stream.initial_seq().wrapping_add(bytes).wrapping_add(extra)
}
