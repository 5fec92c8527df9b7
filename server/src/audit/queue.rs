//! What waits to be written, and the thread that writes it: as many entries at once as wait.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use metrics::counter;
use tokio::sync::oneshot;

use super::{
    denials::Denials,
    entry::{Entry, Event},
    journal::{Appended, Dated, Journal},
};
use crate::words::bounds::{AUDIT_BATCH, AUDIT_QUEUE};

/// Time after which a write that has failed is tried again, where nobody waits for one.
const RETRY: Duration = Duration::from_secs(1);

/// How often the log is told where the chain is.
const ANCHOR_EVERY: Duration = Duration::from_secs(60);

/// What becomes of an entry: its number, or why it is not written.
type Outcome = Result<u64, String>;

/// Entries on their way to the disk.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the thread.
    changed: Condvar,
    pub(super) denials: Denials,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Entries that nobody waits for and that there was no room for.
    lost: u64,
    /// Why the last write has failed.
    trouble: Option<String>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// Entries come.
    #[default]
    Open,
    /// What waits is written, and no more.
    Closed,
    /// All is written.
    Done,
}

/// What becomes of an entry that cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unwritten {
    /// It is written as soon as it can be.
    Kept,
    /// It is not entered.
    Dropped,
}

/// An entry that is to be written.
#[derive(Debug)]
struct Waiting {
    dated: Dated,
    unwritten: Unwritten,
    /// Who waits for it.
    told: Option<oneshot::Sender<Outcome>>,
}

