//! The clocks of workers. No other file reads a clock.

use std::time::{Duration, SystemTime};

use mos_stack::Instant;
use rustix::time::{ClockId, clock_gettime};

/// Gives a worker the time, once per turn. Never runs backwards.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Instant;
}

/// The system's monotonic clock, anchored to the wall clock once, when it is made: later steps of
/// the wall clock do not move it.
#[derive(Debug, Clone, Copy)]
pub struct MonotonicClock {
    anchor: Instant,
    started: std::time::Instant,
}

impl MonotonicClock {
    /// A clock that is anchored now. Workers share one clock, so that their times compare.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the others ask")]
    pub fn start() -> Self {
        let since_epoch =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { anchor: Instant::EPOCH.after(since_epoch), started: std::time::Instant::now() }
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Instant {
        self.anchor.after(self.started.elapsed())
    }
}

/// The clock of a worker whose sources have times of their own: always [`Instant::EPOCH`], so that
/// the sources decide.
#[derive(Debug, Clone, Copy, Default)]
pub struct SourceTime;

impl Clock for SourceTime {
    fn now(&self) -> Instant {
        Instant::EPOCH
    }
}

/// CPU time that the calling thread has used.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_passes_while_the_thread_works() {
        let before = thread_cpu_time();
        let mut sum = 0_u64;
        while thread_cpu_time() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(thread_cpu_time() > before);
    }

    #[test]
    fn the_monotonic_clock_starts_at_the_wall_clock_and_never_runs_backwards() {
        let before = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let clock = MonotonicClock::start();
        let mut last = clock.now();
        assert!(last >= Instant::EPOCH.after(before));
        assert!(last.since(Instant::EPOCH.after(before)) < Duration::from_secs(60));
        for _ in 0..1000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }
}
