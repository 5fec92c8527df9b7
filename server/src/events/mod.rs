//! The way of events from the workers to those who watch.
//!
//! ```text
//! worker ── event ring ──▶ task ──▶ queue ──▶ Subscriber (one stream)
//!                            └────▶ queue ──▶ Subscriber
//! ```
//!
//! One task for each worker owns its tap. While nobody watches, the worker builds no events and
//! the task sleeps. A slow subscriber fills its own queue and nobody else's. Who comes back soon is
//! given what happened meanwhile, out of the [`history`].

mod history;
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

pub(crate) use self::queue::{CoreEvent, Item, Keep, Loss, LossReason};
use self::{
    history::last_number,
    queue::{Popped, Queue},
};
use crate::{budgets::Share, filter::Filter, words::bounds::BOOKMARK_EVERY};

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
    /// Number of the last event that it has seen; `None`: it begins now.
    from: Option<u64>,
    /// Whether it can be given all that came after.
    admitted: oneshot::Sender<Result<(), Expired>>,
}

/// Something that a subscriber is to be given is no longer kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expired;

/// What somebody asks for.
#[derive(Debug)]
pub(crate) struct Wish {
    /// Which events.
    pub(crate) kinds: EventKinds,
    /// Of which flows.
    pub(crate) filter: Filter,
    /// What waits beyond what is reserved for each is taken from here.
    pub(crate) room: Share,
    /// What is kept while it waits.
    pub(crate) keep: Keep,
    /// Where to go on; `None`: with what happens from now on.
    pub(crate) from: Option<Position>,
}

/// A point in the events of all workers: of each, in their order, the number of the last event that
/// was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position(pub(crate) Vec<u64>);

/// What a subscriber is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// An event.
    Event(CoreEvent),
    /// Something is missing.
    Lost(Loss),
    /// All up to here was given.
    Bookmark(Position),
}

impl From<Item> for Told {
    fn from(item: Item) -> Self {
        match item {
            Item::Value(event) => Self::Event(event),
            Item::Lost(loss) => Self::Lost(loss),
        }
    }
}

/// Why nothing more is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubscribeError {
    /// The task of a worker has ended.
    Refused(Refusal),
    /// What came after the position is no longer kept.
    Expired,
}

impl From<Refusal> for SubscribeError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What somebody watches, as the tasks see it.
#[derive(Debug)]
struct Subscription {
    kinds: EventKinds,
    filter: Filter,
    is_over: AtomicBool,
    /// It was given a bookmark: whoever it is may come back.
    may_come_back: AtomicBool,
    inbox: Mutex<Inbox>,
}

#[derive(Debug)]
struct Inbox {
    queue: Queue,
    reader: Option<Waker>,
    /// Why nothing more of a worker will come.
    cut: Option<SubscribeError>,
    /// Of each worker, the number of the last event that was taken or passed over.
    seen: Vec<(WorkerId, u64)>,
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
    /// When the next bookmark is due.
    bookmark_at: Instant,
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

