//! How much of its work the stack does while it is measured.

use std::{fmt, io};

use anyhow::Context as _;
use clap::ValueEnum;
use mos_stack::{Limits, Sides, Stack, WorkerId, limits::BLOCK_BYTES};
use serde::{Deserialize, Serialize};

use crate::{
    ceiling::{Ceiling, Depth},
    reader::Reader,
    subject::{Parser, ReadingTracker, Subject, Tracker},
    traffic::Shape,
};

/// Capacity of each side's buffer, in bytes, in the modes that have buffers.
const BUFFER_BYTES: u64 = 8192;

/// Blocks that one side takes in addition to those of its bytes: one that the window has begun to
/// leave, and one of the index.
const BLOCKS_BESIDES: u64 = 2;

/// Seed of the flow table's hash.
const SEED: u64 = 1;

/// What is done with each packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Receive and release
    Rx,
    /// Receive and parse the headers; no checksum is verified
    Parse,
    /// The flow's state machine; no buffers
    Track,
    /// Both streams into buffers of 8192 bytes
    Reassemble,
    /// And every byte of both streams read once, as it becomes readable
    Read,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rx => "rx",
            Self::Parse => "parse",
            Self::Track => "track",
            Self::Reassemble => "reassemble",
            Self::Read => "read",
        })
    }
}

/// Whether the stack verifies the checksums of IPv4 and TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// It does, as by default
    On,
    /// It does not
    Off,
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

/// The configuration of the stack for a traffic.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// What is done with each packet.
    pub mode: Mode,
    /// Whether checksums are verified.
    pub checksums: Verification,
    /// The worker.
    pub worker: WorkerId,
    /// The size of the traffic.
    pub shape: Shape,
}

impl Setup {
    /// Slots for the flows that are open at once, and for twice the number of those that linger.
    #[must_use]
    pub const fn flow_slots(&self) -> u32 {
        self.shape.flows.saturating_add(2 * self.shape.lingering())
    }

    /// The bounds of the stack: no flow is refused, and there is memory for every byte.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let flows_max = self.flow_slots();
        let mut limits = Limits {
            flows_max,
            half_open_max: self.shape.half_open_max.unwrap_or(flows_max),
            pool_bytes: self.pool_bytes(),
            verify_checksums: self.checksums == Verification::On,
            ..Limits::default()
        };
        limits.defaults.buffer_bytes = Sides::both(self.buffer_bytes());
        limits
    }

    /// The subject to measure.
    ///
    /// # Errors
    ///
    /// Its memory cannot be allocated.
    pub fn subject(&self) -> anyhow::Result<Box<dyn Subject>> {
        let stack = || {
            Stack::new(self.worker, self.limits(), SEED)
                .with_context(|| format!("no stack for {} flows", self.shape.flows))
        };
        Ok(match self.mode {
            Mode::Rx => Box::new(Ceiling::new(Depth::Receive, 0)?),
            Mode::Parse => Box::new(Parser::default()),
            Mode::Track | Mode::Reassemble => Box::new(Tracker(stack()?)),
            Mode::Read => Box::new(ReadingTracker { stack: stack()?, reader: Reader::default() }),
        })
    }

    /// The least loop for the same work.
    ///
    /// # Errors
    ///
    /// Its memory cannot be allocated.
    pub fn ceiling(&self) -> io::Result<Ceiling> {
        Ceiling::new(self.depth(), self.flow_slots())
    }

    /// Upper bound of the memory of the stack and the ceiling together, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        const FLOW_BYTES: u64 = 1024;
        const CEILING_BYTES: u64 = 256;
        const CEILING_BUFFERS: u64 = 4096;
        let slots = u64::from(self.flow_slots());
        match self.depth() {
            Depth::Receive | Depth::Parse => 0,
            Depth::Touch => slots * (FLOW_BYTES + CEILING_BYTES),
            Depth::Copy => {
                slots * (FLOW_BYTES + CEILING_BYTES + CEILING_BUFFERS) + self.pool_bytes()
            }
        }
    }

    const fn depth(&self) -> Depth {
        match self.mode {
            Mode::Rx => Depth::Receive,
            Mode::Parse => Depth::Parse,
            Mode::Track => Depth::Touch,
            Mode::Reassemble | Mode::Read => Depth::Copy,
        }
    }

    const fn buffer_bytes(&self) -> u64 {
        match self.mode {
            Mode::Rx | Mode::Parse | Mode::Track => 0,
            Mode::Reassemble | Mode::Read => BUFFER_BYTES,
        }
    }

    /// Bytes of the blocks for both sides of every slot, as far as their streams can fill them.
    fn pool_bytes(&self) -> u64 {
        let held = self.buffer_bytes().min(self.shape.stream_bytes);
        let blocks = match held.div_ceil(BLOCK_BYTES as u64) {
            several @ 2.. => several + BLOCKS_BESIDES,
            one => one,
        };
        u64::from(self.flow_slots()) * 2 * blocks * BLOCK_BYTES as u64
    }
}
