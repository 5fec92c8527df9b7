//! Frames in memory, prepared before they are timed.
//!
//! One arena is filled repeatedly. It is larger than the caches of a core, so that the first frames
//! have left them when they are read: frames are about as cold as those of a port.

use std::io;

use arrayvec::ArrayVec;
use mos_stack::{Checksums, Frame, Instant, Link, limits::BURST};

use crate::{
    memory::{LINE_BYTES, Pages},
    traffic::Traffic,
};

/// Frames of one arena, at most: enough of the smallest ones for 64 MiB.
const FRAMES_MAX: usize = 1 << 20;

/// Prepared frames, in order of arrival.
#[derive(Debug)]
pub struct Arena {
    bytes: Pages,
    frames: Vec<Place>,
}

/// Where a frame is.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    offset: u32,
    length: u32,
}

impl Arena {
    /// An empty arena of `bytes`.
    ///
    /// # Errors
    ///
    /// The memory cannot be allocated.
    pub fn new(bytes: u32) -> io::Result<Self> {
        // Touched here, so that filling it later does not grow the process.
        let mut frames = vec![Place { offset: 1, length: 1 }; FRAMES_MAX];
        frames.clear();
        Ok(Self { bytes: Pages::new(bytes as usize)?, frames })
    }

    /// Replaces all frames by the next ones of `traffic`, each at the beginning of a cache line: as
    /// many as fit, but not more than `most`. Returns whether the traffic ended after them.
    pub fn fill(&mut self, traffic: &mut dyn Traffic, most: u64) -> bool {
        let most = usize::try_from(most).unwrap_or(FRAMES_MAX).min(FRAMES_MAX);
        self.frames.clear();
        let mut rest = self.bytes.bytes_mut();
        let mut offset = 0;
        while self.frames.len() < most && rest.len() >= traffic.frame_max() {
            let Some(length) = traffic.next_frame(rest) else { return true };
            let stride = length.next_multiple_of(LINE_BYTES).min(rest.len());
            rest = rest.split_at_mut(stride).1;
            self.frames.push(Place { offset, length: u32::try_from(length).unwrap_or_default() });
            offset += u32::try_from(stride).unwrap_or_default();
        }
        false
    }

    /// All frames.
    #[must_use]
    pub fn frames(&self) -> &[Place] {
        &self.frames
    }

    /// The frames at the first [`BURST`] of `places`, as a source returns them, arriving at
    /// `arrival`.
    #[must_use]
    pub fn burst(&self, places: &[Place], arrival: Instant) -> ArrayVec<Frame<'_>, BURST> {
        let bytes = self.bytes.bytes();
        let frame = |place: &Place| Frame {
            arrival,
            link: Link::Ethernet,
            bytes: &bytes[place.offset as usize..(place.offset + place.length) as usize],
            wire_length: place.length,
            checksums: Checksums::Unknown,
        };
        places.iter().take(BURST).map(frame).collect()
    }
}

impl Place {
    /// Bytes of the frame on the wire: with preamble, check sequence and gap.
    #[must_use]
    pub const fn wire_bytes(self) -> u64 {
        const AROUND: u64 = 8 + 4 + 12;
        self.length as u64 + AROUND
    }
}
