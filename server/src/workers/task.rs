//! The task that owns the command port of one worker.
//!
//! A worker wakes nobody: the task polls the answer ring while something is pending, and waits for
//! calls otherwise. Each call brings the place that it takes on its ring, so a ring is never full.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mos_control::{Answer, Command, CommandPort, Refusal, Reply, Request, RequestId};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::panics;

/// How long the task polls and only yields while no answer comes, before it begins to sleep
/// between polls: as long as a worker takes that was asleep, or was kept from its CPU for a
/// moment. A number of polls would not do: where nothing else runs, hundreds are over in no time.
const POLL_FOR: Duration = Duration::from_micros(500);

/// Pause between polls after that: the finest step of the timer.
const POLL_PAUSE: Duration = Duration::from_millis(1);

/// Which of a worker's two rings a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Commands,
    Scans,
}

/// A place on a ring. It is held until the answer comes, even when nobody waits for that any more.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) lane: Lane,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// Where an answer goes.
pub(super) type Outcome = oneshot::Sender<Result<Reply, Refusal>>;

/// A command for the worker.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) command: Command,
    pub(super) outcome: Outcome,
    pub(super) place: Place,
}

/// What the task tells the clients.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Answers that came when nobody waited for them any more.
    pub(super) unclaimed: AtomicU64,
    /// Requests that the worker has not taken yet.
    pub(super) depth: AtomicUsize,
    /// Requests on the ring of scans that the worker has answered.
    pub(super) scans_answered: AtomicU64,
}

/// Owns the command port of one worker.
#[derive(Debug)]
struct Task {
    port: CommandPort,
    calls: mpsc::UnboundedReceiver<Call>,
    counts: Arc<Counts>,
    pending: HashMap<RequestId, (Outcome, Place)>,
    next_id: RequestId,
    /// When something was last sent or received.
    active: Instant,
}

/// Starts the task. It ends when nobody is left who could call.
pub(super) fn spawn(
    port: CommandPort,
    calls: mpsc::UnboundedReceiver<Call>,
    counts: Arc<Counts>,
) -> JoinHandle<()> {
    let pending = HashMap::new();
    let task = Task { port, calls, counts, pending, next_id: 0, active: Instant::now() };
    panics::spawn(format!("the way of commands to core {}", task.port.worker()), task.run())
}

impl Task {
    async fn run(mut self) {
        while self.turn().await {}
    }

    /// One look at everything. Returns false when nobody is left who could call or wait.
    async fn turn(&mut self) -> bool {
        if self.pending.is_empty() {
            let Some(call) = self.calls.recv().await else { return false };
            self.submit(call);
        }
        while let Ok(call) = self.calls.try_recv() {
            self.submit(call);
        }
        if self.collect() {
            return true;
        }
        if self.port.is_abandoned() {
            self.give_up();
            return true;
        }
        if self.active.elapsed() < POLL_FOR {
            tokio::task::yield_now().await;
            return true;
        }
        match timeout(POLL_PAUSE, self.calls.recv()).await {
            Ok(Some(call)) => self.submit(call),
            Ok(None) => return false,
            Err(_elapsed) => {}
        }
        true
    }

    /// Puts a call on its ring, or answers it at once where that cannot be.
    fn submit(&mut self, Call { command, outcome, place }: Call) {
        if outcome.is_closed() {
            return;
        }
        let worker = self.port.worker();
        let id = self.next_id;
        self.next_id += 1;
        self.active = Instant::now();
        if self.port.is_abandoned() {
            answer(&self.counts, outcome, Err(Refusal::WorkerNotRunning(worker)));
        } else if self.try_submit(place.lane, Request { id, command }).is_err() {
            answer(&self.counts, outcome, Err(Refusal::RingFull(worker)));
        } else {
            let _none_before: Option<_> = self.pending.insert(id, (outcome, place));
        }
        self.counts.depth.store(self.port.depth(), Relaxed);
    }

    fn try_submit(&mut self, lane: Lane, request: Request) -> Result<(), Request> {
        match lane {
            Lane::Commands => self.port.try_submit(request),
            Lane::Scans => self.port.try_submit_as_scan(request),
        }
    }

    /// Hands over every answer that is there. Returns whether there was one.
    fn collect(&mut self) -> bool {
        let mut any = false;
        while let Some(Answer { id, outcome }) = self.port.try_receive() {
            any = true;
            if let Some((waiting, place)) = self.pending.remove(&id) {
                let scans = u64::from(place.lane == Lane::Scans);
                self.counts.scans_answered.fetch_add(scans, Relaxed);
                answer(&self.counts, waiting, outcome);
            }
        }
        if any {
            self.active = Instant::now();
        }
        self.counts.depth.store(self.port.depth(), Relaxed);
        any
    }

    /// The worker has let go of its end: nothing more will be answered.
    fn give_up(&mut self) {
        // It may have answered between the last look at the ring and its end.
        let _answered: bool = self.collect();
        let refusal = Refusal::WorkerNotRunning(self.port.worker());
        for (_, (waiting, _place)) in self.pending.drain() {
            answer(&self.counts, waiting, Err(refusal));
        }
    }
}

fn answer(counts: &Counts, waiting: Outcome, outcome: Result<Reply, Refusal>) {
    if waiting.send(outcome).is_err() {
        counts.unclaimed.fetch_add(1, Relaxed);
    }
}
