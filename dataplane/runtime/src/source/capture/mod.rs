//! Capture files as a packet source: pcap and pcapng, with their own times, lengths and end.
//!
//! Memory is bounded for a file of any size; frames are not copied. Unlike the other sources it
//! reads a file, allocates when a frame is larger than any before, and has a clock of its own: that
//! of the capture. When the capture pauses, its time first advances alone, so that timers run
//! before the packet that ends the pause is handled. Times that run backwards are told as they are.
//! A packet whose time is more than an hour ahead of the one before and of one of the next few has
//! a wrong time, not a pause before it: it takes that of the packet before.
//!
//! Each worker sees the whole capture and keeps the flows of its share: every worker sees the same
//! times. A regular file is read by each; what is compressed, or comes through a pipe, is read by
//! one thread for all of them.

mod clock;
mod compression;
mod error;
mod feed;
mod findings;
mod input;
mod order;
mod packet;
mod pcap;
mod pcapng;
mod record;
mod window;

use std::{
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

pub use self::{
    clock::TimeReport,
    compression::Compression,
    error::{CaptureError, CaptureProblem, LinkType, ProblemCause},
    findings::Findings,
    input::{Interrupt, Wait},
};
use self::{
    clock::{CaptureClock, LEAP, WRONG_MAX},
    input::Input,
    packet::{Packet, Parsed},
    record::{Format, Kind, MAGIC_BYTES},
    window::{Held, Window},
};
use super::{PacketSource, Received};

/// Records looked at in one call, at most, including those of other workers.
const SCAN_MAX: usize = 8 * BURST;

/// The time advances alone over a pause of at least this length, in steps of at least this length.
const PAUSE: Duration = Duration::from_millis(10);

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

    /// The progress of another reader of the same file.
    fn anew(&self) -> Self {
        Self { consumed: Arc::default(), total: self.total }
    }

    /// Bytes of the file when it was opened; 0 where it is a pipe.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }
}

/// Reads one capture from its beginning to its end.
#[derive(Debug)]
pub struct CaptureSource {
    path: PathBuf,
    window: Window,
    interrupt: Interrupt,
    /// Known once the header was read.
    format: Option<Format>,
    /// Bytes that the window must hold before its first record can be parsed.
    wanted: usize,
    share: Share,
    clock: CaptureClock,
    /// How often the times of the capture have run backwards so far.
    steps_back: Arc<AtomicU64>,
    findings: Findings,
    stage: Stage,
    problem: Option<CaptureProblem>,
    progress: Progress,
}

