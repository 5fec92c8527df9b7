//! The traffic of the benchmarks, made from a seed: the same every time.
//!
//! All checksums are valid, all addresses private. A generator knows nothing of time.

pub mod frame;
pub mod payload;
mod steady;

pub use steady::Steady;

/// A stream of frames.
pub trait Traffic: Send {
    /// Writes the next frame to the beginning of `out`, which has room for
    /// [`frame::FRAME_MAX`] bytes. Returns its length.
    fn next_frame(&mut self, out: &mut [u8]) -> usize;

    /// How large it is.
    fn shape(&self) -> Shape;
}

/// How large a traffic is: what a stack needs for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Flows open at the same time.
    pub flows: u32,
    /// Bytes that one side of a flow sends, at most.
    pub stream_bytes: u64,
    /// Frames of one life of all flows: after that many, every flow has begun; after twice as
    /// many, each has ended once.
    pub life_frames: u64,
}

/// An IPv4 address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: u32,
    /// The port.
    pub port: u16,
}

/// The two ends of one of the flows that a slot runs one after another.
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

/// The number of one of the flows that a slot runs one after another.
#[must_use]
pub const fn flow_number(slot: u32, turn: u32) -> u64 {
    (turn as u64) << 32 | slot as u64
}
