//! Policies: what flows begin with that are yet to come.
//!
//! ```text
//! edit ─▶ check, compile ─▶ store (durable) ─▶ in force here ─▶ every worker ─▶ answer
//! ```
//!
//! One change is made at a time, and once it is begun it is made to its end, whether somebody waits
//! for the answer or not. Readers see the set in force and wait for nobody.

mod compile;
mod error;
mod generation;
mod policy;
mod store;
mod upkeep;

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use mos_stack::{FlowTuple, Limits, SockOpts, WorkerId, policy::PolicyTable};
use tokio::{
    sync::{Notify, OwnedMutexGuard},
    task::spawn_blocking,
    time::Instant,
};

pub use self::error::{PolicyError, StoreError, StoreFailure};
use self::{
    compile::{Compiled, Matches},
    generation::Rollback,
    store::{Found, Store},
};
pub(crate) use self::{
    generation::{Difference, Generation},
    policy::{Draft, Policy},
};
use crate::{
    panics,
    words::bounds::POLICY_GENERATIONS,
    workers::{ANSWER_TIMEOUT, WorkerClient, Workers},
};

/// Where policies are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// Nowhere: they end with the process.
    Memory,
    /// In a folder.
    Folder(PathBuf),
    /// In a file that somebody else writes: mosd only reads it.
    File(PathBuf),
}

/// The policies of this process.
#[derive(Debug)]
pub struct Policies {
    home: Home,
    limits: Limits,
    workers: usize,
    /// Held while a change is made.
    writer: Arc<tokio::sync::Mutex<Writer>>,
    current: Mutex<Arc<Compiled>>,
    /// Why older policies are in force than there should be.
    trouble: Mutex<Option<String>>,
    /// Wakes the upkeep.
    changed: Notify,
}

/// What only a change needs.
#[derive(Debug)]
struct Writer {
    store: Option<Arc<Store>>,
    /// What was in force, newest first; the first is in force now.
    history: VecDeque<Arc<Generation>>,
    /// The number of the next generation.
    next: u64,
}

/// What came of a change.
#[derive(Debug)]
pub(crate) struct Changed {
    /// The number of the generation that was in force before.
    pub(crate) former: u64,
    /// The set in force, or the one that would be.
    pub(crate) generation: Arc<Generation>,
    /// What differs from the set before.
    pub(crate) difference: Difference,
    /// Workers that do not run it yet; they get it as soon as they answer.
    pub(crate) unreachable: Vec<WorkerId>,
}

/// How a change is to be made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// Check everything, change nothing.
    pub(crate) validate_only: bool,
    /// Return to the set before unless it is confirmed in this time.
    pub(crate) confirm_within: Option<Duration>,
}

/// Who makes a change, and to whom it goes.
#[derive(Debug, Clone)]
pub(crate) struct By<'a> {
    pub(crate) workers: &'a Workers,
    pub(crate) author: &'a str,
}

/// What a file says, if that is anything new.
pub(crate) struct Prepared(Option<Compiled>);

/// Which policy a flow would begin with, and why.
#[derive(Debug)]
pub(crate) struct Explained {
    /// The policies that were tried, the one that fits last, each with what it fails by.
    pub(crate) trials: Vec<(String, Option<String>)>,
    /// What the flow would begin with; `None` if it would not be monitored.
    pub(crate) options: Option<SockOpts>,
}

