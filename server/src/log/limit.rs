//! How many lines one kind of message, and one caller within it, may add to the log.
//!
//! A client decides how often a line is logged that its requests cause. Such a line names the
//! caller in its field `by`: each caller has a rate for each kind, all callers together have
//! another. Lines that name no caller have a third from level `info` on, so that nothing can fill
//! a disk; below, somebody has asked for all of them. What is left out is counted and told.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::words::bounds::{LOG_LINES_PER_CALLER, LOG_LINES_PER_KIND};

/// A rate: one line each `each`, and up to `burst` of them at once.
#[derive(Debug, Clone, Copy)]
struct Rate {
    each: Duration,
    burst: u32,
}

/// Of one kind, caused by one caller.
const OF_CALLER: Rate = Rate::per_second(LOG_LINES_PER_CALLER);

/// Of one kind, caused by all callers together.
const OF_CALLERS: Rate = Rate::per_second(LOG_LINES_PER_KIND);

/// Of one kind that names no caller: 1 a second in the long run.
const OF_NOBODY: Rate = Rate { each: Duration::from_secs(1), burst: 600 };

impl Rate {
    const fn per_second(lines: u32) -> Self {
        let second = Duration::from_secs(1);
        let each = match second.checked_div(lines) {
            Some(each) => each,
            None => second,
        };
        Self { each, burst: lines }
    }
}

/// Callers and kinds that are told apart at once.
const KEYS_MAX: usize = 1024;

/// A kind of message, and who caused it.
type Key = (Identifier, Option<String>);

/// The rates of the lines that are logged now.
#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<HashMap<Key, Bucket>>);

#[derive(Debug)]
struct Bucket {
    /// When a line would be due if all so far had kept to the rate.
    due: Instant,
    /// Lines left out since that was last told.
    left_out: u64,
    /// What the kind says.
    message: String,
}

/// Lines that were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// What they said.
    pub(super) message: String,
    /// Who caused them.
    pub(super) by: Option<String>,
    /// How many.
    pub(super) lines: u64,
}

impl Bucket {
    /// Whether one more line keeps to the rate.
    fn admits(&mut self, rate: Rate, now: Instant) -> bool {
        let due = self.due.max(now) + rate.each;
        let admitted = due <= now + rate.each * rate.burst;
        if admitted {
            self.due = due;
        } else {
            self.left_out += 1;
        }
        admitted
    }
}

impl Limits {
    /// Whether a line of this kind may be logged now.
    fn admit(&self, kind: &Identifier, line: Line, level: Level, now: Instant) -> bool {
        let Line { message, by } = line;
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_all = match &by {
            Some(_) => OF_CALLERS,
            None if level > Level::INFO => return true,
            None => OF_NOBODY,
        };
        if by.is_some() && buckets.len() < KEYS_MAX {
            let new = || Bucket { due: now, left_out: 0, message: message.clone() };
            let bucket = buckets.entry((kind.clone(), by)).or_insert_with(new);
            if !bucket.admits(OF_CALLER, now) {
                return false;
            }
        }
        let new = || Bucket { due: now, left_out: 0, message };
        buckets.entry((kind.clone(), None)).or_insert_with(new).admits(of_all, now)
    }

    /// What was left out since the last call. Forgets who was silent since.
    pub(super) fn left_out(&self, now: Instant) -> Vec<LeftOut> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        for ((_, by), bucket) in buckets.iter_mut().filter(|(_, bucket)| bucket.left_out > 0) {
            let (message, by) = (bucket.message.clone(), by.clone());
            all.push(LeftOut { message, by, lines: bucket.left_out });
            bucket.left_out = 0;
        }
        buckets.retain(|_, bucket| bucket.due > now);
        all
    }
}

impl<S: Subscriber> Layer<S> for &'static Limits {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        let mut line = Line::default();
        event.record(&mut line);
        let metadata = event.metadata();
        self.admit(&metadata.callsite(), line, *metadata.level(), Instant::now())
    }
}

/// What a line says, and who caused it.
#[derive(Debug, Default)]
struct Line {
    message: String,
    by: Option<String>,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "by" => self.by = Some(format!("{value:?}")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::{Callsite as _, Metadata, callsite::DefaultCallsite};

    use super::*;

    static KIND: DefaultCallsite = DefaultCallsite::new(&METADATA);
    static METADATA: Metadata<'static> = tracing::metadata! {
        name: "a kind",
        target: "test",
        level: Level::INFO,
        fields: &["message", "by"],
        callsite: &KIND,
        kind: tracing::metadata::Kind::EVENT,
    };

    /// How many of `lines` lines at once are admitted.
    fn admitted(limits: &Limits, by: Option<&str>, lines: u64, level: Level, now: Instant) -> u64 {
        let line = || Line { message: "changed".to_owned(), by: by.map(str::to_owned) };
        let admit = |_: &u64| limits.admit(&KIND.metadata().callsite(), line(), level, now);
        u64::try_from((0..lines).filter(admit).count()).unwrap()
    }

    #[test]
    fn a_caller_has_a_rate_and_what_is_beyond_is_told_once() {
        let (limits, start) = (Limits::default(), Instant::now());
        assert_eq!(admitted(&limits, Some("uid 0"), 4322, Level::INFO, start), 10);
        assert_eq!(admitted(&limits, Some("uid 7"), 5, Level::INFO, start), 5);
        let (message, by) = ("changed".to_owned(), Some("uid 0".to_owned()));
        assert_eq!(limits.left_out(start), [LeftOut { message, by, lines: 4312 }]);
        assert_eq!(limits.left_out(start), []);
        let later = start + Duration::from_millis(500);
        assert_eq!(admitted(&limits, Some("uid 0"), 100, Level::INFO, later), 5);
    }

    #[test]
    fn all_callers_together_have_a_rate_and_cannot_take_memory() {
        let (limits, start) = (Limits::default(), Instant::now());
        let of = |by: u32| admitted(&limits, Some(&by.to_string()), 1, Level::INFO, start);
        assert_eq!((0..5000).map(of).sum::<u64>(), 100);
        let keys = limits.0.lock().unwrap().len();
        assert!(keys <= KEYS_MAX + 1, "{keys}");
        let left_out: u64 = limits.left_out(start).iter().map(|left_out| left_out.lines).sum();
        assert_eq!(left_out, 4900);
        assert_eq!(limits.left_out(start + Duration::from_secs(2)), []);
        assert!(limits.0.lock().unwrap().is_empty());
    }

    #[test]
    fn what_names_no_caller_is_limited_where_nobody_asked_for_it() {
        let (limits, start) = (Limits::default(), Instant::now());
        assert_eq!(admitted(&limits, None, 1000, Level::DEBUG, start), 1000);
        assert_eq!(admitted(&limits, None, 1000, Level::WARN, start), 600);
        let later = start + Duration::from_secs(3);
        assert_eq!(admitted(&limits, None, 1000, Level::WARN, later), 3);
    }
}
