//! The clock of a capture: whose times are believed, and which time timers go by.
//!
//! Times are told as the capture has them, also where they run backwards: a clock was set back,
//! packets lie in another order, or captures with different clocks were put into one file. Timers
//! go by a time of their own: it is as far behind the latest time as times have run backwards, by
//! an hour at most, so that no flow ends because others are ahead. Where times go back by more, it
//! goes back with them.

use std::time::Duration;

use mos_stack::Instant;

/// Times that are further apart than this are not of one clock, or there is a pause between them.
pub(super) const LEAP: Duration = Duration::from_secs(3600);

/// Times that are wrong come alone, or a few in a row: at most so many.
pub(super) const WRONG_MAX: usize = 4;

/// What became of the times of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeReport {
    /// Packets whose time was not believed: they count as simultaneous with a neighbour.
    pub wrong: u64,
    /// How many packets are earlier than the one before.
    pub backward: u64,
    /// The most by which one of them is.
    pub largest_step: Duration,
}

/// The clock of a capture.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CaptureClock {
    /// The time of the packet before.
    last: Instant,
    /// The latest time of all.
    latest: Instant,
    /// The latest time since times went back by more than [`LEAP`].
    reached: Instant,
    /// How far times have run behind it since.
    lag: Duration,
    report: TimeReport,
}

impl CaptureClock {
    /// A clock that begins at the time of the first packet.
    pub(super) fn starting(first: Instant) -> Self {
        Self { last: first, latest: first, reached: first, ..Self::default() }
    }

    /// The time of the packet before.
    pub(super) const fn last(&self) -> Instant {
        self.last
    }

    /// The latest time of all packets: what has begun began at that time, or before.
    pub(super) const fn latest(&self) -> Instant {
        self.latest
    }

    /// The time that timers go by.
    pub(super) fn timers(&self) -> Instant {
        let lag = u64::try_from(self.lag.as_nanos()).unwrap_or(u64::MAX);
        Instant::from_nanos(self.reached.as_nanos().saturating_sub(lag))
    }

    pub(super) const fn report(&self) -> TimeReport {
        self.report
    }

    /// Whether a packet with this time ends a pause, unless its time is wrong.
    pub(super) fn leaps_to(&self, time: Instant) -> bool {
        time.since(self.reached) > LEAP
    }

    /// The pause before a packet with this time.
    pub(super) fn pause_before(&self, time: Instant) -> Duration {
        time.since(self.reached)
    }

    /// Time passes without a packet.
    pub(super) fn pass(&mut self, span: Duration) {
        self.reached = self.reached.after(span);
        self.latest = self.latest.max(self.reached);
    }

    /// Takes a packet with this time; `None` if its own time is wrong: it takes that of the one
    /// before.
    pub(super) fn take(&mut self, believed: Option<Instant>) {
        self.report.wrong += u64::from(believed.is_none());
        let time = believed.unwrap_or(self.last);
        if time < self.last {
            self.report.backward += 1;
            self.report.largest_step = self.report.largest_step.max(self.last.since(time));
        }
        let behind = self.reached.since(time);
        if behind > LEAP {
            (self.reached, self.lag) = (time, Duration::ZERO);
        } else {
            (self.reached, self.lag) = (self.reached.max(time), self.lag.max(behind));
        }
        (self.last, self.latest) = (time, self.latest.max(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    const DAY: u64 = 86_400;

    /// What timers go by behind each packet.
    fn timers(times: &[u64]) -> Vec<u64> {
        let mut clock = CaptureClock::starting(at(times[0]));
        let behind = times.iter().map(|time| {
            clock.take(Some(at(*time)));
            assert_eq!(clock.last(), at(*time));
            clock.timers().as_nanos() / 1_000_000_000
        });
        behind.collect()
    }

    #[test]
    fn timers_wait_for_times_that_run_behind() {
        assert_eq!(timers(&[100, 104, 60, 61, 104, 106]), [100, 104, 60, 60, 60, 62]);
        assert_eq!(timers(&[100, 99, 101, 100, 102]), [100, 99, 100, 100, 101]);
    }

    #[test]
    fn timers_follow_a_clock_that_was_set_back_by_far() {
        assert_eq!(timers(&[DAY, DAY + 1, 5, 6, 7]), [DAY, DAY + 1, 5, 6, 7]);
    }

    #[test]
    fn what_became_of_the_times_is_reported() {
        let mut clock = CaptureClock::starting(at(10));
        for time in [Some(10), None, Some(7), Some(9), Some(5)] {
            clock.take(time.map(at));
        }
        let largest_step = Duration::from_secs(4);
        assert_eq!(clock.report(), TimeReport { wrong: 1, backward: 2, largest_step });
        assert_eq!(clock.latest(), at(10));
    }
}
