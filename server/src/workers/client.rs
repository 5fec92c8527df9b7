//! The way from an RPC to a worker and back: one task for each worker owns its command port.
//!
//! ```text
//! RPC ── bounded mpsc ──▶ task ── command ring ──▶ worker
//! RPC ◀─── oneshot ────── task ◀── answer ring ─── worker
//! ```
//!
//! A worker wakes nobody: the task polls the answer ring while something is pending, and waits on
//! the mpsc otherwise. Nothing here ever waits for room: a full ring is an answer of its own.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use mos_control::{
    Answer, Board, COMMAND_RING, Command, CommandPort, Phase, Refusal, Reply, Request, RequestId,
};
use mos_stack::WorkerId;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

/// How long the task polls and only yields while no answer comes, before it begins to sleep
/// between polls: as long as a worker takes that was asleep, or was kept from its CPU for a
/// moment. A number of polls would not do: where nothing else runs, hundreds are over in no time.
const POLL_FOR: Duration = Duration::from_micros(500);

/// Pause between polls after that: the finest step of the timer.
const POLL_PAUSE: Duration = Duration::from_millis(1);

/// Every worker of the process, in the order of their indices.
#[derive(Debug, Clone)]
pub(crate) struct Workers(Arc<[WorkerClient]>);

/// The way to one worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WorkerClient {
    worker: WorkerId,
    board: Arc<Board>,
    calls: mpsc::Sender<Call>,
    counts: Arc<Counts>,
}

/// A command that is on its way; [`PendingAnswer::wait`] fetches what came of it.
#[derive(Debug)]
#[must_use = "the answer is lost when nobody waits for it"]
pub struct PendingAnswer {
    worker: WorkerId,
    outcome: oneshot::Receiver<Result<Reply, Refusal>>,
}

#[derive(Debug)]
struct Call {
    command: Command,
    outcome: oneshot::Sender<Result<Reply, Refusal>>,
}

#[derive(Debug, Default)]
struct Counts {
    unclaimed: AtomicU64,
    depth: AtomicUsize,
}

/// Owns the command port of one worker.
#[derive(Debug)]
struct Task {
    port: CommandPort,
    calls: mpsc::Receiver<Call>,
    counts: Arc<Counts>,
    pending: HashMap<RequestId, oneshot::Sender<Result<Reply, Refusal>>>,
    next_id: RequestId,
    /// When something was last sent or received.
    active: std::time::Instant,
}

impl Workers {
    /// Starts one task for each port. The tasks end when the last clone of the returned value is
    /// dropped.
    #[must_use]
    pub(crate) fn spawn(ports: Vec<CommandPort>) -> Self {
        Self(ports.into_iter().map(|port| WorkerClient::spawn(port).0).collect())
    }

    /// All of them.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, WorkerClient> {
        self.0.iter()
    }

    /// The worker with this index.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchWorker`].
    pub(crate) fn get(&self, worker: WorkerId) -> Result<&WorkerClient, Refusal> {
        self.0.iter().find(|client| client.worker == worker).ok_or(Refusal::NoSuchWorker(worker))
    }

    /// Sends one command to the worker that it is for, and waits for the answer.
    ///
    /// # Errors
    ///
    /// As [`WorkerClient::ask`], and [`Refusal::NoSuchWorker`].
    pub(crate) async fn ask(
        &self,
        worker: WorkerId,
        command: Command,
        deadline: Instant,
    ) -> Result<Reply, Refusal> {
        self.get(worker)?.ask(command, deadline).await
    }
}

impl<'a> IntoIterator for &'a Workers {
    type Item = &'a WorkerClient;
    type IntoIter = std::slice::Iter<'a, WorkerClient>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl WorkerClient {
    /// Starts the task that owns the port. It ends when the last clone of the client is dropped.
    pub fn spawn(port: CommandPort) -> (Self, JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(COMMAND_RING);
        let counts = Arc::new(Counts::default());
        let client = Self {
            worker: port.worker(),
            board: Arc::clone(port.board()),
            calls: sender,
            counts: Arc::clone(&counts),
        };
        let pending = HashMap::new();
        let active = std::time::Instant::now();
        let task = Task { port, calls: receiver, counts, pending, next_id: 0, active };
        (client, tokio::spawn(task.run()))
    }

    /// The worker at the other end.
    #[must_use]
    pub const fn worker(&self) -> WorkerId {
        self.worker
    }

