//! Handles a capture from memory several times, to measure its speed without the disk.

use std::{io, path::Path, sync::atomic::AtomicBool, time::Duration};

use mos_control::link;
use mos_stack::{EventSink, Stack, Stat, Stats, WorkerId};

use crate::{
    clock::{Clock as _, MonotonicClock, SourceTime, thread_cpu_time},
    config::IdleMode,
    idle::Idle,
    replay::{ReplayConfig, ReplayError, on_threads, worker_ids},
    source::{
        capture::{CaptureProblem, CaptureSource, Interrupt, Wait},
        recording::Recording,
    },
    worker::{AtEnd, Finished, Worker},
};

/// A capture in memory, ready to be handled.
#[derive(Debug)]
pub struct Rerun {
    workers: Vec<(WorkerId, Stack, Recording)>,
}

/// The result.
#[derive(Debug)]
pub struct RerunOutcome<S> {
    /// Each worker's sink.
    pub sinks: Vec<S>,
    /// The counters of all workers and rounds together.
    pub stats: Stats,
    /// Why the capture was not read to its end, if so.
    pub problem: Option<CaptureProblem>,
    /// Lengths on the wire of the packets of one round, in bytes.
    pub wire_bytes: u64,
    /// CPU time of each worker: all rounds, including the ends of the flows.
    pub cpu_times: Vec<Duration>,
    /// Time from the start of the first worker to the end of the last.
    pub elapsed: Duration,
}

impl Rerun {
    /// Reads each worker's share into memory, and reserves the memory of its stack.
    ///
    /// # Errors
    ///
    /// As [`Replay::open`](crate::replay::Replay::open).
    pub fn load(
        config: &ReplayConfig,
        path: &Path,
        interrupt: &Interrupt,
    ) -> Result<Self, ReplayError> {
        let ReplayConfig { workers, limits, seed } = *config;
        let ids = worker_ids(workers)?;
        let sources = CaptureSource::open_all(path, workers, Wait::Sleeps, interrupt)?;
        // At once, because where one thread reads for all, none may stay far behind.
        let recordings = on_threads(sources, Recording::load).map_err(ReplayError::Thread)?;
        let stack = |(id, recording)| Ok((id, Stack::new(id, limits, seed)?, recording));
        let workers = ids.into_iter().zip(recordings).map(stack).collect::<Result<_, _>>();
        workers.map(|workers| Self { workers }).map_err(ReplayError::Limits)
    }

    /// Handles the capture `rounds` times, one thread for each worker. At the end of each round
    /// all flows end, so that every round begins with none.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    pub fn run<S: EventSink + Send>(
        self,
        rounds: u32,
        mut sink: impl FnMut() -> S,
    ) -> io::Result<RerunOutcome<S>> {
        let lengths = self.workers.iter().flat_map(|(_, _, recording)| recording.wire_lengths());
        let mut outcome = RerunOutcome {
            wire_bytes: lengths.map(u64::from).sum(),
            sinks: Vec::new(),
            stats: Stats::default(),
            problem: None,
            cpu_times: Vec::new(),
            elapsed: Duration::ZERO,
        };
        let workers = self.workers.into_iter().map(|worker| (worker, sink())).collect();
        let clock = MonotonicClock::start();
        let started = clock.now();
        let finished = on_threads(workers, |((id, stack, recording), sink)| {
            rounds_of_worker(id, Finished { stack, sources: vec![recording], sink }, rounds)
        })?;
        outcome.elapsed = clock.now().since(started);
        for (worker, cpu_time) in finished {
            for stat in Stat::ALL {
                outcome.stats.add(stat, worker.stack.stats().get(stat));
            }
            let problem = worker.sources.iter().find_map(|source| source.problem().cloned());
            outcome.problem = outcome.problem.or(problem);
            outcome.sinks.push(worker.sink);
            outcome.cpu_times.push(cpu_time);
        }
        Ok(outcome)
    }
}

/// All rounds of one worker, and the CPU time that they took.
fn rounds_of_worker<S: EventSink>(
    id: WorkerId,
    mut worker: Finished<Recording, S>,
    rounds: u32,
) -> (Finished<Recording, S>, Duration) {
    let never = AtomicBool::new(false);
    let started = thread_cpu_time();
    for _ in 0..rounds {
        let Finished { stack, sources, sink } = worker;
        let (_nobody_commands, port) = link(id);
        let (clock, idle, at_end) = (SourceTime, Idle::new(IdleMode::Busy), AtEnd::Finish);
        worker = Worker { port, stack, sources, clock, sink, idle, at_end }.run(&never);
        worker.sources.iter_mut().for_each(Recording::rewind);
    }
    (worker, thread_cpu_time().saturating_sub(started))
}
