//! Times subjects on the same frames, in turns, so that what disturbs one disturbs the others.

use std::time::Duration;

use mos_stack::{Instant, limits::BURST};
use rustix::time::{ClockId, clock_gettime};

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
    /// CPU time that the first subject is measured for, at least.
    pub span: Duration,
    /// Packets that are enough, however little time they took.
    pub packets_max: u64,
    /// Frames that come before, untimed.
    pub warm_up_frames: u64,
    /// Time between two frames on the stack's own clock.
    pub spacing: Duration,
}

/// What one subject took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// CPU time of a packet in nanoseconds: the median of the batches.
    pub median_ns: f64,
    /// The same, over all packets.
    pub mean_ns: f64,
}

/// What was measured on one traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Of each subject, in the order given.
    pub timings: Vec<Timing>,
    /// Packets measured.
    pub packets: u64,
    /// Mean length of a packet on the wire, in bytes: with preamble, check sequence and gap.
    pub wire_bytes: f64,
}

/// CPU times of the batches of one subject.
#[derive(Debug, Default)]
struct Samples {
    ns_per_packet: Vec<f64>,
    total: Duration,
}

/// Measures all subjects on the same frames. Frames are made between the timed batches.
pub fn measure(
    arena: &mut Arena,
    traffic: &mut dyn Traffic,
    subjects: &mut [Box<dyn Subject>],
    plan: Plan,
) -> Measured {
    let mut now = Instant::EPOCH;
    let mut left = plan.warm_up_frames;
    while left > 0 {
        arena.fill(traffic, left);
        left -= arena.frames().len() as u64;
        let begin = now;
        for subject in &mut *subjects {
            now = begin;
            for batch in arena.frames().chunks(BATCH) {
                now = run(arena, batch, subject.as_mut(), now, plan.spacing);
            }
        }
    }
    let mut samples: Vec<Samples> = subjects.iter().map(|_| Samples::default()).collect();
    let (mut packets, mut wire_bytes) = (0, 0);
    let is_short = |samples: &[Samples]| samples.iter().take(1).any(|of| of.total < plan.span);
    while packets < plan.packets_max && is_short(&samples) {
        arena.fill(traffic, u64::MAX);
        let begin = now;
        for (subject, samples) in subjects.iter_mut().zip(&mut samples) {
            now = begin;
            for batch in arena.frames().chunks(BATCH) {
                let start = cpu_time();
                now = run(arena, batch, subject.as_mut(), now, plan.spacing);
                samples.add(cpu_time().saturating_sub(start), batch.len());
            }
        }
        packets += arena.frames().len() as u64;
        wire_bytes += arena.frames().iter().map(|frame| frame.wire_bytes()).sum::<u64>();
    }
    Measured {
        timings: samples.into_iter().map(|samples| samples.timing(packets)).collect(),
        packets,
        wire_bytes: ratio(wire_bytes, packets),
    }
}

/// Gives the frames to the subject, in bursts. Returns the time of the last.
fn run(
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
    fn add(&mut self, time: Duration, packets: usize) {
        self.total += time;
        self.ns_per_packet.push(ratio(nanos(time), packets as u64));
    }

    fn timing(mut self, packets: u64) -> Timing {
        self.ns_per_packet.sort_by(f64::total_cmp);
        let middle = self.ns_per_packet.len() / 2;
        let median_ns = self.ns_per_packet.get(middle).copied().unwrap_or_default();
        Timing { median_ns, mean_ns: ratio(nanos(self.total), packets) }
    }
}

/// CPU time that this thread has used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The quotient of two counts that are far below 2^53; 0 where there is nothing to divide by.
#[expect(clippy::cast_precision_loss, reason = "the counts are below 2^53")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
