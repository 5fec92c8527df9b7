//! The audit: who did what, and what was in force before. Lines of JSON in a file, each chained to
//! the one before, on the disk before a change is made and before it is answered.
//!
//! ```text
//! call ─▶ intent on the disk ─▶ it is carried out ─▶ result on the disk ─▶ answer
//! ```
//!
//! All calls that wait are written at once, by a thread of its own. What is neither a change nor a
//! look at payload is not waited for.

mod denials;
mod entry;
mod journal;
mod pages;
mod queue;
mod record;

#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::counter;
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    entry::{Entry, Event, Line, Values},
    pages::{Page, Position, Query},
    record::{Ending, Record, Trail},
};
use self::{
    journal::Journal,
    queue::{Queue, Unwritten},
};

/// What becomes of a call that cannot be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It is refused.
    #[default]
    Refuse,
    /// It is carried out, and counted.
    Allow,
}

/// A call cannot be entered, and is not carried out therefore.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit cannot be written, and nothing is done that it would not show: {0}")]
pub struct Unavailable(pub String);

/// The audit of this process.
#[derive(Debug)]
pub struct Audit {
    /// `None`: nothing is entered.
    to: Option<(PathBuf, Arc<Queue>)>,
    on_failure: OnFailure,
    /// Pages are read one after the other: each costs a few MiB of lines.
    reading: tokio::sync::Mutex<()>,
}

impl Audit {
    /// Nothing is entered.
    #[must_use]
    pub fn off() -> Arc<Self> {
        Self::new(None, OnFailure::Allow)
    }

    /// What happens is entered in this file. One that cannot be opened is tried again at each
    /// entry.
    ///
    /// # Errors
    ///
    /// When the thread that writes it cannot be started.
    pub(crate) fn open(path: PathBuf, on_failure: OnFailure) -> std::io::Result<Arc<Self>> {
        let queue = Queue::begin(Journal::new(path.clone(), None))?;
        Ok(Self::new(Some((path, queue)), on_failure))
    }

    fn new(to: Option<(PathBuf, Arc<Queue>)>, on_failure: OnFailure) -> Arc<Self> {
        Arc::new(Self { to, on_failure, reading: tokio::sync::Mutex::default() })
    }

    /// The file; `None` where nothing is entered.
    pub(crate) fn path(&self) -> Option<&PathBuf> {
        self.to.as_ref().map(|(path, _)| path)
    }

    /// What becomes of a call that cannot be entered.
    pub(crate) const fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    /// Why nothing can be written.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.to.as_ref().and_then(|(_, queue)| queue.trouble())
    }

    /// Enters something that nobody waits for.
    pub(crate) fn post(&self, entry: Entry) {
        if let Some((_, queue)) = &self.to {
            queue.post(entry);
        }
    }

    /// Enters something that a caller can cause as often as it likes: so many a second, and how
    /// many there were besides.
    pub(crate) fn post_some(&self, entry: Entry) {
        if let Some((_, queue)) = &self.to
            && let Some(entry) = queue.denials.admit(entry, Instant::now())
        {
            queue.post(entry);
        }
    }

    /// Enters something before it is done. Returns its number, if it has one.
    async fn enter(&self, entry: Entry, patience: Duration) -> Result<Option<u64>, Unavailable> {
        let unwritten = match self.on_failure {
            OnFailure::Refuse => Unwritten::Dropped,
            OnFailure::Allow => Unwritten::Kept,
        };
        let method = entry.method.clone();
        match (self.written(entry, unwritten, patience).await, self.on_failure) {
            (Ok(number), _) => Ok(number),
            (Err(unavailable), OnFailure::Refuse) => Err(unavailable),
            (Err(Unavailable(why)), OnFailure::Allow) => {
                counter!("mosd_audit_unaudited_total").increment(1);
                tracing::error!(why, method, "a call goes on that is not on the disk yet");
                Ok(None)
            }
        }
    }

    /// Enters something, and waits until it is on the disk.
    async fn written(
        &self,
        entry: Entry,
        unwritten: Unwritten,
        patience: Duration,
    ) -> Result<Option<u64>, Unavailable> {
        let Some((_, queue)) = &self.to else { return Ok(None) };
        let outcome = queue.enter(entry, unwritten).map_err(Unavailable)?;
        match tokio::time::timeout(patience, outcome).await {
            Ok(Ok(outcome)) => outcome.map(Some).map_err(Unavailable),
            Ok(Err(_gone)) => Err(Unavailable("mosd is stopping".to_owned())),
            Err(_elapsed) => Err(Unavailable("the disk does not answer in time".to_owned())),
        }
    }

    /// Writes what waits; waits for that, but not for longer than this.
    pub(crate) fn close(&self, patience: Duration) {
        if let Some((_, queue)) = &self.to {
            queue.close(patience);
        }
    }
}
