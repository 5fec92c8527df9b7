//! The frames of a capture, which is read into memory first and then repeated.

use std::{collections::HashSet, path::Path};

use anyhow::{Context as _, ensure};
use mos_dataplane::source::{
    PacketSource as _, Received,
    capture::{CaptureSource, Share},
};
use mos_stack::{FrameSet, Instant, Link, wire::spread_hash};

use super::{Shape, Traffic};

/// The traffic.
#[derive(Debug)]
pub struct Recorded {
    bytes: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<usize>,
    next: usize,
    frame_max: usize,
    flows: u32,
}

impl Recorded {
    /// Reads a capture.
    ///
    /// # Errors
    ///
    /// The capture cannot be read, is damaged or empty, or holds frames other than Ethernet.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let whole = Share { index: 0, workers: 1 };
        let mut source = CaptureSource::open(path, whole).with_context(name)?;
        let (bytes, ends) = (Vec::new(), Vec::new());
        let mut recorded = Self { bytes, ends, next: 0, frame_max: 0, flows: 0 };
        let (mut is_ethernet, mut flows) = (true, HashSet::new());
        loop {
            let received = source.receive(Instant::EPOCH, |frames| {
                is_ethernet &= frames.iter().all(|frame| frame.link == Link::Ethernet);
                flows.extend(frames.iter().map(spread_hash));
                frames.iter().for_each(|frame| recorded.add(frame.bytes));
                FrameSet::NONE
            });
            if received == Received::End {
                break;
            }
        }
        if let Some(problem) = source.problem() {
            return Err(problem.clone()).with_context(name);
        }
        ensure!(!recorded.ends.is_empty(), "{}: no frames", name());
        ensure!(is_ethernet, "{}: not Ethernet", name());
        recorded.flows = u32::try_from(flows.len())?;
        Ok(recorded)
    }

    fn add(&mut self, frame: &[u8]) {
        self.frame_max = self.frame_max.max(frame.len());
        self.bytes.extend_from_slice(frame);
        self.ends.push(self.bytes.len());
    }
}

impl Traffic for Recorded {
    fn next_frame(&mut self, out: &mut [u8]) -> Option<usize> {
        let Some(&end) = self.ends.get(self.next) else {
            self.next = 0;
            return None;
        };
        let begin = if self.next == 0 { 0 } else { self.ends[self.next - 1] };
        self.next += 1;
        let frame = &self.bytes[begin..end];
        out[..frame.len()].copy_from_slice(frame);
        Some(frame.len())
    }

    fn frame_max(&self) -> usize {
        self.frame_max
    }

    fn shape(&self) -> Shape {
        Shape::orderly(self.flows, u64::MAX, self.ends.len() as u64)
    }
}
