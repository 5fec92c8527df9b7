//! The way of events from the workers to those who watch.
//!
//! ```text
//! worker ── event ring ──▶ task ──▶ queue ──▶ Subscriber (one stream)
//!                            └────▶ queue ──▶ Subscriber
//! ```
//!
//! One task for each worker owns its tap. While nobody watches, the worker builds no events and
//! the task sleeps. A slow subscriber fills its own queue and nobody else's.

mod queue;
mod task;

#[cfg(test)]
mod tests;

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use dashmap::DashMap;
use mos_control::{Delivery, EventTap, LostRange, NumberedEvent, Refusal};
use mos_stack::{Event, EventKinds, Instant as EventTime, WorkerId};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, Sleep},
};

pub(crate) use self::queue::{CoreEvent, Item, Loss, LossReason};
use self::queue::{Popped, Queue};
use crate::{budgets::Share, filter::Filter};

/// Subscribers that may wait to be admitted at once.
const JOINS: usize = 16;

/// Names a subscription within this start of the process.
pub(crate) type SubscriptionId = u64;

type Registry = DashMap<SubscriptionId, Arc<Subscription>>;

/// The tasks that bring events to subscribers.
#[derive(Debug)]
pub struct FanOut {
    taps: Vec<Tap>,
    registry: Arc<Registry>,
    last_id: AtomicU64,
}

/// The way to the task of one worker.
#[derive(Debug)]
struct Tap {
    core: WorkerId,
    joins: mpsc::Sender<Join>,
    counts: Arc<Counts>,
}

/// What one task counts.
#[derive(Debug, Default)]
struct Counts {
    lost: AtomicU64,
    dropped: AtomicU64,
}

/// A subscriber that asks for the events of one worker.
#[derive(Debug)]
struct Join {
    subscription: Arc<Subscription>,
    admitted: oneshot::Sender<()>,
}

/// What somebody watches, as the tasks see it.
#[derive(Debug)]
struct Subscription {
    kinds: EventKinds,
    filter: Filter,
    is_over: AtomicBool,
    inbox: Mutex<Inbox>,
}

#[derive(Debug)]
struct Inbox {
    queue: Queue,
    reader: Option<Waker>,
    /// The worker whose task has ended: nothing more of it will come.
    cut: Option<WorkerId>,
}

/// What a task has taken from its ring.
type Fresh = Delivery<NumberedEvent, RingLoss>;

/// Events that found a ring full.
#[derive(Debug, Clone, Copy)]
struct RingLoss {
    numbers: LostRange,
    /// Time of the last event before them.
    before: Option<EventTime>,
    /// Time of the first event after them.
    after: Option<EventTime>,
}

/// How a subscription took a batch.
#[derive(Debug, Clone, Copy)]
struct Taken {
    /// Events that found no room.
    dropped: u64,
    /// The reader is late, and may lose something if more comes soon.
    is_crowded: bool,
}

/// One who watches. Dropping it ends the subscription.
#[derive(Debug)]
pub(crate) struct Subscriber {
    id: SubscriptionId,
    subscription: Arc<Subscription>,
    registry: Arc<Registry>,
    timer: Pin<Box<Sleep>>,
}

impl FanOut {
    /// Starts one task for each tap, within the tokio runtime of the caller. The tasks end when
    /// the returned value is dropped.
    #[must_use]
    pub fn spawn(taps: Vec<(WorkerId, EventTap)>) -> Self {
        let taps = taps
            .into_iter()
            .map(|(core, tap)| {
                let (joins, joining) = mpsc::channel(JOINS);
                let counts = Arc::<Counts>::default();
                task::spawn(core, tap, joining, Arc::clone(&counts));
                Tap { core, joins, counts }
            })
            .collect();
        Self { taps, registry: Arc::default(), last_id: AtomicU64::new(0) }
    }

