//! The traffic of the benchmarks, made from a seed: the same every time.
//!
//! All checksums are valid, all addresses private. A generator has no clock.

mod flood;
pub mod frame;
mod lockstep;
pub mod payload;
mod recorded;
mod scripted;
mod steady;
mod step;

pub use flood::{Flood, Flooding};
pub use lockstep::Lockstep;
pub use recorded::Recorded;
pub use scripted::{Disorder, Scripted, Talk};
pub use steady::Steady;

use std::time::Duration;

use mos_stack::Limits;

/// A stream of frames.
pub trait Traffic: Send {
    /// Writes the next frame to the beginning of `out`, which has room for [`Self::frame_max`]
    /// bytes. Returns its length; `None` if the traffic has ended: the next call begins it again.
    fn next_frame(&mut self, out: &mut [u8]) -> Option<usize>;

    /// Length of the longest frame, in bytes.
    fn frame_max(&self) -> usize {
        frame::FRAME_MAX
    }

    /// The size of the traffic.
    fn shape(&self) -> Shape;
}

/// The size of a traffic, by which a stack is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Flows open at the same time.
    pub flows: u32,
    /// Bound of the half-open flows; `None` if it does not matter.
    pub half_open_max: Option<u32>,
    /// Bytes that one side of a flow sends, at most.
    pub stream_bytes: u64,
    /// Frames of one life of all flows. After these, every flow has begun; after twice as many,
    /// each has ended once.
    pub life_frames: u64,
    /// Frames per second on the stack's clock.
    pub frames_per_second: u64,
}

impl Shape {
    /// The shape of a traffic whose flows are all tracked.
    ///
    /// The pace is so slow that the flows that end in one second, and so linger, are a small part
    /// of all. At the rate of a fast port, most flows in the table would be lingering ones,
    /// whatever `flows` is.
    const fn orderly(flows: u32, stream_bytes: u64, life_frames: u64) -> Self {
        let frames_per_second = life_frames * Self::lingering_of(flows) as u64 / flows as u64;
        Self { flows, half_open_max: None, stream_bytes, life_frames, frames_per_second }
    }

    /// Flows that have ended and linger while `flows` are open.
    #[must_use]
    pub const fn lingering(&self) -> u32 {
        Self::lingering_of(self.flows)
    }

    const fn lingering_of(flows: u32) -> u32 {
        flows / 8 + 512
    }

    /// Time between two frames on the stack's clock.
    #[must_use]
    pub fn spacing(&self) -> Duration {
        let frames = u32::try_from(self.frames_per_second).unwrap_or(u32::MAX);
        Duration::from_secs(1) / frames.max(1)
    }

    /// The shape of a flood, with the default bounds of a service.
    fn flood() -> Self {
        let Limits { flows_max, half_open_max, .. } = Limits::default();
        Self {
            flows: flows_max,
            half_open_max: Some(half_open_max),
            stream_bytes: 0,
            life_frames: 4 * u64::from(half_open_max),
            frames_per_second: 10_000_000,
        }
    }
}

/// An IPv4 address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: u32,
    /// The port.
    pub port: u16,
}

/// The two ends of a flow. A slot runs one flow after another: `turn` is the number of the flow.
#[must_use]
pub const fn endpoints(slot: u32, turn: u32) -> (Endpoint, Endpoint) {
    const CLIENTS: u32 = 10 << 24;
    const SERVERS: u32 = 172 << 24 | 16 << 16;
    const PORT_FIRST: u32 = 1024;
    const PORTS: u32 = 64_512;
    let [_, _, high, low] = (PORT_FIRST + turn % PORTS).to_be_bytes();
    let port = u16::from_be_bytes([high, low]);
    let client = Endpoint { address: CLIENTS | (slot & 0x00ff_ffff), port };
    let server = Endpoint { address: SERVERS | (slot & 0xff), port: 443 };
    (client, server)
}

/// The number of a flow, unique over all slots and turns.
#[must_use]
pub const fn flow_number(slot: u32, turn: u32) -> u64 {
    (turn as u64) << 32 | slot as u64
}

#[cfg(test)]
mod tests;
