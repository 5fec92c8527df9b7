//! Times subjects on the same frames, in turns, so that a disturbance affects all of them.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use mos_dataplane::clock::thread_cpu_time;
use mos_stack::{Instant, limits::BURST};
use serde::{Deserialize, Serialize};

use crate::{
    arena::{Arena, Place},
    subject::Subject,
    traffic::Traffic,
};

/// Frames timed at once.
const BATCH: usize = 8192;

/// How long to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Least CPU time for which the first subject is measured.
    pub span: Duration,
    /// Packets after which the measurement ends, even if `span` has not passed.
    pub packets_max: u64,
    /// Frames that are handled before, untimed.
    pub warm_up_frames: u64,
    /// Time between two frames on the stack's own clock.
    pub spacing: Duration,
}

/// The time that one subject took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// CPU time per packet in nanoseconds: the median of the batches.
    pub median_ns: f64,
    /// The same, over all packets.
    pub mean_ns: f64,
}

impl Timing {
    /// The mean of several.
    pub fn mean(timings: impl ExactSizeIterator<Item = Self>) -> Self {
        let count = ratio(timings.len() as u64, 1);
        timings.fold(Self { median_ns: 0.0, mean_ns: 0.0 }, |sum, timing| Self {
            median_ns: sum.median_ns + timing.median_ns / count,
            mean_ns: sum.mean_ns + timing.mean_ns / count,
        })
    }
}

/// What was measured on one traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The timing of each subject, in the order given.
    pub timings: Vec<Timing>,
    /// Packets measured.
    pub packets: u64,
    /// Mean length of a packet on the wire, in bytes: with preamble, check sequence and gap.
    pub wire_bytes: f64,
}

/// CPU times of the batches of one subject.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    ns_per_packet: Vec<f64>,
    total: Duration,
}

/// Measures all subjects on the same frames. Frames are made between the timed batches, and what
/// is timed runs on all workers at the same time.
pub fn measure(
    arena: &mut Arena,
    traffic: &mut dyn Traffic,
    subjects: &mut [Box<dyn Subject>],
    plan: &Plan,
    together: &OfWorker<'_>,
) -> Measured {
    let now = Instant::EPOCH;
    let mut run = Run { arena, traffic, subjects, spacing: plan.spacing, now, together };
    let mut left = plan.warm_up_frames;
    while left > 0 {
        left -= run.round(left, |_, _, _| {});
    }
    let mut samples: Vec<Samples> = run.subjects.iter().map(|_| Samples::default()).collect();
    let (mut packets, mut wire_bytes) = (0, 0);
    let is_short = |samples: &[Samples]| samples.iter().take(1).any(|of| of.total < plan.span);
    while together.go_on(|| packets < plan.packets_max && is_short(&samples)) {
        packets += run.round(u64::MAX, |subject, span, frames| samples[subject].add(span, frames));
        wire_bytes += run.arena.frames().iter().map(|frame| frame.wire_bytes()).sum::<u64>();
    }
    Measured::new(samples, packets, wire_bytes)
}

impl Measured {
    /// Evaluates the samples of each subject, over `packets` with `wire_bytes` on the wire in all.
    pub(crate) fn new(samples: Vec<Samples>, packets: u64, wire_bytes: u64) -> Self {
        Self {
            timings: samples.into_iter().map(|samples| samples.timing(packets)).collect(),
            packets,
            wire_bytes: ratio(wire_bytes, packets),
        }
    }
}

/// Keeps workers in step: none makes frames while another one is timed.
#[derive(Debug)]
pub struct Together {
    barrier: Barrier,
    goes_on: AtomicBool, // worker 0: wo, all: ro
}

/// One of the workers that are kept in step.
#[derive(Debug)]
pub struct OfWorker<'a> {
    together: &'a Together,
    index: usize,
}

impl Together {
    /// A barrier for this number of workers.
    #[must_use]
    pub const fn new(workers: usize) -> Self {
        Self { barrier: Barrier::new(workers), goes_on: AtomicBool::new(true) }
    }

    /// The handle of one worker.
    #[must_use]
    pub const fn of_worker(&self, index: usize) -> OfWorker<'_> {
        OfWorker { together: self, index }
    }
}

impl OfWorker<'_> {
    /// Waits until all workers have called this.
    fn line_up(&self) {
        self.together.barrier.wait();
    }

    /// Whether all workers continue. Worker 0 decides.
    fn go_on(&self, is_wanted: impl FnOnce() -> bool) -> bool {
        self.line_up();
        if self.index == 0 {
            self.together.goes_on.store(is_wanted(), Relaxed);
        }
        self.line_up();
        self.together.goes_on.load(Relaxed)
    }
}

/// A measurement under way.
struct Run<'a> {
    arena: &'a mut Arena,
    traffic: &'a mut dyn Traffic,
    subjects: &'a mut [Box<dyn Subject>],
    spacing: Duration,
    now: Instant,
    together: &'a OfWorker<'a>,
}

impl Run<'_> {
    /// Fills the arena with at most `most` frames, and gives them to each subject in turn. Calls
    /// `tell` with the number of the subject, the CPU time and the frames of each batch. Returns
    /// the number of frames.
    fn round(&mut self, most: u64, mut tell: impl FnMut(usize, Duration, u64)) -> u64 {
        let has_ended = self.arena.fill(self.traffic, most);
        let begin = self.now;
        for (number, subject) in self.subjects.iter_mut().enumerate() {
            self.now = begin;
            self.together.line_up();
            let batches = self.arena.frames().chunks(BATCH);
            let last = batches.len();
            for (batch, nth) in batches.zip(1..) {
                let start = thread_cpu_time();
                self.now = give(self.arena, batch, subject.as_mut(), self.now, self.spacing);
                (has_ended && nth == last).then(|| subject.restart());
                tell(number, thread_cpu_time().saturating_sub(start), batch.len() as u64);
            }
        }
        self.arena.frames().len() as u64
    }
}

/// Gives the frames to the subject, in bursts. Returns the time of the last.
fn give(
    arena: &Arena,
    batch: &[Place],
    subject: &mut dyn Subject,
    mut now: Instant,
    spacing: Duration,
) -> Instant {
    for places in batch.chunks(BURST) {
        let packets = u32::try_from(places.len()).unwrap_or_default();
        now = now.after(spacing * packets);
        subject.take(&arena.burst(places, now), now);
    }
    now
}

impl Samples {
    pub(crate) fn add(&mut self, time: Duration, packets: u64) {
        self.total += time;
        self.ns_per_packet.push(ratio(nanos(time), packets));
    }

    fn timing(mut self, packets: u64) -> Timing {
        self.ns_per_packet.sort_by(f64::total_cmp);
        let middle = self.ns_per_packet.len() / 2;
        let median_ns = self.ns_per_packet.get(middle).copied().unwrap_or_default();
        Timing { median_ns, mean_ns: ratio(nanos(self.total), packets) }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The quotient of two counts below 2^53; 0 if `whole` is 0.
#[expect(clippy::cast_precision_loss, reason = "the counts are below 2^53")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