    /// Watches events of these kinds that match the filter; what waits for the subscriber beyond
    /// what is reserved for each is taken from `room`. Everything that happens after the
    /// return is given to the subscriber: as an event, or counted in a loss.
    ///
    /// # Errors
    ///
    /// [`Refusal::WorkerNotRunning`] when a task has ended.
    pub(crate) async fn subscribe(
        &self,
        kinds: EventKinds,
        filter: Filter,
        room: Share,
    ) -> Result<Subscriber, Refusal> {
        let id = self.last_id.fetch_add(1, Relaxed) + 1;
        let queue = Queue::new(self.taps.iter().map(|tap| tap.core), room);
        let inbox = Mutex::new(Inbox { queue, reader: None, cut: None });
        let subscription =
            Arc::new(Subscription { kinds, filter, is_over: AtomicBool::new(false), inbox });
        self.registry.insert(id, Arc::clone(&subscription));
        // From here on it ends with this value, also where the caller goes away meanwhile.
        let subscriber = Subscriber {
            id,
            subscription: Arc::clone(&subscription),
            registry: Arc::clone(&self.registry),
            timer: Box::pin(tokio::time::sleep_until(Instant::now())),
        };
        for tap in &self.taps {
            let (admitted, is_admitted) = oneshot::channel();
            let join = Join { subscription: Arc::clone(&subscription), admitted };
            let ended = Refusal::WorkerNotRunning(tap.core);
            tap.joins.send(join).await.map_err(|_ended| ended)?;
            is_admitted.await.map_err(|_ended| ended)?;
        }
        Ok(subscriber)
    }

    /// Subscriptions of now.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.registry.len()
    }

    /// Bytes of what waits in all queues together.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.registry.iter().map(|entry| entry.inbox().queue.bytes()).sum()
    }

    /// Events that found no room in the queue of a subscriber since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.taps.iter().map(|tap| tap.counts.dropped.load(Relaxed)).sum()
    }

    /// Events that found the ring of each worker full since the start.
    pub fn lost(&self) -> impl Iterator<Item = (WorkerId, u64)> {
        self.taps.iter().map(|tap| (tap.core, tap.counts.lost.load(Relaxed)))
    }
}

impl Subscription {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a worker has told, as far as its numbers are above `joined`.
    fn take(&self, core: WorkerId, joined: u64, batch: &[Fresh]) -> Taken {
        let now = Instant::now();
        let mut inbox = self.inbox();
        let mut dropped = 0;
        for fresh in batch {
            match fresh {
                Fresh::Value(event) if event.sequence > joined && self.wants(core, event) => {
                    dropped += u64::from(!inbox.queue.offer(core, event, now));
                }
                Fresh::Value(_) => {}
                Fresh::Lost(RingLoss { numbers, before, after }) => {
                    let LostRange { first, count } = *numbers;
                    let count = (first + count).saturating_sub(first.max(joined + 1));
                    let (reason, first, last) = (LossReason::RingOverflow, *before, *after);
                    inbox.queue.lose(Loss { core, reason, count, first, last });
                }
            }
        }
        let is_crowded = inbox.queue.is_crowded(core);
        let reader = inbox.reader.take();
        drop(inbox);
        if let Some(reader) = reader {
            reader.wake();
        }
        Taken { dropped, is_crowded }
    }

    /// The task of this worker ends: its events will be missing, untold.
    fn cut(&self, core: WorkerId) {
        let mut inbox = self.inbox();
        inbox.cut = Some(core);
        let reader = inbox.reader.take();
        drop(inbox);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn wants(&self, core: WorkerId, numbered: &NumberedEvent) -> bool {
        let Event { tuple, fact, .. } = &numbered.value;
        self.kinds.contains(fact.kind()) && self.filter.matches_event(tuple, core)
    }
}

impl Subscriber {
    /// Names the subscription.
    #[must_use]
    pub(crate) const fn id(&self) -> SubscriptionId {
        self.id
    }

    /// The next event or loss. Every event that matches is given once, or counted in one loss.
    ///
    /// # Errors
    ///
    /// [`Refusal::WorkerNotRunning`] when a task has ended, after what it had brought.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Item, Refusal>> {
        let Self { subscription, timer, .. } = self;
        loop {
            let mut inbox = subscription.inbox();
            let popped = inbox.queue.pop(Instant::now());
            if let Popped::Item(item) = popped {
                return Poll::Ready(Ok(item));
            }
            if let Some(core) = inbox.cut {
                return Poll::Ready(Err(Refusal::WorkerNotRunning(core)));
            }
            inbox.reader = Some(context.waker().clone());
            drop(inbox);
            let Popped::Until(due) = popped else { return Poll::Pending };
            timer.as_mut().reset(due);
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.subscription.is_over.store(true, Relaxed);
        self.registry.remove(&self.id);
    }
}