impl Policies {
    /// Opens the policies of this process: those of the folder, or of the file's drafts.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used, or the drafts cannot be policies.
    pub(crate) fn open(
        home: Home,
        drafts: Vec<Draft>,
        limits: Limits,
        workers: usize,
    ) -> Result<Self, PolicyError> {
        let now = SystemTime::now();
        let (store, found) = match &home {
            Home::Folder(path) => {
                let (store, found) = Store::open(path).map_err(PolicyError::Store)?;
                (Some(Arc::new(store)), found)
            }
            Home::Memory | Home::File(_) => (None, Found::default()),
        };
        let Found { generations: mut history, unreadable } = found;
        if history.is_empty() {
            history.push_front(Arc::new(Generation::first(now)));
        }
        let newest = unreadable.first().map(|(number, _)| *number);
        let newest = newest.max(history.front().map(|kept| kept.number)).unwrap_or_default();
        if let Home::File(path) = &home {
            let author = path.display().to_string();
            let first = Generation::first(now).next(1, drafts, &author, now)?;
            history.push_front(Arc::new(first));
        }
        let trouble = trouble_with(&home, &unreadable);
        if let Some(trouble) = &trouble {
            tracing::error!(trouble, "older policies hold");
        }
        let current = history.front().map(|first| Generation::clone(first));
        let current = current.unwrap_or_else(|| Generation::first(now));
        let compiled = Compiled::new(current, &limits, &Matches::new(), workers)?;
        let writer = Writer { store, history, next: newest + 1 };
        let policies = Self {
            home,
            limits,
            workers,
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            current: Mutex::new(Arc::new(compiled)),
            trouble: Mutex::new(trouble),
            changed: Notify::new(),
        };
        if let Ok(mut writer) = policies.writer.try_lock() {
            policies.catch_up(&mut writer)?;
        }
        Ok(policies)
    }

    /// No policies, kept nowhere.
    ///
    /// # Errors
    ///
    /// None is known: the empty set can always be compiled.
    pub fn in_memory(limits: Limits, workers: usize) -> Result<Self, PolicyError> {
        Self::open(Home::Memory, Vec::new(), limits, workers)
    }