impl Queue {
    /// A queue, and a thread that writes it to these files.
    ///
    /// # Errors
    ///
    /// When there is no thread.
    pub(super) fn begin(journal: Journal) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            denials: Denials::default(),
        });
        let writer = Writer {
            queue: Arc::clone(&queue),
            journal,
            backlog: Vec::new(),
            anchored: (0, Instant::now()),
        };
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        Ok(queue)
    }

    /// Adds an entry that somebody waits for.
    ///
    /// # Errors
    ///
    /// When too many wait already.
    pub(super) fn enter(
        &self,
        entry: Entry,
        unwritten: Unwritten,
    ) -> Result<oneshot::Receiver<Outcome>, String> {
        let (told, outcome) = oneshot::channel();
        let waiting = Waiting { dated: (SystemTime::now(), entry), unwritten, told: Some(told) };
        let mut state = self.lock();
        if state.waiting.len() >= AUDIT_QUEUE {
            return Err(format!("{AUDIT_QUEUE} entries wait to be written already"));
        }
        state.waiting.push_back(waiting);
        self.changed.notify_one();
        Ok(outcome)
    }

    /// Adds an entry that nobody waits for. One that finds no room is counted.
    pub(super) fn post(&self, entry: Entry) {
        let waiting =
            Waiting { dated: (SystemTime::now(), entry), unwritten: Unwritten::Kept, told: None };
        let mut state = self.lock();
        if state.waiting.len() < AUDIT_QUEUE {
            state.waiting.push_back(waiting);
            self.changed.notify_one();
        } else {
            state.lose();
        }
    }

    /// Why entries cannot be written, or were lost.
    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// Writes what waits, and no more; waits for that, but not for longer than this.
    pub(super) fn close(&self, patience: Duration) {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        self.changed.notify_all();
        let until = Instant::now() + patience;
        while let Some(left) = until.checked_duration_since(Instant::now())
            && state.phase != Phase::Done
        {
            let waited = self.changed.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next entries, and whether they are the last ones; none after a while.
    fn take(&self, patience: Duration) -> (Vec<Waiting>, bool) {
        let waited = self.changed.wait_timeout_while(self.lock(), patience, |state| {
            state.waiting.is_empty() && state.phase == Phase::Open
        });
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let count = state.waiting.len().min(AUDIT_BATCH);
        let mut batch: Vec<Waiting> = state.waiting.drain(..count).collect();
        if let Some(Waiting { dated: (_, entry), .. }) = batch.first_mut() {
            let lost = std::mem::take(&mut state.lost);
            entry.lost += lost;
        }
        (batch, state.phase == Phase::Closed && state.waiting.is_empty())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One entry is lost, which the next one tells.
    fn lose(&mut self) {
        counter!("mosd_audit_lost_total").increment(1);
        self.lost += 1;
    }
}

/// The thread that writes.
#[derive(Debug)]
struct Writer {
    queue: Arc<Queue>,
    journal: Journal,
    /// What nobody waits for and could not be written so far.
    backlog: Vec<Dated>,
    /// The number that the log was told last, and when.
    anchored: (u64, Instant),
}

impl Writer {
    fn run(mut self) {
        loop {
            let patience = if self.backlog.is_empty() { ANCHOR_EVERY } else { RETRY };
            let (batch, is_last) = self.queue.take(patience);
            let overdue = self.queue.denials.overdue(Instant::now()).into_iter();
            self.backlog.extend(overdue.map(|entry| (SystemTime::now(), entry)));
            if !(batch.is_empty() && self.backlog.is_empty()) {
                self.write(batch);
            }
            if is_last {
                break;
            }
            if self.anchored.1.elapsed() >= ANCHOR_EVERY {
                self.anchor();
            }
        }
        self.anchor();
        self.queue.lock().phase = Phase::Done;
        self.queue.changed.notify_all();
    }

    /// Writes all that there is, or nothing.
    fn write(&mut self, batch: Vec<Waiting>) {
        let backlog = std::mem::take(&mut self.backlog);
        let ahead = backlog.into_iter().map(|dated| Waiting {
            dated,
            unwritten: Unwritten::Kept,
            told: None,
        });
        let all: Vec<Waiting> = ahead.chain(batch).collect();
        let entries: Vec<&Dated> = all.iter().map(|waiting| &waiting.dated).collect();
        let appended = self.journal.append(&entries);
        match appended {
            Ok(appended) => self.succeed(all, appended),
            Err(error) => self.fail(&error.to_string(), all),
        }
    }

    fn succeed(&mut self, all: Vec<Waiting>, Appended { first, has_begun }: Appended) {
        if self.queue.lock().trouble.take().is_some() {
            tracing::info!("the audit can be written again");
        }
        for (Waiting { dated: (_, entry), told, .. }, number) in all.into_iter().zip(first..) {
            let event = entry.event.as_str();
            counter!("mosd_audit_entries_total", "event" => event).increment(1);
            // An error means that nobody waits any more.
            let _told_or_gone = told.map(|told| told.send(Ok(number)));
        }
        if has_begun {
            self.anchor();
        }
    }

    /// Tells who waits, and keeps what is to be kept.
    fn fail(&mut self, problem: &str, all: Vec<Waiting>) {
        counter!("mosd_audit_failures_total").increment(1);
        if self.queue.lock().trouble.replace(problem.to_owned()).is_none() {
            tracing::error!(problem, "the audit cannot be written");
            let failed = Entry { reason: problem.to_owned(), ..Entry::of(Event::Failed) };
            self.backlog.push((SystemTime::now(), failed));
        }
        for Waiting { dated, unwritten, told } in all {
            let _told_or_gone = told.map(|told| told.send(Err(problem.to_owned())));
            let is_kept = unwritten == Unwritten::Kept;
            if is_kept && self.backlog.len() < AUDIT_QUEUE {
                self.backlog.push(dated);
            } else if is_kept {
                self.queue.lock().lose();
            }
        }
    }

    /// Tells the log where the chain is: whoever changes the files has to change that, too.
    fn anchor(&mut self) {
        let Some(chain) = self.journal.chain() else { return };
        let last = chain.next.saturating_sub(1);
        if last != self.anchored.0 {
            tracing::info!(seq = last, digest = %chain.prev, "the audit has come to this line");
        }
        self.anchored = (last, Instant::now());
    }
}
