//! Observations of the workers and ports: ages of loops, losses, and how busy the workers are.
//!
//! Fed a few times a second from the boards and the port counters. Nothing here waits on a worker,
//! so a worker that hangs is seen, not waited for. What the observations mean is for `conditions`.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mos_control::{PortStatus, Turns};
use mos_stack::Stat;
use tokio::time::Instant;

use crate::{log, panics, workers::Workers};

/// Interval at which [`Vitals::observe`] must be called.
pub(crate) const OBSERVE_EVERY: Duration = Duration::from_millis(500);

/// How far back "lately" reaches.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// What was observed lately.
#[derive(Debug)]
pub(crate) struct Vitals(Mutex<State>);

#[derive(Debug)]
struct State {
    /// One for each worker.
    loops: Vec<Loop>,
    /// Those of the last [`WINDOW`], the oldest first.
    samples: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Loop {
    turns: u64,
    /// When `turns` was first seen to have this value.
    changed: Instant,
}

#[derive(Debug, Clone)]
struct Sample {
    at: Instant,
    /// Turns and busy turns of each worker.
    turns: Vec<Turns>,
    losses: Losses,
}

/// What was lost in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Losses {
    /// Packets lost before a worker saw them.
    pub(super) packets: u64,
    /// Packets of new flows that found the flow table full.
    pub(super) untracked: u64,
    /// Payload bytes that found no room in a buffer.
    pub(super) refused_bytes: u64,
    /// Held bytes that made room because a buffer held too many separate runs.
    pub(super) crowded_out_bytes: u64,
    /// Lines of the log.
    pub(super) log_lines: u64,
    /// Tasks and requests, each ended by a panic.
    pub(super) panics: u64,
}

impl Losses {
    /// Losses since the start.
    pub(super) fn total(workers: &Workers, ports: &[PortStatus]) -> Self {
        let sum = |stat| workers.iter().map(|client| client.board().stat(stat)).sum();
        Self {
            packets: ports.iter().map(PortStatus::lost).sum(),
            untracked: sum(Stat::PacketsTableFull),
            refused_bytes: sum(Stat::RefusedBytes),
            crowded_out_bytes: sum(Stat::CrowdedOutBytes),
            log_lines: log::lost().lines(),
            panics: panics::count(),
        }
    }

    const fn since(self, earlier: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(earlier.packets),
            untracked: self.untracked.saturating_sub(earlier.untracked),
            refused_bytes: self.refused_bytes.saturating_sub(earlier.refused_bytes),
            crowded_out_bytes: self.crowded_out_bytes.saturating_sub(earlier.crowded_out_bytes),
            log_lines: self.log_lines.saturating_sub(earlier.log_lines),
            panics: self.panics.saturating_sub(earlier.panics),
        }
    }
}

impl Vitals {
    /// Nothing seen yet.
    #[must_use]
    pub(crate) fn new(workers: &Workers) -> Self {
        let changed = Instant::now();
        let loops = workers.iter().map(|_| Loop { turns: 0, changed }).collect();
        Self(Mutex::new(State { loops, samples: VecDeque::new() }))
    }

    /// Takes a sample of the boards and counters.
    pub(crate) fn observe(&self, workers: &Workers, ports: &[PortStatus]) {
        let mut state = self.lock();
        let now = Instant::now();
        state.note_turns(workers, now);
        let sample = Sample {
            at: now,
            turns: workers.iter().map(|client| client.board().turns()).collect(),
            losses: Losses::total(workers, ports),
        };
        while state.samples.front().is_some_and(|oldest| now - oldest.at > WINDOW) {
            state.samples.pop_front();
        }
        state.samples.push_back(sample);
    }

    /// Time since each worker's loop was last seen to have turned.
    #[must_use]
    pub(crate) fn loop_ages(&self, workers: &Workers) -> Vec<Duration> {
        let mut state = self.lock();
        let now = Instant::now();
        state.note_turns(workers, now);
        state.loops.iter().map(|seen| now - seen.changed).collect()
    }

    /// Share of each worker's turns that found packets lately, 0 to 1.
    #[must_use]
    pub(crate) fn busy_ratios(&self, workers: &Workers) -> Vec<f64> {
        let state = self.lock();
        let oldest = state.samples.front().map(|sample| sample.turns.as_slice());
        workers
            .iter()
            .enumerate()
            .map(|(index, client)| {
                let then = oldest.and_then(|turns| turns.get(index)).copied().unwrap_or_default();
                let Turns { all, busy } = client.board().turns().since(then);
                ratio(busy, all)
            })
            .collect()
    }

    /// What of these losses since the start happened lately.
    pub(super) fn lately(&self, total: Losses) -> Losses {
        let state = self.lock();
        total.since(state.samples.front().map_or_else(Losses::default, |oldest| oldest.losses))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note_turns(&mut self, workers: &Workers, now: Instant) {
        for (seen, client) in self.loops.iter_mut().zip(workers) {
            let turns = client.board().turns().all;
            if turns != seen.turns {
                *seen = Loop { turns, changed: now };
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use mos_control::link;
    use mos_stack::WorkerId;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_busy_share_is_that_of_the_recent_turns() {
        let (command, worker) = link(WorkerId::default());
        let workers = Workers::spawn(vec![command]);
        let vitals = Vitals::new(&workers);
        worker.board().turn(mos_stack::Instant::EPOCH, 0);
        vitals.observe(&workers, &[]);
        worker.board().turn(mos_stack::Instant::EPOCH, 1);
        worker.board().turn(mos_stack::Instant::EPOCH, 0);
        assert!((vitals.busy_ratios(&workers)[0] - 0.5).abs() < 1e-9);
    }
}
