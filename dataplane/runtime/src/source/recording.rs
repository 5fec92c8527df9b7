//! A capture in memory: read from its file once, handed over any number of times.

use std::time::Duration;

use arrayvec::ArrayVec;
use mos_stack::{Checksums, Frame, FrameSet, Instant, Link, limits::BURST};

use super::{
    PacketSource, Received,
    capture::{CaptureProblem, CaptureSource},
};

/// Time between the end of one round and the beginning of the next. The stack keeps some state for
/// a second after a flow; this is longer.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(2);

/// One share of a capture, in memory.
#[derive(Debug)]
pub struct Recording {
    bytes: Vec<u8>,
    frames: Vec<Recorded>,
    bursts: Vec<Burst>,
    problem: Option<CaptureProblem>,
    /// The burst that is next.
    next: usize,
    /// How much later than in the first round every frame arrives.
    shift: Duration,
    time: Instant,
    timers: Instant,
}

/// A frame, and where its bytes are.
#[derive(Debug, Clone, Copy)]
struct Recorded {
    arrival: Instant,
    start: usize,
    length: usize,
    wire_length: u32,
    link: Link,
}

/// The burst that one call of the capture gave.
#[derive(Debug, Clone, Copy)]
struct Burst {
    /// One past its last frame.
    end: usize,
    /// The time of the capture behind it.
    time: Instant,
    /// What timers go by.
    timers: Instant,
}

impl Recording {
    /// Reads a capture to its end, or to the first record that cannot be read.
    #[must_use]
    pub fn load(mut source: CaptureSource) -> Self {
        let times = |source: &CaptureSource| source.time().zip(source.timer_time());
        let start = times(&source);
        let (mut bytes, mut frames, mut bursts) = (Vec::new(), Vec::new(), Vec::new());
        let mut record = |frame: &Frame<'_>| {
            let Frame { arrival, wire_length, link, .. } = *frame;
            let (start, length) = (bytes.len(), frame.bytes.len());
            frames.push(Recorded { arrival, start, length, wire_length, link });
            bytes.extend_from_slice(frame.bytes);
        };
        let mut end = 0;
        let mut record_all = |frames: &[Frame<'_>]| {
            frames.iter().for_each(&mut record);
            FrameSet::NONE
        };
        while let Received::Frames(count) = source.receive(Instant::EPOCH, &mut record_all) {
            end += count;
            let (time, timers) = times(&source).unwrap_or_default();
            bursts.push(Burst { end, time, timers });
        }
        let problem = source.problem().cloned();
        // Of a pipe it is known only now.
        let first = || frames.first().map(|frame: &Recorded| (frame.arrival, frame.arrival));
        let (time, timers) = start.or_else(first).unwrap_or_default();
        Self { bytes, frames, bursts, problem, next: 0, shift: Duration::ZERO, time, timers }
    }

    /// Why the capture was not read to its end, if so.
    #[must_use]
    pub const fn problem(&self) -> Option<&CaptureProblem> {
        self.problem.as_ref()
    }

    /// The lengths on the wire of all frames, in bytes.
    pub fn wire_lengths(&self) -> impl ExactSizeIterator<Item = u32> {
        self.frames.iter().map(|frame| frame.wire_length)
    }

    /// Begins again, at a later time.
    pub fn rewind(&mut self) {
        let first = self.frames.iter().map(|frame| frame.arrival).min().unwrap_or(self.time);
        self.shift = self.time.since(first) + BETWEEN_ROUNDS;
        self.next = 0;
    }
}

