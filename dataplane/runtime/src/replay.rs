//! A capture from its first packet to its end, through the same workers as live traffic.
//!
//! Deterministic: the capture is the clock, there are no commands, and every worker sees all
//! packets. A worker's results do not depend on the speed of another one.

use std::{
    panic,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    thread,
};

use mos_control::{WorkerPort, link};
use mos_stack::{EventSink, Limits, LimitsError, Stack, Stat, Stats, Unread, WorkerId};

use crate::{
    clock::SourceTime,
    config::IdleMode,
    idle::Idle,
    source::capture::{
        CaptureError, CaptureProblem, CaptureSource, Findings, Interrupt, Progress, Wait,
    },
    worker::{AtEnd, Worker},
};

/// How to replay a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayConfig {
    /// Workers, 1 to 512.
    pub workers: u16,
    /// Bounds and defaults of each worker's stack.
    pub limits: Limits,
    /// Seed of the hash of the flow tables. Nothing that is reported depends on it.
    pub seed: u64,
}

/// A capture that is ready to be replayed.
#[derive(Debug)]
pub struct Replay {
    workers: Vec<(WorkerPort, Stack, CaptureSource)>,
}

/// Why a replay cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The number of workers is out of range.
    #[error("{0} workers: must be 1 to {max}", max = WorkerId::MAX + 1)]
    Workers(u16),
    /// The capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The bounds are out of range, or there is not enough memory for them.
    #[error(transparent)]
    Limits(#[from] LimitsError),
}

/// The result of a replay.
#[derive(Debug)]
pub struct ReplayOutcome<S> {
    /// Each worker's sink, which has received every flow of that worker.
    pub sinks: Vec<S>,
    /// The counters of all workers together; they count every packet of the capture once.
    pub stats: Stats,
    /// Why the capture was not read to its end, if so.
    pub problem: Option<CaptureProblem>,
    /// What was found besides the frames.
    pub findings: Findings,
    /// What most of the frames are that hold no TCP, if more than half are the same.
    pub unread: Option<Unread>,
}

/// The progress of a replay; may be watched from other threads.
#[derive(Debug, Clone)]
pub struct ReplayProgress {
    sources: Vec<Progress>,
}

impl Replay {
    /// Opens the capture for each worker and reserves the memory of its stack. The capture ends
    /// early when `interrupt` is set.
    ///
    /// # Errors
    ///
    /// Why the replay cannot begin; nothing is left running.
    pub fn open(
        config: &ReplayConfig,
        path: &Path,
        interrupt: &Interrupt,
    ) -> Result<Self, ReplayError> {
        let ReplayConfig { workers, limits, seed } = *config;
        let ids = worker_ids(workers)?;
        let sources = CaptureSource::open_all(path, workers, Wait::Sleeps, interrupt)?;
        let workers = ids
            .into_iter()
            .zip(sources)
            .map(|(id, source)| {
                let (_nobody_commands, port) = link(id);
                Ok((port, Stack::new(id, limits, seed)?, source))
            })
            .collect::<Result<_, ReplayError>>()?;
        Ok(Self { workers })
    }

    /// Its progress, to be watched while it runs.
    #[must_use]
    pub fn progress(&self) -> ReplayProgress {
        ReplayProgress {
            sources: self.workers.iter().map(|(_, _, source)| source.progress()).collect(),
        }
    }

    /// Runs to the end of the capture, one thread for each worker. The sinks that `sink` makes
    /// receive every flow, including those that are still open at the end; it is given
    /// [`CaptureSource::steps_back`].
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    pub fn run<S: EventSink + Send>(
        self,
        mut sink: impl FnMut(Arc<AtomicU64>) -> S,
    ) -> std::io::Result<ReplayOutcome<S>> {
        let never = AtomicBool::new(false);
        let worker = |(port, stack, source): (_, _, CaptureSource)| Worker {
            port,
            stack,
            sink: sink(source.steps_back()),
            sources: vec![source],
            clock: SourceTime,
            idle: Idle::new(IdleMode::Busy),
            at_end: AtEnd::Finish,
        };
        let workers = self.workers.into_iter().map(worker).collect();
        let finished = on_threads(workers, |worker| worker.run(&never))?;
        let mut outcome = ReplayOutcome {
            sinks: Vec::new(),
            stats: Stats::default(),
            problem: None,
            findings: Findings::default(),
            unread: None,
        };
        for worker in finished {
            for stat in Stat::ALL {
                outcome.stats.add(stat, worker.stack.stats().get(stat));
            }
            let problem = worker.sources.iter().find_map(|source| source.problem().cloned());
            outcome.problem = outcome.problem.or(problem);
            outcome.unread = outcome.unread.or_else(|| worker.stack.gauges().unread);
            if let Some(source) = worker.sources.first() {
                outcome.findings = source.findings().clone();
            }
            outcome.sinks.push(worker.sink);
        }
        Ok(outcome)
    }
}

impl ReplayProgress {
    /// Bytes of the capture that have been read, on average over the workers.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        let sum: u64 = self.sources.iter().map(Progress::consumed).sum();
        sum / (self.sources.len() as u64).max(1)
    }

    /// Bytes of the capture.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.sources.first().map_or(0, Progress::total)
    }
}