    /// Watches events. Everything that happens after the return, or after the position, is given to
    /// the subscriber: as an event, or counted in a loss.
    ///
    /// # Errors
    ///
    /// A task has ended, or not everything since the position is kept.
    pub(crate) async fn subscribe(&self, wish: Wish) -> Result<Subscriber, SubscribeError> {
        let Wish { kinds, filter, room, keep, from } = wish;
        let id = self.last_id.fetch_add(1, Relaxed) + 1;
        let queue = Queue::new(self.taps.iter().map(|tap| tap.core), room, keep);
        let seen = self.taps.iter().map(|tap| (tap.core, 0)).collect();
        let inbox = Mutex::new(Inbox { queue, reader: None, cut: None, seen });
        let (is_over, may_come_back) = (AtomicBool::new(false), AtomicBool::new(false));
        let subscription = Subscription { kinds, filter, is_over, may_come_back, inbox };
        let subscription = Arc::new(subscription);
        self.registry.insert(id, Arc::clone(&subscription));
        // From here on it ends with this value, also where the caller goes away meanwhile.
        let now = Instant::now();
        let subscriber = Subscriber {
            id,
            subscription: Arc::clone(&subscription),
            registry: Arc::clone(&self.registry),
            timer: Box::pin(tokio::time::sleep_until(now)),
            bookmark_at: now + BOOKMARK_EVERY,
        };
        for (place, tap) in self.taps.iter().enumerate() {
            let (admitted, is_admitted) = oneshot::channel();
            let from = match &from {
                Some(Position(numbers)) => {
                    Some(*numbers.get(place).ok_or(SubscribeError::Expired)?)
                }
                None => None,
            };
            let join = Join { subscription: Arc::clone(&subscription), from, admitted };
            let ended = Refusal::WorkerNotRunning(tap.core);
            tap.joins.send(join).await.map_err(|_ended| ended)?;
            let outcome = is_admitted.await.map_err(|_ended| ended)?;
            outcome.map_err(|Expired| SubscribeError::Expired)?;
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
        if let Some(last) = batch.last() {
            inbox.see(core, last_number(last));
        }
        let is_crowded = inbox.queue.is_crowded(core);
        let reader = inbox.reader.take();
        drop(inbox);
        if let Some(reader) = reader {
            reader.wake();
        }
        Taken { dropped, is_crowded }
    }

    /// Nothing more of a worker will come, for this reason.
    fn cut(&self, why: SubscribeError) {
        let mut inbox = self.inbox();
        inbox.cut = Some(why);
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

impl Inbox {
    fn see(&mut self, core: WorkerId, number: u64) {
        if let Some((_, seen)) = self.seen.iter_mut().find(|(of, _)| *of == core) {
            *seen = number.max(*seen);
        }
    }
}

impl Subscriber {
    /// Names the subscription.
    #[must_use]
    pub(crate) const fn id(&self) -> SubscriptionId {
        self.id
    }

    /// Number of the last event of a worker that was given, or passed over.
    pub(crate) fn seen(&self, core: WorkerId) -> u64 {
        let inbox = self.subscription.inbox();
        inbox.seen.iter().find(|(of, _)| *of == core).map_or(0, |(_, seen)| *seen)
    }

    /// As [`Self::poll_next`].
    pub(crate) async fn next(&mut self) -> Result<Told, SubscribeError> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The next event or loss, if one waits.
    ///
    /// # Errors
    ///
    /// As [`Self::poll_next`].
    pub(crate) fn next_waiting(&self) -> Result<Option<Told>, SubscribeError> {
        let mut inbox = self.subscription.inbox();
        match inbox.queue.pop(Instant::now()) {
            Popped::Item(item) => Ok(Some(item.into())),
            Popped::Until(_) | Popped::Nothing => inbox.cut.map_or(Ok(None), Err),
        }
    }

    /// The next event, loss or bookmark. Every event that matches is given once, or counted in one
    /// loss; a bookmark comes every [`BOOKMARK_EVERY`], once nothing waits.
    ///
    /// # Errors
    ///
    /// Why nothing more is given, after what had come before.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Told, SubscribeError>> {
        let Self { subscription, timer, bookmark_at, .. } = self;
        loop {
            let now = Instant::now();
            let mut inbox = subscription.inbox();
            let popped = inbox.queue.pop(now);
            let until = match popped {
                Popped::Item(item) => return Poll::Ready(Ok(item.into())),
                Popped::Until(due) => due,
                Popped::Nothing => *bookmark_at,
            };
            if let Some(why) = inbox.cut {
                return Poll::Ready(Err(why));
            }
            if popped == Popped::Nothing && *bookmark_at <= now {
                *bookmark_at = now + BOOKMARK_EVERY;
                subscription.may_come_back.store(true, Relaxed);
                let seen = inbox.seen.iter().map(|(_, seen)| *seen).collect();
                return Poll::Ready(Ok(Told::Bookmark(Position(seen))));
            }
            inbox.reader = Some(context.waker().clone());
            drop(inbox);
            timer.as_mut().reset(until);
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
