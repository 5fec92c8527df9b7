//! Changes options of many flows: batches for the worker of each, all workers at once.
//!
//! Batches take places among the scans: they keep the pace of these, and no number of them delays
//! the change of a single flow. A flow is changed by its handle: another connection with the same
//! addresses never is.

use std::{collections::VecDeque, iter::Peekable, mem::discriminant, time::Duration};

use mos_control::{SOCK_OPT_BATCH, SockOptBatch, SockOptItem};
use mos_stack::{Applied, FlowId, SockOptError, WorkerId};
use tokio::{task::JoinSet, time::Instant};

use super::{before::Before, walk::wait};
use crate::workers::{Asked, WorkerClient, Workers};

/// Batches of one worker under way at once for one caller, at most.
const BATCHES_MAX: usize = 8;

/// Flows told of one kind of failure, at most.
const SAMPLE_MAX: usize = 10;

/// Time kept back for the answers of the last batches; a quarter of all time at most.
const CLOSING_TIME: Duration = Duration::from_millis(200);

/// The changes of the flows of one worker.
pub(crate) struct Share<I> {
    /// Whose flows.
    pub(crate) worker: WorkerId,
    /// What is changed of each.
    pub(crate) items: I,
}

/// What came of the change of many flows. Every flow is in one of the counts.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Flows that have other options now.
    pub(crate) changed: u64,
    /// Flows that already had the options.
    pub(crate) unchanged: u64,
    /// Flows that had ended.
    pub(crate) ended: u64,
    /// Flows whose options are of another revision than expected.
    pub(crate) overtaken: u64,
    /// Flows that refused the change.
    pub(crate) failures: Vec<Failure>,
    /// Flows of which that is not known: the time was over, or their core did not answer.
    pub(crate) unreached: u64,
    /// Buffered bytes discarded.
    pub(crate) discarded_bytes: u64,
    /// What was in force before, of those that changed, by worker.
    pub(crate) before: Vec<(WorkerId, Vec<Before>)>,
}

/// Failures of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The first of them.
    pub(crate) error: SockOptError,
    /// How many flows.
    pub(crate) flows: u64,
    /// The first of these flows, at least one.
    pub(crate) sample: Vec<FlowId>,
}

impl Outcome {
    /// Flows that refused the change.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.iter().map(|failure| failure.flows).sum()
    }

    fn known(&self) -> u64 {
        self.changed + self.unchanged + self.ended + self.overtaken + self.failed()
    }

    /// Notes what came of one change.
    fn note(
        &mut self,
        flow: FlowId,
        outcome: Result<Applied, SockOptError>,
        before: &mut Vec<Before>,
    ) {
        match outcome {
            Ok(Applied { unchanged: true, .. }) => self.unchanged += 1,
            Ok(applied) => {
                self.changed += 1;
                self.discarded_bytes += applied.discarded_bytes;
                before.push(Before::of(flow, &applied));
            }
            Err(SockOptError::Lookup(_)) => self.ended += 1,
            Err(SockOptError::RevisionMismatch { .. }) => self.overtaken += 1,
            Err(
                error @ (SockOptError::Stopped { .. }
                | SockOptError::Locked { .. }
                | SockOptError::OutOfRange { .. }
                | SockOptError::PoolExhausted { .. }),
            ) => self.fail(Failure { error, flows: 1, sample: vec![flow] }),
        }
    }

    /// Adds failures to those of their kind.
    fn fail(&mut self, more: Failure) {
        let kind = discriminant(&more.error);
        match self.failures.iter_mut().find(|failure| discriminant(&failure.error) == kind) {
            None => self.failures.push(more),
            Some(failure) => {
                failure.flows += more.flows;
                let room = SAMPLE_MAX - failure.sample.len();
                failure.sample.extend(more.sample.into_iter().take(room));
            }
        }
    }

    /// Adds what came of other flows.
    fn add(&mut self, other: Self) {
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.ended += other.ended;
        self.overtaken += other.overtaken;
        self.discarded_bytes += other.discarded_bytes;
        self.before.extend(other.before);
        other.failures.into_iter().for_each(|failure| self.fail(failure));
    }
}

