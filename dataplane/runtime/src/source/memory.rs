//! Frames from memory: for tests and benchmarks.

use arrayvec::ArrayVec;
use mos_stack::{Checksums, Frame, FrameSet, Instant, Link, limits::BURST};

use super::{PacketSource, Received};

/// One prepared frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryFrame {
    /// When it arrives; `None`: when it is received, as from a live source.
    pub arrival: Option<Instant>,
    /// Its bytes, from the destination address on.
    pub bytes: Vec<u8>,
}

impl From<Vec<u8>> for MemoryFrame {
    fn from(bytes: Vec<u8>) -> Self {
        Self { arrival: None, bytes }
    }
}

/// Hands over prepared frames in bursts, and then ends.
#[derive(Debug)]
pub struct MemorySource {
    frames: Vec<MemoryFrame>,
    next: usize,
    time: Option<Instant>,
}

impl MemorySource {
    /// A source of these frames. Where the first has an arrival time, the source has a time of
    /// its own.
    #[must_use]
    pub fn new(frames: Vec<MemoryFrame>) -> Self {
        let time = frames.first().and_then(|frame| frame.arrival);
        Self { frames, next: 0, time }
    }
}

impl PacketSource for MemorySource {
    fn receive(
        &mut self,
        now: Instant,
        mut handle: impl FnMut(&[Frame<'_>]) -> FrameSet,
    ) -> Received {
        let rest = &self.frames[self.next..];
        let burst = &rest[..rest.len().min(BURST)];
        if burst.is_empty() {
            return Received::End;
        }
        let frames: ArrayVec<Frame<'_>, BURST> = burst
            .iter()
            .map(|MemoryFrame { arrival, bytes }| Frame {
                arrival: arrival.unwrap_or(now),
                link: Link::Ethernet,
                bytes,
                wire_length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
                checksums: Checksums::Unknown,
            })
            .collect();
        self.time = self.time.max(burst.last().and_then(|frame| frame.arrival));
        handle(&frames);
        self.next += burst.len();
        Received::Frames(burst.len())
    }

    fn time(&self) -> Option<Instant> {
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_in_bursts_in_order_and_then_the_end() {
        let frames = (0..40u8).map(|n| MemoryFrame::from(vec![n])).collect();
        let mut source = MemorySource::new(frames);
        let now = Instant::from_nanos(7);
        let mut seen = Vec::new();
        let mut receive = || {
            source.receive(now, |frames| {
                seen.extend(frames.iter().map(|frame| (frame.bytes[0], frame.arrival)));
                FrameSet::NONE
            })
        };
        assert_eq!(receive(), Received::Frames(BURST));
        assert_eq!(receive(), Received::Frames(8));
        assert_eq!(receive(), Received::End);
        assert_eq!(receive(), Received::End);
        assert_eq!(seen, (0..40).map(|n| (n, now)).collect::<Vec<_>>());
        assert_eq!(source.time(), None);
    }

    #[test]
    fn the_time_of_the_source_is_that_of_the_last_frame() {
        let frame =
            |nanos| MemoryFrame { arrival: Some(Instant::from_nanos(nanos)), bytes: vec![0] };
        let mut source = MemorySource::new(vec![frame(3), frame(5)]);
        assert_eq!(source.time(), Some(Instant::from_nanos(3)));
        assert_eq!(source.receive(Instant::EPOCH, |_| FrameSet::NONE), Received::Frames(2));
        assert_eq!(source.time(), Some(Instant::from_nanos(5)));
    }
}