/// How far a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its first packet was not found yet, and so it has no time.
    Opening,
    Reading,
    Ended,
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
        let Packet { time: _, link_type: _, start, length, wire_length } = *packet;
        let captured = u32::try_from(length).unwrap_or(u32::MAX);
        let link = packet.link().unwrap_or(Link::Unread);
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
    /// Opens a capture for one worker. A regular file is read up to its first packet, at whose time
    /// the source begins; of anything else the header is read.
    ///
    /// # Errors
    ///
    /// When the capture cannot be read, is none, or its frames have a link type that is not read.
    pub fn open(path: &Path, share: Share) -> Result<Self, CaptureError> {
        let interrupt = Interrupt::default();
        let input = Input::open(path, 1, Wait::Sleeps, &interrupt)?;
        let mut sources = Self::all(path, input, &interrupt, |_| share);
        let mut source = sources.pop().ok_or_else(|| CaptureError::Empty(path.to_owned()))?;
        source.start(Wait::Sleeps)?;
        Ok(source)
    }

    /// Opens a capture for so many workers, as [`CaptureSource::open`] does, except that with
    /// [`Wait::Polls`] nothing is waited for: what is wrong with a pipe is then told as a
    /// [`CaptureProblem`]. With `-` as its path, it is standard input.
    ///
    /// # Errors
    ///
    /// As [`CaptureSource::open`].
    pub fn open_all(
        path: &Path,
        workers: u16,
        wait: Wait,
        interrupt: &Interrupt,
    ) -> Result<Vec<Self>, CaptureError> {
        let input = Input::open(path, workers, wait, interrupt)?;
        let mut sources = Self::all(path, input, interrupt, |index| Share { index, workers });
        sources.iter_mut().try_for_each(|source| source.start(wait))?;
        Ok(sources)
    }

    fn all(
        path: &Path,
        input: Input,
        interrupt: &Interrupt,
        share: impl Fn(u16) -> Share,
    ) -> Vec<Self> {
        let Input { windows, progress } = input;
        let source = |(index, window): (u16, Window)| Self {
            path: path.to_owned(),
            progress: if window.is_fed() { progress.clone() } else { progress.anew() },
            window,
            interrupt: interrupt.clone(),
            format: None,
            wanted: 0,
            share: share(index),
            clock: CaptureClock::default(),
            steps_back: Arc::default(),
            findings: Findings::default(),
            stage: Stage::Opening,
            problem: None,
        };
        (0..).zip(windows).map(source).collect()
    }

    /// Reads as far as a new source is read.
    fn start(&mut self, wait: Wait) -> Result<(), CaptureError> {
        match (self.window.is_fed(), wait) {
            (true, Wait::Polls) => return Ok(()),
            // What comes behind the header may take more pieces than wait for the other workers.
            (true, Wait::Sleeps) => self.read_header(),
            (false, _) => self.begin(),
        }
        match &self.problem {
            Some(CaptureProblem { cause, offset }) if self.format.is_none() || *offset == 0 => {
                Err(cause.clone().of_capture(&self.path))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Finds out what kind of capture it is.
    fn read_header(&mut self) {
        match self.window.hold(MAGIC_BYTES) {
            Ok(Held::All | Held::Ended) => {}
            Ok(Held::NotYet) => return,
            // Whatever else is wrong is met again behind what is held.
            Err(_) if self.window.held().len() >= MAGIC_BYTES => {}
            Err(cause) => return self.end(0, Some(cause)),
        }
        match Kind::of(self.window.held()) {
            Kind::Capture { format, header } => {
                self.format = Some(format);
                self.window.consume(header);
            }
            Kind::OtherFormat(name) => self.end(0, Some(ProblemCause::OtherFormat(name))),
            Kind::OtherLink(link) => self.end(0, Some(ProblemCause::LinkType(link))),
            Kind::Cut => self.end(0, Some(ProblemCause::Truncated)),
            Kind::Unknown if self.window.held().is_empty() => {
                self.end(0, Some(ProblemCause::Empty));
            }
            Kind::Unknown => self.end(0, Some(ProblemCause::NotACapture)),
        }
    }

    /// Goes to the first packet, or as far towards it as can be read now.
    fn begin(&mut self) {
        if self.format.is_none() {
            self.read_header();
        }
        while self.format.is_some() && self.stage == Stage::Opening {
            let mut at = 0;
            let next = self.next(&mut at);
            self.window.consume(at);
            match next {
                Next::Packet { packet, length } => {
                    let first = self.first_time(&packet, length);
                    self.clock = CaptureClock::starting(first.unwrap_or_default());
                    self.stage = Stage::Reading;
                }
                Next::Unread if self.read_on() => {}
                Next::Unread => return,
                Next::End => return,
            }
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

    /// What was found besides the frames, so far.
    #[must_use]
    pub const fn findings(&self) -> &Findings {
        &self.findings
    }

    /// How often the times of the capture have run backwards before the frames that are being
    /// handled: the same for every worker. With it, and the time, flows have an order.
    #[must_use]
    pub fn steps_back(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.steps_back)
    }

    /// How far the file is read, to be watched while a worker has the source.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The next packet at or behind `at` in the window. `at` moves past records without a packet;
    /// the bytes before it must be consumed before more is read.
    fn next(&mut self, at: &mut usize) -> Next {
        let Some(format) = self.format.as_mut().filter(|_| self.stage != Stage::Ended) else {
            return Next::End;
        };
        loop {
            match format.parse(&self.window.held()[*at..]) {
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

    /// Reads on if the window does not hold the whole of its first record. False if the source has
    /// no more for now.
    fn read_on(&mut self) -> bool {
        match self.window.hold(self.wanted) {
            Ok(Held::All) => {}
            Ok(Held::NotYet) => return false,
            Ok(Held::Ended) if self.window.held().is_empty() => self.end(0, None),
            Ok(Held::Ended) => self.end(0, Some(ProblemCause::Truncated)),
            Err(cause) => self.end(0, Some(cause)),
        }
        self.wanted = 0;
        true
    }

    fn end(&mut self, at: usize, cause: Option<ProblemCause>) {
        self.stage = Stage::Ended;
        let offset = self.window.offset() + at as u64;
        let cause = if self.interrupt.is_set() {
            Some(ProblemCause::Interrupted)
        } else {
            cause.or_else(|| self.findings.nothing_read())
        };
        self.problem = cause.map(|cause| CaptureProblem { offset, cause });
    }

    /// The time at which the capture begins: that of the first packet, whose record ends at `end`,
    /// unless it is wrong or has none.
    fn first_time(&mut self, first: &Packet, end: usize) -> Option<Instant> {
        let time = first.time.unwrap_or(Instant::from_nanos(u64::MAX));
        self.time_taken_back(time, end).or(first.time)
    }

    /// The arrival of a packet whose record ends at `end`; `None` if its own time is wrong.
    fn arrival(&mut self, packet: &Packet, end: usize) -> Option<Instant> {
        let time = packet.time.unwrap_or_else(|| self.clock.last());
        let is_wrong = self.clock.leaps_to(time) && self.time_taken_back(time, end).is_some();
        (!is_wrong).then_some(time)
    }

    /// The time that takes back that of the packet before `at` in the window, if one of the next
    /// few does. Reads on in the file if it must; the records that it passes are parsed again.
    fn time_taken_back(&mut self, time: Instant, mut at: usize) -> Option<Instant> {
        let mut format = self.format.clone()?;
        let mut times = 0;
        for _ in 0..LOOK_AHEAD {
            let Some(behind) = self.time_at(&mut at, &mut format)? else { continue };
            if time.since(behind) > LEAP {
                return Some(behind);
            }
            times += 1;
            if times == WRONG_MAX {
                return None;
            }
        }
        None
    }

    /// The time of the record at `at` in the window, if it has one, and moves behind it. Reads on
    /// if it must, and moves not then. `None` where no record can be read.
    fn time_at(&mut self, at: &mut usize, format: &mut Format) -> Option<Option<Instant>> {
        match format.parse(self.window.held().get(*at..)?) {
            Ok(Parsed::Record { packet, length }) => {
                *at += length;
                Some(packet.and_then(|packet| packet.time))
            }
            Ok(Parsed::Incomplete(wanted)) => {
                // The error is found again, and reported, when the record is read.
                self.window.hold(*at + wanted).ok().filter(|held| *held == Held::All)?;
                Some(None)
            }
            Err(_met_again) => None,
        }
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
            let believed = self.arrival(&packet, at + length);
            let arrival = believed.unwrap_or_else(|| self.clock.last());
            let pause = self.clock.pause_before(arrival);
            if pause >= PAUSE && burst.is_empty() {
                self.clock.pass((pause / 2).max(PAUSE));
            }
            // The times of one burst do not run backwards.
            if pause >= PAUSE || arrival < self.clock.last() && !burst.is_empty() {
                break;
            }
            self.clock.take(believed);
            self.findings.note(&packet, self.clock.report());
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
        // A feed ends by itself, behind what waits in its queue.
        if !self.window.is_fed() && self.stage != Stage::Ended && self.interrupt.is_set() {
            self.end(0, None);
        }
        if self.stage == Stage::Opening {
            self.begin();
        }
        let is_silent = match self.stage {
            Stage::Opening => true,
            Stage::Reading => !self.read_on(),
            Stage::Ended => false,
        };
        if is_silent {
            return Received::Nothing;
        }
        let (burst, consumed) = self.gather();
        let count = burst.len();
        if count > 0 {
            self.steps_back.store(self.findings.times.backward, Relaxed);
            let held = self.window.held();
            let frames: ArrayVec<Frame<'_>, BURST> =
                burst.iter().map(|found| found.frame(held)).collect();
            handle(&frames);
        }
        self.window.consume(consumed);
        if !self.window.is_fed() {
            self.progress.consumed.store(self.window.offset(), Relaxed);
        }
        if self.stage == Stage::Ended && count == 0 {
            Received::End
        } else {
            Received::Frames(count)
        }
    }

    fn time(&self) -> Option<Instant> {
        (self.stage != Stage::Opening).then_some(self.clock.latest())
    }

    fn timer_time(&self) -> Option<Instant> {
        (self.stage != Stage::Opening).then_some(self.clock.timers())
    }
}

#[cfg(test)]
mod tests;
