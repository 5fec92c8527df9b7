//! The record of one call: its intent before, its result behind.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Audit, Unavailable,
    entry::{Entry, Event, Values},
    queue::Unwritten,
};

/// Time that an answer waits for its result to be on the disk: what is done is done.
const RESULT_WAIT: Duration = Duration::from_secs(1);

/// gRPC's number of a call that has ended before its outcome was known.
const CANCELLED: i32 = 1;

/// What a call tells of itself while it is carried out. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    /// What it is about, where that is known better than by the request.
    target: Option<String>,
    before: Values,
    after: Values,
    details: Values,
    /// What the end of a stream is entered with.
    record: Option<(Arc<Audit>, Entry)>,
}

/// A call that is carried out. What becomes of it is entered in any case.
#[derive(Debug)]
pub(crate) struct Record {
    audit: Arc<Audit>,
    /// What is known of it.
    entry: Entry,
    trail: Trail,
    begun: Instant,
    is_over: bool,
}

/// A stream that is under way. Its end is entered when this is dropped.
#[derive(Debug)]
pub(crate) struct Ending {
    record: Option<(Arc<Audit>, Entry)>,
    begun: Instant,
    /// Bytes of payload delivered.
    pub(crate) bytes: u64,
    /// How it has ended.
    pub(crate) cause: String,
}

impl Trail {
    /// What the call is about.
    pub(crate) fn is_about(&self, target: String) {
        self.told().target = Some(target);
    }

    /// What has changed: what was in force, and what is.
    pub(crate) fn changed(&self, before: Values, after: Values) {
        let mut told = self.told();
        told.before.extend(before);
        told.after.extend(after);
    }

    /// One detail more.
    pub(crate) fn note(&self, key: &str, value: impl Into<serde_json::Value>) {
        self.told().details.insert(key.to_owned(), value.into());
    }

    /// For a call that goes on as a stream.
    pub(crate) fn ending(&self) -> Ending {
        let record = self.told().record.clone();
        Ending { record, begun: Instant::now(), bytes: 0, cause: "client-gone".to_owned() }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Audit {
    /// Enters that a call is about to be carried out, before it is.
    ///
    /// # Errors
    ///
    /// When that cannot be entered, and calls are not to go on then.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        mut entry: Entry,
        trail: &Trail,
        patience: Duration,
    ) -> Result<Record, Unavailable> {
        let begun = Instant::now();
        entry.intent = self.enter(entry.clone(), patience).await?;
        entry.event = Event::Result;
        let (audit, trail) = (Arc::clone(self), trail.clone());
        trail.told().record = Some((Arc::clone(self), entry.clone()));
        Ok(Record { audit, entry, trail, begun, is_over: false })
    }
}

impl Record {
    /// Enters what came of it, before the caller is told.
    pub(crate) async fn end(mut self, code: i32, reason: &str) {
        self.is_over = true;
        let entry = self.result(code, reason);
        // It is written as soon as it can be; the intent says that there was something.
        let _written_or_late: Result<_, Unavailable> =
            self.audit.written(entry, Unwritten::Kept, RESULT_WAIT).await;
    }

    fn result(&self, code: i32, reason: &str) -> Entry {
        let Told { target, before, after, details, .. } = &*self.trail.told();
        let entry = self.entry.clone();
        Entry {
            code: Some(code),
            reason: reason.to_owned(),
            target: target.clone().unwrap_or_else(|| entry.target.clone()),
            before: before.clone(),
            after: after.clone(),
            details: entry.details.iter().chain(details).map(pair).collect(),
            took_us: micros(self.begun),
            ..entry
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.is_over {
            self.audit.post(self.result(CANCELLED, "CALL_CANCELLED"));
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Some((audit, entry)) = self.record.take() else { return };
        let took_us = micros(self.begun);
        let entry = Entry { event: Event::StreamEnd, took_us, ..entry };
        audit.post(entry.with("bytes", self.bytes).with("cause", self.cause.clone()));
    }
}

fn pair((key, value): (&String, &serde_json::Value)) -> (String, serde_json::Value) {
    (key.clone(), value.clone())
}

fn micros(since: Instant) -> Option<u64> {
    u64::try_from(since.elapsed().as_micros()).ok()
}