/// Changes the flows of all shares until the deadline. To drop the future ends it: what was sent
/// may still be carried out then.
pub(crate) async fn change_all<I>(
    workers: &Workers,
    shares: Vec<Share<I>>,
    deadline: Instant,
) -> Outcome
where
    I: ExactSizeIterator<Item = SockOptItem> + Send + 'static,
{
    let total: usize = shares.iter().map(|share| share.items.len()).sum();
    let mut running = JoinSet::new();
    for Share { worker, items } in shares {
        if let Ok(client) = workers.get(worker) {
            running.spawn(Run::new(client.clone(), items, deadline).run());
        }
    }
    let mut outcome = Outcome::default();
    while let Some(done) = running.join_next().await {
        // What a panic leaves unknown is counted as such below.
        done.into_iter().for_each(|done| outcome.add(done));
    }
    outcome.unreached = u64::try_from(total).unwrap_or(u64::MAX) - outcome.known();
    outcome
}

/// The changes of one worker's flows.
struct Run<I: Iterator<Item = SockOptItem>> {
    client: WorkerClient,
    items: Peekable<I>,
    /// What a worker left undone.
    again: VecDeque<SockOptItem>,
    under_way: VecDeque<Asked<Box<SockOptBatch>>>,
    /// From when on nothing is sent.
    late_at: Instant,
    deadline: Instant,
    /// Memory to send down again.
    spare: VecDeque<Box<SockOptBatch>>,
}

impl<I: Iterator<Item = SockOptItem>> Run<I> {
    fn new(client: WorkerClient, items: I, deadline: Instant) -> Self {
        let left = deadline.saturating_duration_since(Instant::now());
        Self {
            client,
            items: items.peekable(),
            again: VecDeque::new(),
            under_way: VecDeque::new(),
            late_at: deadline - (left / 4).min(CLOSING_TIME),
            deadline,
            spare: VecDeque::new(),
        }
    }

    /// Sends batches and notes their outcomes, until all is done or the worker does not answer.
    async fn run(mut self) -> Outcome {
        let mut outcome = Outcome::default();
        let mut before = Vec::new();
        loop {
            self.send().await;
            let Some(oldest) = self.under_way.pop_front() else { break };
            let Ok(Ok(batch)) = wait(&self.client, self.deadline, oldest.reply()).await else {
                break;
            };
            for (item, result) in batch.tried() {
                outcome.note(item.flow, *result, &mut before);
            }
            self.again.extend(batch.untried());
            self.spare.push_back(batch);
        }
        outcome.before = vec![(self.client.worker(), before)];
        outcome
    }

    /// Keeps batches under way, as far as others leave places for them.
    async fn send(&mut self) {
        while self.under_way.len() < BATCHES_MAX && self.has_more() && Instant::now() < self.late_at
        {
            let place = match self.client.try_scan_place() {
                Some(place) => place,
                None if !self.under_way.is_empty() => return,
                None => match wait(&self.client, self.deadline, self.client.scan_place()).await {
                    Ok(Ok(place)) => place,
                    Ok(Err(_)) | Err(_) => return,
                },
            };
            let batch = self.batch();
            self.under_way.push_back(self.client.set_sock_opts(batch, place));
        }
    }

    fn has_more(&mut self) -> bool {
        !self.again.is_empty() || self.items.peek().is_some()
    }

    /// The next changes, those that were left undone first.
    fn batch(&mut self) -> Box<SockOptBatch> {
        let mut batch = self.spare.pop_front().unwrap_or_default();
        let next = || self.again.pop_front().or_else(|| self.items.next());
        batch.items.clear();
        batch.items.extend(std::iter::from_fn(next).take(SOCK_OPT_BATCH));
        batch
    }
}
