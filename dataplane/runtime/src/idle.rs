//! What a worker does when there is nothing to do. Nothing else in the dataplane sleeps.
//!
//! A worker that polls without a pause has the least latency and takes a whole CPU. One that shares
//! its CPU with the control plane backs off: after [`EMPTY_TURNS`] turns without work it sleeps for
//! [`ADAPTIVE_PAUSE`] between turns, until there is work again.

use std::{num::NonZeroU64, time::Duration};

use crate::config::IdleMode;

/// Turns without work before an adaptive worker begins to sleep.
pub const EMPTY_TURNS: u32 = 256;

/// How long an adaptive worker sleeps between two turns without work.
pub const ADAPTIVE_PAUSE: Duration = Duration::from_micros(50);

/// How long a worker in mode [`IdleMode::Sleep`] sleeps between two turns without work.
pub const SLEEP_PAUSE: Duration = Duration::from_millis(1);

impl IdleMode {
    /// The mode for a machine with that many usable CPUs and workers: polling without a pause only
    /// if each worker has a CPU of its own and one is left for the control plane.
    #[must_use]
    pub const fn suiting(cpus: usize, workers: usize) -> Self {
        if cpus <= 2 || cpus <= workers { Self::Adaptive } else { Self::Busy }
    }
}

/// The idling of one worker.
#[derive(Debug)]
pub struct Idle {
    mode: IdleMode,
    empty_turns: u32,
}

impl Idle {
    /// An idling of this mode.
    #[must_use]
    pub const fn new(mode: IdleMode) -> Self {
        Self { mode, empty_turns: 0 }
    }

    /// Prepares the calling thread: sets its timer slack to 1 ns. With the default slack a sleep of
    /// 50 us takes about 100 us.
    pub fn prepare_thread(&self) {
        if let Err(error) = rustix::thread::set_current_timer_slack(NonZeroU64::new(1)) {
            tracing::debug!(%error, "cannot set the timer slack; idle pauses are longer");
        }
    }

    /// Ends a turn that did `work` things: sleeps if the mode says so.
    pub fn end_turn(&mut self, work: usize) {
        if work > 0 {
            self.empty_turns = 0;
            return;
        }
        match self.mode {
            IdleMode::Busy => std::hint::spin_loop(),
            IdleMode::Adaptive if self.empty_turns < EMPTY_TURNS => {
                self.empty_turns += 1;
                std::hint::spin_loop();
            }
            IdleMode::Adaptive => sleep(ADAPTIVE_PAUSE),
            IdleMode::Sleep => sleep(SLEEP_PAUSE),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "here, and nowhere else, the dataplane sleeps")]
pub(crate) fn sleep(pause: Duration) {
    std::thread::sleep(pause);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, MonotonicClock};

    fn time_of(turns: u32, idle: &mut Idle) -> Duration {
        let clock = MonotonicClock::start();
        let start = clock.now();
        for _ in 0..turns {
            idle.end_turn(0);
        }
        clock.now().since(start)
    }

    #[test]
    fn an_adaptive_worker_sleeps_only_after_many_empty_turns_and_work_wakes_it() {
        let mut idle = Idle::new(IdleMode::Adaptive);
        idle.prepare_thread();
        let first = time_of(EMPTY_TURNS, &mut idle);
        assert!(idle.empty_turns == EMPTY_TURNS);
        let pauses = time_of(100, &mut idle);
        assert!(pauses >= 100 * ADAPTIVE_PAUSE, "{pauses:?}");
        assert!(pauses > first, "{pauses:?} {first:?}");
        idle.end_turn(1);
        assert_eq!(idle.empty_turns, 0);
    }

    #[test]
    fn a_sleeping_worker_sleeps_at_once() {
        assert!(time_of(5, &mut Idle::new(IdleMode::Sleep)) >= 5 * SLEEP_PAUSE);
    }

    #[test]
    fn workers_spin_only_where_the_control_plane_has_a_cpu_of_its_own() {
        assert_eq!(IdleMode::suiting(1, 1), IdleMode::Adaptive);
        assert_eq!(IdleMode::suiting(2, 1), IdleMode::Adaptive);
        assert_eq!(IdleMode::suiting(4, 4), IdleMode::Adaptive);
        assert_eq!(IdleMode::suiting(4, 3), IdleMode::Busy);
    }
}
