//! Capture files as a packet source: pcap and pcapng, with their own times, lengths and end.
//!
//! Memory is bounded for a file of any size; frames are not copied. Unlike the other sources it
//! reads a file, allocates when a frame is larger than any before, and has a clock of its own: that
//! of the capture. When the capture pauses, its time first advances alone, so that timers run
//! before the packet that ends the pause is handled. A packet whose time is more than an hour ahead
//! of both its neighbours has a wrong time, not a pause before it: it takes that of the packet
//! before.
//!
//! Each worker reads the whole file and keeps the flows of its share: nothing is shared, and every
//! worker sees the same times.

mod error;
mod record;
mod window;

use std::{
    fs::File,
    io, mem,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arrayvec::ArrayVec;
use mos_stack::{
    Checksums, Frame, FrameSet, Instant, Link, limits::BURST, wire::spread_hash_of_hosts,
};

pub use self::error::{CaptureError, CaptureProblem, LinkType, ProblemCause};
use self::{
    record::{Format, Kind, MAGIC_BYTES, Packet, Parsed},
    window::Window,
};
use super::{PacketSource, Received};

/// Records looked at in one call, at most, including those of other workers.
const SCAN_MAX: usize = 8 * BURST;

/// The time advances alone over a pause of at least this length, in steps of at least this length.
const PAUSE: Duration = Duration::from_millis(10);

/// A packet's time is wrong when it is further ahead of both its neighbours than this.
const LEAP: Duration = Duration::from_secs(3600);

/// Records without a packet that the search for the next packet's time passes, at most.
const LOOK_AHEAD: usize = 64;

/// Which of the flows of a capture a source keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The worker that reads, 0 to `workers` - 1.
    pub index: u16,
    /// How many workers read the capture; 0 counts as 1.
    pub workers: u16,
}

impl Share {
    /// Every flow: there is one worker.
    pub const ALL: Self = Self { index: 0, workers: 1 };

    fn holds(self, frame: &Frame<'_>) -> bool {
        self.workers <= 1
            || spread_hash_of_hosts(frame) % u32::from(self.workers) == u32::from(self.index)
    }
}

/// How far a source has read, in bytes; may be watched from other threads.
#[derive(Debug, Clone)]
pub struct Progress {
    // worker: wo, others: ro
    consumed: Arc<AtomicU64>,
    total: u64,
}

impl Progress {
    /// Bytes read so far.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.consumed.load(Relaxed)
    }

    /// Bytes of the file when it was opened.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }
}

/// Reads one capture file from its beginning to its end.
#[derive(Debug)]
pub struct CaptureSource {
    path: PathBuf,
    window: Window,
    format: Format,
    /// Bytes that the window must hold before its first record can be parsed.
    wanted: usize,
    share: Share,
    /// Never runs backwards, even if the capture's times do.
    now: Instant,
    ended: bool,
    problem: Option<CaptureProblem>,
    progress: Progress,
}

/// A frame of this source's share, and where its bytes are in the window.
#[derive(Debug, Clone, Copy)]
struct Found {
    link: Link,
    start: usize,
    length: usize,
    arrival: Instant,
    wire_length: u32,
}

impl Found {
    /// The packet of the record at `at`.
    fn new(packet: &Packet, at: usize, arrival: Instant) -> Self {
        let Packet { time: _, link, start, length, wire_length } = *packet;
        let captured = u32::try_from(length).unwrap_or(u32::MAX);
        Self { link, start: at + start, length, arrival, wire_length: wire_length.max(captured) }
    }

    fn frame<'a>(&self, held: &'a [u8]) -> Frame<'a> {
        let bytes = &held[self.start..self.start + self.length];
        Frame {
            arrival: self.arrival,
            link: self.link,
            bytes,
            wire_length: self.wire_length,
            checksums: Checksums::Unknown,
        }
    }
}

/// What comes next in the file.
enum Next {
    Packet {
        packet: Packet,
        length: usize,
    },
    /// A record of which the window holds only a part.
    Unread,
    /// The end, or a record that cannot be read.
    End,
}

impl CaptureSource {
    /// Opens a capture and reads up to its first packet. The source begins at that packet's time.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no capture, or its frames have a link type that is not
    /// read.
    pub fn open(path: &Path, share: Share) -> Result<Self, CaptureError> {
        let failed = |error| CaptureError::Read { path: path.to_owned(), error };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let mut window = Window::new(file);
        window.hold(MAGIC_BYTES).map_err(failed)?;
        let (format, header) = match Kind::of(window.held()) {
            Kind::Capture { format, header } => (format, header),
            Kind::OtherLink(link) => {
                return Err(CaptureError::LinkType { path: path.to_owned(), link });
            }
            Kind::Compressed => return Err(CaptureError::Compressed(path.to_owned())),
            Kind::Cut => return Err(CaptureError::Header(path.to_owned())),
            Kind::Unknown if window.held().is_empty() => {
                return Err(CaptureError::Empty(path.to_owned()));
            }
            Kind::Unknown => return Err(CaptureError::NotACapture(path.to_owned())),
        };
        window.consume(header);
        let progress = Progress { consumed: Arc::default(), total: metadata.len() };
        let mut source = Self {
            path: path.to_owned(),
            window,
            format,
            wanted: 0,
            share,
            now: Instant::EPOCH,
            ended: false,
            problem: None,
            progress,
        };
        source.begin()?;
        Ok(source)
    }