impl PacketSource for Recording {
    fn receive(
        &mut self,
        _now: Instant,
        mut handle: impl FnMut(&[Frame<'_>]) -> FrameSet,
    ) -> Received {
        let Some(burst) = self.bursts.get(self.next) else { return Received::End };
        let begin = self.next.checked_sub(1).map_or(0, |before| self.bursts[before].end);
        let (bytes, shift) = (&self.bytes, self.shift);
        let frames: ArrayVec<Frame<'_>, BURST> = self.frames[begin..burst.end]
            .iter()
            .map(|recorded| Frame {
                arrival: recorded.arrival.after(shift),
                link: recorded.link,
                bytes: &bytes[recorded.start..recorded.start + recorded.length],
                wire_length: recorded.wire_length,
                checksums: Checksums::Unknown,
            })
            .collect();
        if !frames.is_empty() {
            handle(&frames);
        }
        (self.time, self.timers) = (burst.time.after(shift), burst.timers.after(shift));
        self.next += 1;
        Received::Frames(frames.len())
    }

    fn time(&self) -> Option<Instant> {
        Some(self.time)
    }

    fn timer_time(&self) -> Option<Instant> {
        Some(self.timers)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{super::capture::Share, *};

    fn open(file: &tempfile::NamedTempFile) -> CaptureSource {
        CaptureSource::open(file.path(), Share::ALL).unwrap()
    }

    /// A capture of one-byte frames, each with its time in milliseconds.
    fn capture(frames: &[(u8, u32)]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
        file.write_all(&words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1])).unwrap();
        for (byte, millis) in frames {
            let times = [1_700_000_000 + millis / 1000, millis % 1000 * 1000];
            file.write_all(&words(&[times[0], times[1], 1, 60])).unwrap();
            file.write_all(&[*byte]).unwrap();
        }
        file
    }

    /// What one call brings: bytes, arrivals and wire lengths of the frames, and the time behind.
    type Call = (Vec<(u8, Instant, u32)>, Option<Instant>);

    fn all(source: &mut impl PacketSource) -> Vec<Call> {
        let mut calls = Vec::new();
        loop {
            let mut frames = Vec::new();
            let received = source.receive(Instant::EPOCH, |burst| {
                frames.extend(burst.iter().map(|of| (of.bytes[0], of.arrival, of.wire_length)));
                FrameSet::NONE
            });
            match received {
                Received::Frames(count) => assert_eq!(count, frames.len()),
                Received::Nothing => panic!("a capture has something or ends"),
                Received::End => return calls,
            }
            calls.push((frames, source.time()));
        }
    }

    #[test]
    fn a_recording_brings_what_the_file_brings_and_again_later() {
        let frames: Vec<_> = (0..70).map(|n| (n, u32::from(n) / 40 * 500)).collect();
        let file = capture(&frames);
        let mut recording = Recording::load(open(&file));
        let mut source = open(&file);
        assert_eq!(recording.time(), source.time());
        let first = all(&mut recording);
        assert_eq!(first, all(&mut source));
        assert!(first.iter().any(|(frames, _)| frames.is_empty()), "the pause in between");
        assert_eq!(recording.problem(), None);
        assert_eq!(recording.wire_lengths().collect::<Vec<_>>(), [60; 70]);
        for round in 1..3 {
            let end = recording.time().unwrap();
            recording.rewind();
            let again = all(&mut recording);
            let shift = (Duration::from_millis(500) + BETWEEN_ROUNDS) * round;
            for ((then, _), (now, time)) in first.iter().zip(&again) {
                let later =
                    |(byte, at, length): &(u8, Instant, u32)| (*byte, at.after(shift), *length);
                assert_eq!(*now, then.iter().map(later).collect::<Vec<_>>());
                assert!(*time >= Some(end.after(BETWEEN_ROUNDS)));
            }
            assert_eq!(again.len(), first.len());
        }
    }

    #[test]
    fn damage_is_told_behind_what_could_be_read() {
        let file = capture(&[(1, 0), (2, 0)]);
        let length = file.as_file().metadata().unwrap().len();
        file.as_file().set_len(length - 1).unwrap();
        let mut recording = Recording::load(open(&file));
        assert!(recording.problem().is_some());
        let frames: usize = all(&mut recording).iter().map(|(frames, _)| frames.len()).sum();
        assert_eq!(frames, 1);
    }
}