/// The ids of that many workers.
pub(crate) fn worker_ids(workers: u16) -> Result<Vec<WorkerId>, ReplayError> {
    let ids: Option<Vec<_>> = (0..workers).map(WorkerId::new).collect();
    ids.filter(|ids| !ids.is_empty()).ok_or(ReplayError::Workers(workers))
}

/// Runs `work` for each worker on a thread of its own. Returns when all have ended.
pub(crate) fn on_threads<W: Send, T: Send>(
    workers: Vec<W>,
    work: impl Fn(W) -> T + Sync,
) -> std::io::Result<Vec<T>> {
    thread::scope(|scope| {
        let (mut threads, work) = (Vec::with_capacity(workers.len()), &work);
        for worker in workers {
            let name = format!("replay-{}", threads.len());
            let run = move || work(worker);
            threads.push(thread::Builder::new().name(name).spawn_scoped(scope, run)?);
        }
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        Ok(joined.collect())
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use mos_stack::{
        EndCause, FlowRef, FlowTuple, OverlapPolicy, Side, Sides, limits::BLOCK_BYTES,
    };

    use super::*;
    use crate::traffic::Conversations;

    const FRAMES: u32 = 20_000;

    /// What a flow looked like when it ended.
    type Record = (u64, FlowTuple, Sides<(u64, Vec<u8>)>, Option<EndCause>);

    #[derive(Debug, Default)]
    struct Records(Vec<Record>);

    impl EventSink for Records {
        fn flow_ended(&mut self, flow: &FlowRef<'_>, cause: Option<EndCause>) {
            let summary = flow.summary();
            let seen = |side: Side| {
                let mut bytes = Vec::new();
                flow.read_beginning(side, |piece| bytes.extend_from_slice(piece));
                (summary.sides[side.peer()].packets, bytes)
            };
            let sides = Sides { client: seen(Side::Client), server: seen(Side::Server) };
            self.0.push((summary.started.as_nanos(), summary.tuple, sides, cause));
        }
    }

    fn demo_capture(frames: u32) -> tempfile::NamedTempFile {
        let mut conversations = Conversations::new(50, 3);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
        file.write_all(&words(&[0xa1b2_3c4d, 0x0004_0002, 0, 0, 65_535, 1])).unwrap();
        let mut frame = Vec::new();
        for index in 0..frames {
            conversations.next_frame(&mut frame);
            let length = u32::try_from(frame.len()).unwrap();
            file.write_all(&words(&[1_700_000_000, index * 1000, length, length])).unwrap();
            file.write_all(&frame).unwrap();
        }
        file
    }

    fn config(workers: u16, overlap: OverlapPolicy) -> ReplayConfig {
        let mut limits = Limits { flows_max: 4096, ..Limits::default() };
        limits.defaults.buffer_bytes = Sides::both(4096 * BLOCK_BYTES as u64);
        limits.defaults.overlap = Sides::both(overlap);
        ReplayConfig { workers, limits, seed: u64::from(workers) }
    }

    fn run(config: &ReplayConfig, path: &Path) -> (Vec<Record>, Stats) {
        let replay = Replay::open(config, path, &Interrupt::default()).unwrap();
        let progress = replay.progress();
        let outcome = replay.run(|_steps| Records::default()).unwrap();
        assert_eq!(outcome.problem, None);
        assert_eq!(progress.consumed(), progress.total());
        assert_eq!(outcome.sinks.len(), usize::from(config.workers));
        let mut records: Vec<_> = outcome.sinks.into_iter().flat_map(|sink| sink.0).collect();
        records.sort_by_key(|(started, ..)| *started);
        (records, outcome.stats)
    }

    #[test]
    fn the_number_of_workers_does_not_change_what_is_found() {
        let capture = demo_capture(FRAMES);
        let (records, stats) = run(&config(1, OverlapPolicy::First), capture.path());
        assert!(records.len() >= 50);
        assert!(records.iter().any(|(.., cause)| *cause == Some(EndCause::Fin)));
        assert!(records.iter().any(|(.., cause)| cause.is_none()), "flows still open");
        assert_eq!(stats.packets(), u64::from(FRAMES));
        for workers in [2, 3] {
            let (again, sums) = run(&config(workers, OverlapPolicy::First), capture.path());
            assert!(again == records, "with {workers} workers");
            assert_eq!(sums, stats);
        }
    }

    #[test]
    fn the_overlap_policy_decides_about_conflicting_bytes() {
        let capture = demo_capture(4 * FRAMES);
        let (first, stats) = run(&config(1, OverlapPolicy::First), capture.path());
        let (last, _) = run(&config(1, OverlapPolicy::Last), capture.path());
        assert!(stats.get(Stat::ConflictingBytes) > 0);
        assert!(first != last);
        assert!(first.iter().map(|record| record.1).eq(last.iter().map(|record| record.1)));
    }

    #[test]
    fn a_replay_that_cannot_begin_says_why() {
        let open = |workers, path| {
            let config = config(workers, OverlapPolicy::First);
            Replay::open(&config, path, &Interrupt::default())
        };
        let missing = open(2, Path::new("/no/such.pcap"));
        assert!(matches!(missing, Err(ReplayError::Capture(CaptureError::Read { .. }))));
        let capture = demo_capture(1);
        let nobody = open(0, capture.path()).unwrap_err();
        assert_eq!(nobody.to_string(), "0 workers: must be 1 to 512");
    }
}