    /// Goes to the first packet.
    fn begin(&mut self) -> Result<(), CaptureError> {
        let first = loop {
            let mut at = 0;
            match self.next(&mut at) {
                Next::Packet { packet, .. } => {
                    self.window.consume(at);
                    break packet.time;
                }
                Next::Unread => self.window.consume(at),
                Next::End => break None,
            }
            self.read_on();
        };
        self.now = first.unwrap_or(Instant::EPOCH);
        let path = self.path.clone();
        match &self.problem {
            Some(CaptureProblem { cause: ProblemCause::LinkType(link), .. }) => {
                Err(CaptureError::LinkType { path, link: *link })
            }
            Some(CaptureProblem { cause: ProblemCause::Damaged(_), offset: 0 }) => {
                Err(CaptureError::NotACapture(path))
            }
            Some(CaptureProblem { cause: ProblemCause::Truncated, offset: 0 }) => {
                Err(CaptureError::Header(path))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why the capture was not read to its end, once that point is reached.
    #[must_use]
    pub const fn problem(&self) -> Option<&CaptureProblem> {
        self.problem.as_ref()
    }

    /// How far the file is read, to be watched while a worker has the source.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The next packet at or behind `at` in the window. `at` moves past records without a packet;
    /// the bytes before it must be consumed before more is read.
    fn next(&mut self, at: &mut usize) -> Next {
        if self.ended {
            return Next::End;
        }
        loop {
            match self.format.parse(&self.window.held()[*at..]) {
                Ok(Parsed::Record { length, packet: Some(packet) }) => {
                    return Next::Packet { packet, length };
                }
                Ok(Parsed::Record { length, packet: None }) => *at += length,
                Ok(Parsed::Incomplete(wanted)) => {
                    self.wanted = wanted;
                    return Next::Unread;
                }
                Err(cause) => {
                    self.end(*at, Some(cause));
                    return Next::End;
                }
            }
        }
    }

    /// Reads on if the window does not hold the whole of its first record.
    fn read_on(&mut self) {
        let wanted = mem::take(&mut self.wanted);
        match self.window.hold(wanted) {
            Ok(true) => {}
            Ok(false) if self.window.held().is_empty() => self.end(0, None),
            Ok(false) => self.end(0, Some(ProblemCause::Truncated)),
            Err(error) => self.end(0, Some(ProblemCause::Read(error.kind()))),
        }
    }

    fn end(&mut self, at: usize, cause: Option<ProblemCause>) {
        self.ended = true;
        let offset = self.window.offset() + at as u64;
        self.problem = cause.map(|cause| CaptureProblem { offset, cause });
    }

    /// The arrival of a packet whose record ends at `end`: never before that of the previous
    /// packet, and equal to it if the packet's own time is wrong.
    fn arrival(&mut self, packet: &Packet, end: usize) -> Instant {
        let arrival = packet.time.map_or(self.now, |time| time.max(self.now));
        let is_wrong = arrival.since(self.now) > LEAP
            && self.time_behind(end).is_some_and(|behind| arrival.since(behind) > LEAP);
        if is_wrong { self.now } else { arrival }
    }

    /// The time of the next packet at or behind `at` in the window, if there is one within reach.
    /// Reads on in the file if it must; the records that it passes are parsed again later.
    fn time_behind(&mut self, mut at: usize) -> Option<Instant> {
        let mut format = self.format.clone();
        for _ in 0..LOOK_AHEAD {
            match format.parse(self.window.held().get(at..)?) {
                Ok(Parsed::Record { packet: Some(packet), .. }) => return packet.time,
                Ok(Parsed::Record { length, packet: None }) => at += length,
                Ok(Parsed::Incomplete(wanted)) => {
                    // The error is found again, and reported, when the record is read.
                    self.window.hold(at + wanted).ok().filter(|is_held| *is_held)?;
                }
                Err(_met_again) => return None,
            }
        }
        None
    }

    /// Finds the frames of the next burst, and how many bytes of the window they and everything
    /// between them take. None where only time advances.
    fn gather(&mut self) -> (ArrayVec<Found, BURST>, usize) {
        let mut burst = ArrayVec::new();
        let mut at = 0;
        for _ in 0..SCAN_MAX {
            if burst.is_full() {
                break;
            }
            let (packet, length) = match self.next(&mut at) {
                Next::Packet { packet, length } => (packet, length),
                Next::Unread | Next::End => break,
            };
            let arrival = self.arrival(&packet, at + length);
            let pause = arrival.since(self.now);
            if pause >= PAUSE && burst.is_empty() {
                self.now = self.now.after((pause / 2).max(PAUSE));
            }
            if pause >= PAUSE {
                break;
            }
            self.now = arrival;
            let found = Found::new(&packet, at, arrival);
            if self.share.holds(&found.frame(self.window.held())) {
                burst.push(found);
            }
            at += length;
        }
        (burst, at)
    }
}

impl PacketSource for CaptureSource {
    /// Hands over the next frames of this source's share: none if only time advances, or if the
    /// next frames belong to other workers.
    fn receive(
        &mut self,
        _now: Instant,
        mut handle: impl FnMut(&[Frame<'_>]) -> FrameSet,
    ) -> Received {
        self.read_on();
        let (burst, consumed) = self.gather();
        let count = burst.len();
        if count > 0 {
            let held = self.window.held();
            let frames: ArrayVec<Frame<'_>, BURST> =
                burst.iter().map(|found| found.frame(held)).collect();
            handle(&frames);
        }
        self.window.consume(consumed);
        self.progress.consumed.store(self.window.offset(), Relaxed);
        if self.ended && count == 0 { Received::End } else { Received::Frames(count) }
    }

    fn time(&self) -> Option<Instant> {
        Some(self.now)
    }
}

#[cfg(test)]
mod tests;