    /// Whether these drafts can be policies of workers with these bounds.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(crate) fn check(drafts: Vec<Draft>, limits: &Limits) -> Result<(), PolicyError> {
        let now = SystemTime::now();
        let set = Generation::first(now).next(1, drafts, "", now)?;
        Compiled::new(set, limits, &Matches::new(), 0).map(drop)
    }

    /// Does what is due, such as at the start what was due while the process did not run. Waits
    /// for the disk.
    fn catch_up(&self, writer: &mut Writer) -> Result<(), PolicyError> {
        while let Some(due) = upkeep::due(writer, &self.generation(), SystemTime::now()) {
            let compiled = self.compile(due)?;
            let stored = writer.store.as_ref().map(|store| store.write(&compiled.generation));
            // It holds nevertheless: whoever set a time relies on it.
            if let Some(Err(error)) = stored {
                tracing::error!(%error, "what is due is in force, but not stored");
                self.note(Some(format!("the policies in force are not stored: {error}")));
            }
            let number = compiled.generation.number;
            tracing::info!(number, by = compiled.generation.author, "policies changed");
            self.put_in_force(compiled, writer);
        }
        Ok(())
    }

    /// The table in force: what a worker begins with.
    pub(crate) fn table(&self) -> Arc<PolicyTable> {
        Arc::clone(&self.current().table)
    }

    /// The set in force.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.current().generation)
    }

    /// Whether a change is still there after a restart.
    pub(crate) const fn is_durable(&self) -> bool {
        !matches!(self.home, Home::Memory)
    }

    /// Why older policies hold than there should be.
    pub(crate) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// The flows that a policy has matched since the start.
    pub(crate) fn matches(&self, id: &str) -> u64 {
        self.current().matches.get(id).map_or(0, |count| count.sum())
    }

    /// The generations that are kept, newest first.
    pub(crate) async fn history(&self) -> Vec<Arc<Generation>> {
        self.writer.lock().await.history.iter().cloned().collect()
    }

    /// Which policy a flow with this tuple would begin with, and why not with those before it.
    pub(crate) fn explain(&self, tuple: &FlowTuple) -> Explained {
        let current = self.current();
        let mut trials = Vec::new();
        for Policy { draft, .. } in &current.generation.policies {
            // It was read before: else it would not be in force.
            let failed = match compile::filter(draft) {
                Ok(filter) => filter.failed_by(tuple),
                Err(error) => Some(error.to_string()),
            };
            let fits = failed.is_none();
            trials.push((draft.id.clone(), failed));
            if fits {
                let options = draft.monitor.then(|| self.limits.start_with(&draft.options).ok());
                return Explained { trials, options: options.flatten() };
            }
        }
        Explained { trials, options: Some(self.limits.defaults) }
    }

    /// Changes the set: `edit` makes the new drafts from the set in force.
    pub(crate) async fn change(
        self: &Arc<Self>,
        by: By<'_>,
        how: How,
        edit: impl FnOnce(&Generation) -> Result<Vec<Draft>, PolicyError>,
    ) -> Result<Changed, PolicyError> {
        if let Home::File(path) = &self.home {
            return Err(PolicyError::FromFile(path.clone()));
        }
        let writer = Arc::clone(&self.writer).lock_owned().await;
        let former = self.generation();
        if former.rollback.is_some() {
            return Err(PolicyError::Unconfirmed(former.number));
        }
        let now = SystemTime::now();
        let mut next = former.next(writer.next, edit(&former)?, by.author, now)?;
        let rollback =
            how.confirm_within.map(|within| Rollback { to: former.number, at: now + within });
        next.rollback = rollback;
        let compiled = self.compile_aside(next).await?;
        let difference = compiled.generation.difference(&former);
        if how.validate_only || difference.is_none() {
            let number = former.number;
            let generation = if difference.is_none() { former } else { compiled.generation };
            return Ok(Changed { former: number, generation, difference, unreachable: Vec::new() });
        }
        self.commit(writer, compiled, by.workers).await
    }

    /// Returns to the set of an older generation, as a new one.
    pub(crate) async fn roll_back(
        self: &Arc<Self>,
        by: By<'_>,
        how: How,
        to: u64,
    ) -> Result<Changed, PolicyError> {
        let history = self.history().await;
        let older = history.iter().find(|kept| kept.number == to);
        let drafts = older.ok_or(PolicyError::GenerationNotFound(to))?.drafts();
        self.change(by, how, |_| Ok(drafts)).await
    }

    /// Confirms the set in force, so that it stays.
    pub(crate) async fn confirm(
        self: &Arc<Self>,
        by: By<'_>,
        number: u64,
    ) -> Result<Changed, PolicyError> {
        let writer = Arc::clone(&self.writer).lock_owned().await;
        let current = self.pending(number)?;
        let confirmed = Generation { rollback: None, ..Generation::clone(&current) };
        self.commit(writer, self.compile_aside(confirmed).await?, by.workers).await
    }

    /// Returns at once to the set that was in force before the one that waits to be confirmed.
    pub(crate) async fn cancel(
        self: &Arc<Self>,
        by: By<'_>,
        number: u64,
    ) -> Result<Changed, PolicyError> {
        let writer = Arc::clone(&self.writer).lock_owned().await;
        let current = self.pending(number)?;
        let now = SystemTime::now();
        let next = upkeep::rolled_back(&writer, &current, by.author, now)
            .ok_or(PolicyError::GenerationNotFound(number))?;
        self.commit(writer, self.compile_aside(next).await?, by.workers).await
    }

    /// The set in force, if it has this number and waits to be confirmed.
    fn pending(&self, number: u64) -> Result<Arc<Generation>, PolicyError> {
        let current = self.generation();
        let is_pending = current.number == number && current.rollback.is_some();
        if is_pending { Ok(current) } else { Err(PolicyError::NotPending(number)) }
    }

    /// Checks what the file says now. Nothing changes yet.
    pub(crate) fn prepare(&self, path: &Path, drafts: Vec<Draft>) -> Result<Prepared, PolicyError> {
        let (former, author) = (self.generation(), path.display().to_string());
        let next = former.next(former.number + 1, drafts, &author, SystemTime::now())?;
        let compiled = self.compile(next)?;
        let differs = !compiled.generation.difference(&former).is_none();
        Ok(Prepared(Some(compiled).filter(|_| differs)))
    }

    /// Puts in force what was prepared; the upkeep gives it to the workers. Not for a thread of the
    /// runtime: it waits for a change that is being made.
    pub(crate) fn take(&self, Prepared(compiled): Prepared) {
        let Some(compiled) = compiled else { return };
        let Generation { number, author, policies, .. } = &*compiled.generation;
        tracing::info!(number, by = author, policies = policies.len(), "policies changed");
        self.put_in_force(compiled, &mut self.writer.blocking_lock());
        self.changed.notify_one();
    }

    /// Makes a change to its end, whether or not anybody waits for that.
    async fn commit(
        self: &Arc<Self>,
        mut writer: OwnedMutexGuard<Writer>,
        compiled: Compiled,
        workers: &Workers,
    ) -> Result<Changed, PolicyError> {
        let (this, workers) = (Arc::clone(self), workers.clone());
        let committed = tokio::spawn(panics::contained(async move {
            this.store(&writer, &compiled).await?;
            let generation = Arc::clone(&compiled.generation);
            let former = this.generation();
            let (difference, former) = (generation.difference(&former), former.number);
            this.put_in_force(compiled, &mut writer);
            let unreachable = this.activate(&workers.iter().collect::<Vec<_>>()).await;
            let Generation { number, author, policies, .. } = &*generation;
            tracing::info!(number, by = author, policies = policies.len(), "policies changed");
            Ok(Changed { former, generation, difference, unreachable })
        }));
        match committed.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(unfinished()),
        }
    }

    async fn store(&self, writer: &Writer, compiled: &Compiled) -> Result<(), PolicyError> {
        let Some(store) = writer.store.clone() else { return Ok(()) };
        let generation = Arc::clone(&compiled.generation);
        // The disk may hang: no thread of the runtime waits for it.
        let written = spawn_blocking(move || store.write(&generation)).await;
        written.map_err(|_panicked| unfinished())?.map_err(PolicyError::Store)?;
        self.note(None);
        Ok(())
    }

    /// Compiles off the threads of the runtime: a large set takes a while.
    async fn compile_aside(
        self: &Arc<Self>,
        generation: Generation,
    ) -> Result<Compiled, PolicyError> {
        let this = Arc::clone(self);
        let compiled = spawn_blocking(move || this.compile(generation)).await;
        compiled.unwrap_or_else(|_panicked| Err(unfinished()))
    }

    fn compile(&self, generation: Generation) -> Result<Compiled, PolicyError> {
        Compiled::new(generation, &self.limits, &self.current().matches, self.workers)
    }

    fn put_in_force(&self, compiled: Compiled, writer: &mut Writer) {
        let number = compiled.generation.number;
        // One that was confirmed takes its own place.
        drop(writer.history.pop_front_if(|first| first.number == number));
        writer.history.push_front(Arc::clone(&compiled.generation));
        writer.history.truncate(POLICY_GENERATIONS);
        writer.next = writer.next.max(number + 1);
        *lock(&self.current) = Arc::new(compiled);
    }

    /// Gives workers the table in force. Returns those that do not run it yet.
    async fn activate(&self, workers: &[&WorkerClient]) -> Vec<WorkerId> {
        let (table, deadline) = (self.table(), Instant::now() + ANSWER_TIMEOUT);
        let ask =
            |client: &&WorkerClient| (client.worker(), client.set_policies(Arc::clone(&table)));
        let asked: Vec<_> = workers.iter().map(ask).collect();
        let mut unreachable = Vec::new();
        for (worker, asked) in asked {
            if let Err(error) = asked.reply_by(deadline).await {
                tracing::warn!(core = %worker, %error, "this core does not run the policies yet");
                unreachable.push(worker);
            }
        }
        unreachable
    }

    fn note(&self, trouble: Option<String>) {
        *lock(&self.trouble) = trouble;
    }

    fn current(&self) -> Arc<Compiled> {
        Arc::clone(&lock(&self.current))
    }
}

/// Part of a change has ended by a panic, which the log tells.
fn unfinished() -> PolicyError {
    let message = "the change was not finished".to_owned();
    PolicyError::Store(StoreError { kind: StoreFailure::Failed, message })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is told of generations that cannot be read.
fn trouble_with(home: &Home, unreadable: &[(u64, String)]) -> Option<String> {
    let (Home::Folder(path), Some((number, problem))) = (home, unreadable.first()) else {
        return None;
    };
    let path: &Path = path;
    Some(format!("{} of policies.{number} cannot be used: {problem}", path.display()))
}
