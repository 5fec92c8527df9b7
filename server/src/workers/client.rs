//! The way from an RPC to a worker and back.
//!
//! ```text
//! commands: 256 places, refused beyond ──┐              ┌─ command ring ─▶
//!                                        ├──▶ task ──▶ ─┤                  worker
//! scans: 64 places, handed on in order ──┘              └─ scan ring ────▶
//! RPC ◀─────────────── oneshot ───────────── task ◀─────── answer ring ───
//! ```
//!
//! A place on a ring is taken before a request is sent, so nothing that lists ask for can push a
//! command out. Callers wait for a place among the scans in the order of arrival.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use mos_control::{Board, COMMAND_RING, Command, CommandPort, Phase, Refusal, Reply, SCAN_RING};
use mos_stack::WorkerId;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::task::{self, Call, Counts, Lane, Place};

/// How long a worker may take to answer before it counts as unreachable.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Every worker of the process, in the order of their indices.
#[derive(Debug, Clone)]
pub(crate) struct Workers(Arc<[WorkerClient]>);

/// The way to one worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WorkerClient {
    worker: WorkerId,
    board: Arc<Board>,
    calls: mpsc::UnboundedSender<Call>,
    /// Places on the command ring and on the scan ring; they bound `calls`, too.
    commands: Arc<Semaphore>,
    scans: Arc<Semaphore>,
    counts: Arc<Counts>,
}

/// A command that is on its way; [`PendingAnswer::wait`] fetches what came of it.
#[derive(Debug)]
#[must_use = "the answer is lost when nobody waits for it"]
pub struct PendingAnswer {
    worker: WorkerId,
    outcome: oneshot::Receiver<Result<Reply, Refusal>>,
}

/// The right to send one request down the ring of scans.
#[derive(Debug)]
pub(crate) struct ScanPlace(OwnedSemaphorePermit);

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
        let (sender, receiver) = mpsc::unbounded_channel();
        let counts = Arc::new(Counts::default());
        let client = Self {
            worker: port.worker(),
            board: Arc::clone(port.board()),
            calls: sender,
            commands: Arc::new(Semaphore::new(COMMAND_RING)),
            scans: Arc::new(Semaphore::new(SCAN_RING)),
            counts: Arc::clone(&counts),
        };
        (client, task::spawn(port, receiver, counts))
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

    /// Requests that the worker has not taken yet.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.counts.depth.load(Relaxed)
    }

    /// Answers that came when nobody waited for them any more.
    #[must_use]
    pub fn unclaimed(&self) -> u64 {
        self.counts.unclaimed.load(Relaxed)
    }

    /// Requests on the ring of scans that the worker has answered so far, to anybody: while this
    /// grows, the worker is alive and others are served first.
    #[must_use]
    pub(crate) fn scans_answered(&self) -> u64 {
        self.counts.scans_answered.load(Relaxed)
    }

    /// Sends a command without waiting for its answer.
    ///
    /// # Errors
    ///
    /// [`Refusal::WorkerNotRunning`], and [`Refusal::RingFull`] when too much is under way.
    pub fn begin(&self, command: Command) -> Result<PendingAnswer, Refusal> {
        self.check_phase()?;
        let place = Arc::clone(&self.commands).try_acquire_owned();
        let permit = place.map_err(|_full| Refusal::RingFull(self.worker))?;
        self.send(command, Place { lane: Lane::Commands, _permit: permit })
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

    /// Waits for a place on the ring of scans; places are given in the order of arrival.
    ///
    /// # Errors
    ///
    /// [`Refusal::WorkerNotRunning`].
    pub(crate) async fn scan_place(&self) -> Result<ScanPlace, Refusal> {
        let place = Arc::clone(&self.scans).acquire_owned().await;
        place.map(ScanPlace).map_err(|_closed| Refusal::WorkerNotRunning(self.worker))
    }

    /// A place on the ring of scans, if one is free and nobody waits for it.
    pub(crate) fn try_scan_place(&self) -> Option<ScanPlace> {
        Arc::clone(&self.scans).try_acquire_owned().ok().map(ScanPlace)
    }

    /// As [`Self::begin`], down the ring of scans.
    ///
    /// # Errors
    ///
    /// [`Refusal::WorkerNotRunning`].
    pub(super) fn begin_scan(
        &self,
        command: Command,
        ScanPlace(permit): ScanPlace,
    ) -> Result<PendingAnswer, Refusal> {
        self.check_phase()?;
        self.send(command, Place { lane: Lane::Scans, _permit: permit })
    }

    /// Only a worker that runs is asked.
    fn check_phase(&self) -> Result<(), Refusal> {
        match self.board.phase() {
            Phase::Running | Phase::Drained => Ok(()),
            Phase::Starting | Phase::Stopped => Err(Refusal::WorkerNotRunning(self.worker)),
        }
    }

    fn send(&self, command: Command, place: Place) -> Result<PendingAnswer, Refusal> {
        let (sender, receiver) = oneshot::channel();
        let call = Call { command, outcome: sender, place };
        self.calls.send(call).map_err(|_task_gone| Refusal::WorkerNotRunning(self.worker))?;
        Ok(PendingAnswer { worker: self.worker, outcome: receiver })
    }
}

impl PendingAnswer {
    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// As [`WorkerClient::ask`].
    pub async fn wait(self, deadline: Instant) -> Result<Reply, Refusal> {
        let no_answer = Refusal::NoAnswer(self.worker);
        timeout_at(deadline, self.outcome()).await.unwrap_or(Err(no_answer))
    }

    /// Waits for the answer as long as it takes.
    ///
    /// # Errors
    ///
    /// As [`WorkerClient::ask`], without [`Refusal::NoAnswer`].
    pub(super) async fn outcome(self) -> Result<Reply, Refusal> {
        self.outcome.await.unwrap_or(Err(Refusal::WorkerNotRunning(self.worker)))
    }
}
