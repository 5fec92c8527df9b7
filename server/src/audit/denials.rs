//! How many denied calls one caller may have entered: an audit must be no way to fill the disk.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use metrics::counter;

use super::entry::{Entry, Event};
use crate::words::bounds::AUDIT_DENIALS_PER_SECOND;

/// Callers that are told apart at once; the others share a rate.
const CALLERS_MAX: usize = 1024;

/// Time without a denied call after which what was left out is told.
const QUIET: Duration = Duration::from_secs(10);

const SECOND: Duration = Duration::from_secs(1);

/// The rates of the callers that were denied lately.
#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<HashMap<String, Rate>>);

#[derive(Debug)]
struct Rate {
    /// The second that is counted, and the entries in it.
    since: Instant,
    entered: u32,
    /// What was left out since the last entry.
    suppressed: u64,
    last: Instant,
}

impl Denials {
    /// The entry, if it keeps to the rate of its caller; it tells how many before it did not.
    pub(super) fn admit(&self, entry: Entry, now: Instant) -> Option<Entry> {
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = rates.contains_key(&entry.principal);
        let caller = match is_known || rates.len() < CALLERS_MAX {
            true => entry.principal.clone(),
            false => String::new(),
        };
        let begun = || Rate { since: now, entered: 0, suppressed: 0, last: now };
        let rate = rates.entry(caller).or_insert_with(begun);
        rate.last = now;
        if now.saturating_duration_since(rate.since) >= SECOND {
            (rate.since, rate.entered) = (now, 0);
        }
        if rate.entered >= AUDIT_DENIALS_PER_SECOND {
            counter!("mosd_audit_suppressed_total").increment(1);
            rate.suppressed += 1;
            return None;
        }
        rate.entered += 1;
        Some(match std::mem::take(&mut rate.suppressed) {
            0 => entry,
            suppressed => entry.with("suppressed", suppressed),
        })
    }

    /// What was left out of callers that are quiet by now. They are forgotten.
    pub(super) fn overdue(&self, now: Instant) -> Vec<Entry> {
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_quiet = |rate: &Rate| now.saturating_duration_since(rate.last) >= QUIET;
        let quiet = rates.extract_if(|_, rate| is_quiet(rate));
        let told = quiet.filter(|(_, rate)| rate.suppressed > 0).map(|(principal, rate)| {
            Entry { principal, ..Entry::of(Event::Suppressed) }.with("suppressed", rate.suppressed)
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(principal: &str) -> Entry {
        Entry { principal: principal.to_owned(), ..Entry::of(Event::Denied) }
    }

    #[test]
    fn what_is_left_out_of_a_caller_is_counted_in_its_next_entry_or_when_it_is_quiet() {
        let (denials, start) = (Denials::default(), Instant::now());
        let admitted = |by: &str, after: Duration, calls: u32| {
            let entered = (0..calls).filter_map(|_| denials.admit(denied(by), start + after));
            entered.collect::<Vec<_>>()
        };
        assert_eq!(admitted("uid 7", Duration::ZERO, 100).len(), 10);
        assert_eq!(admitted("uid 8", Duration::ZERO, 3).len(), 3, "each has a rate");
        let next = admitted("uid 7", SECOND, 12);
        assert_eq!(next.len(), 10);
        assert_eq!(next[0].details["suppressed"], 90);
        assert!(next[1].details.is_empty());
        assert_eq!(denials.overdue(start + SECOND), []);
        let told = denials.overdue(start + SECOND + QUIET);
        let expected = Entry { event: Event::Suppressed, ..denied("uid 7") }.with("suppressed", 2);
        assert_eq!(told, [expected]);
        assert!(denials.0.lock().unwrap().is_empty());
    }

    #[test]
    fn callers_without_number_share_a_rate() {
        let (denials, now) = (Denials::default(), Instant::now());
        let callers = 0..CALLERS_MAX + 100;
        let entered = callers.filter_map(|id| denials.admit(denied(&format!("uid {id}")), now));
        assert_eq!(entered.count(), CALLERS_MAX + 10);
    }
}
