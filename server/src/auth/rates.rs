//! How fast callers may call, where their grants say so.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Principal;

/// Callers that are known at once. Beyond it, those are forgotten that have not been too fast.
const CALLERS_MAX: usize = 4096;

/// Seconds' worth of calls that may come at once.
const BURST: u32 = 2;

const SECOND: Duration = Duration::from_secs(1);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Counted {
    /// Calls of all methods of `mos.v1`.
    Calls,
    /// Those that need the role operator.
    Changes,
}

/// Calls in a second, at most; `None` for as many as there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pace {
    pub(crate) calls: Option<NonZeroU32>,
    pub(crate) changes: Option<NonZeroU32>,
}

/// A call comes too soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooFast {
    pub(crate) counted: Counted,
    /// In a second.
    pub(crate) max: NonZeroU32,
    /// When it may come.
    pub(crate) wait: Duration,
}

/// The callers that have a pace: when the next call of each would be due.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<HashMap<(Principal, Counted), Instant>>);

impl Pace {
    /// The pace of a caller that has both grants: the faster.
    pub(super) fn and(self, other: Self) -> Self {
        let faster = |a: Option<NonZeroU32>, b: Option<NonZeroU32>| a.zip(b).map(|(a, b)| a.max(b));
        Self {
            calls: faster(self.calls, other.calls),
            changes: faster(self.changes, other.changes),
        }
    }

    const fn of(self, counted: Counted) -> Option<NonZeroU32> {
        match counted {
            Counted::Calls => self.calls,
            Counted::Changes => self.changes,
        }
    }
}

impl Rates {
    /// Counts one call.
    ///
    /// # Errors
    ///
    /// When it comes too soon. It is not counted then.
    pub(super) fn count(
        &self,
        caller: Principal,
        counted: Counted,
        pace: Pace,
        now: Instant,
    ) -> Result<(), TooFast> {
        let Some(max) = pace.of(counted) else { return Ok(()) };
        let each = SECOND / max.get();
        let mut due = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() >= CALLERS_MAX {
            due.retain(|_, due| *due > now);
        }
        let next = due.entry((caller, counted)).or_insert(now);
        let wait = (*next).max(now) + each - now;
        match wait.checked_sub(SECOND * BURST) {
            Some(wait) if !wait.is_zero() => Err(TooFast { counted, max, wait }),
            Some(_) | None => {
                *next = now + wait;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(calls: u32) -> Pace {
        Pace { calls: NonZeroU32::new(calls), changes: None }
    }

    #[test]
    fn a_caller_has_its_rate_and_a_burst_of_two_seconds_and_is_told_when_to_come_back() {
        let (rates, start) = (Rates::default(), Instant::now());
        let call = |uid, after: Duration| {
            rates.count(Principal::Uid(uid), Counted::Calls, pace(50), start + after)
        };
        for number in 0..100 {
            assert_eq!(call(7, Duration::ZERO), Ok(()), "{number}");
        }
        let TooFast { max, wait, .. } = call(7, Duration::ZERO).unwrap_err();
        assert_eq!((max.get(), wait), (50, Duration::from_millis(20)));
        assert_eq!(call(8, Duration::ZERO), Ok(()), "each has its own");
        assert_eq!(call(7, wait), Ok(()));
        call(7, wait).unwrap_err();
        let second = (0..60).filter(|_| call(7, wait + SECOND).is_ok());
        assert_eq!(second.count(), 50);
        let changes = rates.count(Principal::Uid(7), Counted::Changes, pace(50), start);
        assert_eq!(changes, Ok(()), "what has no rate is not counted");
    }

    #[test]
    fn grants_add_up() {
        assert_eq!(pace(5).and(pace(7)), pace(7));
        assert_eq!(pace(5).and(Pace::default()), Pace::default());
    }
}