    /// What the worker publishes of itself.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Commands that the worker has not taken yet.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.counts.depth.load(Relaxed)
    }

    /// Answers that came when nobody waited for them any more.
    #[must_use]
    pub fn unclaimed(&self) -> u64 {
        self.counts.unclaimed.load(Relaxed)
    }

    /// Sends a command without waiting for its answer.
    ///
    /// # Errors
    ///
    /// [`Refusal::WorkerNotRunning`], and [`Refusal::RingFull`] when too much is under way.
    pub fn begin(&self, command: Command) -> Result<PendingAnswer, Refusal> {
        match self.board.phase() {
            Phase::Running | Phase::Drained => {}
            Phase::Starting | Phase::Stopped => {
                return Err(Refusal::WorkerNotRunning(self.worker));
            }
        }
        let (sender, receiver) = oneshot::channel();
        self.calls.try_send(Call { command, outcome: sender }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::RingFull(self.worker),
            mpsc::error::TrySendError::Closed(_) => Refusal::WorkerNotRunning(self.worker),
        })?;
        Ok(PendingAnswer { worker: self.worker, outcome: receiver })
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    ///
    /// What the worker refuses; [`Refusal::RingFull`] at once; [`Refusal::WorkerNotRunning`] when
    /// it has stopped; [`Refusal::NoAnswer`] at the deadline: the command may still be carried out.
    pub async fn ask(&self, command: Command, deadline: Instant) -> Result<Reply, Refusal> {
        let start = Instant::now();
        let outcome = self.begin(command)?.wait(deadline).await;
        metrics::histogram!("mosd_core_command_seconds").record(start.elapsed().as_secs_f64());
        outcome
    }
}

impl PendingAnswer {
    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// As [`WorkerClient::ask`].
    pub async fn wait(self, deadline: Instant) -> Result<Reply, Refusal> {
        match timeout_at(deadline, self.outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_dropped)) => Err(Refusal::WorkerNotRunning(self.worker)),
            Err(_elapsed) => Err(Refusal::NoAnswer(self.worker)),
        }
    }
}

impl Task {
    async fn run(mut self) {
        while self.turn().await {}
    }

    /// One look at everything. Returns false when nobody is left who could ask or wait.
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

    /// Puts a call on the ring, or answers it at once where that cannot be.
    fn submit(&mut self, Call { command, outcome }: Call) {
        if outcome.is_closed() {
            return;
        }
        let worker = self.port.worker();
        let id = self.next_id;
        self.next_id += 1;
        self.active = std::time::Instant::now();
        if self.port.is_abandoned() {
            answer(&self.counts, outcome, Err(Refusal::WorkerNotRunning(worker)));
        } else if self.port.try_submit(Request { id, command }).is_err() {
            answer(&self.counts, outcome, Err(Refusal::RingFull(worker)));
        } else {
            let _none_before: Option<_> = self.pending.insert(id, outcome);
        }
        self.counts.depth.store(self.port.depth(), Relaxed);
    }

    /// Hands over every answer that is there. Returns whether there was one.
    fn collect(&mut self) -> bool {
        let mut any = false;
        while let Some(Answer { id, outcome }) = self.port.try_receive() {
            any = true;
            if let Some(waiting) = self.pending.remove(&id) {
                answer(&self.counts, waiting, outcome);
            }
        }
        if any {
            self.active = std::time::Instant::now();
        }
        self.counts.depth.store(self.port.depth(), Relaxed);
        any
    }

    /// The worker has let go of its end: nothing more will be answered.
    fn give_up(&mut self) {
        // It may have answered between the last look at the ring and its end.
        let _answered: bool = self.collect();
        let refusal = Refusal::WorkerNotRunning(self.port.worker());
        for (_, waiting) in self.pending.drain() {
            answer(&self.counts, waiting, Err(refusal));
        }
    }
}

fn answer(
    counts: &Counts,
    waiting: oneshot::Sender<Result<Reply, Refusal>>,
    outcome: Result<Reply, Refusal>,
) {
    if waiting.send(outcome).is_err() {
        counts.unclaimed.fetch_add(1, Relaxed);
    }
}

/// Keeps several answers of one worker under way, in order.
#[derive(Debug, Default)]
pub(crate) struct Pipeline(VecDeque<PendingAnswer>);

impl Pipeline {
    /// Commands under way.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends one more command.
    ///
    /// # Errors
    ///
    /// As [`WorkerClient::begin`].
    pub(crate) fn push(&mut self, client: &WorkerClient, command: Command) -> Result<(), Refusal> {
        self.0.push_back(client.begin(command)?);
        Ok(())
    }

    /// Waits for the oldest answer; `None` when nothing is under way.
    pub(crate) async fn next(&mut self, deadline: Instant) -> Option<Result<Reply, Refusal>> {
        Some(self.0.pop_front()?.wait(deadline).await)
    }
}
