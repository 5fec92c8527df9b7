//! The task of one worker: empties its event ring into the queues of those who watch.
//!
//! A worker wakes nobody, so the task looks into the ring again and again while somebody watches.
//! It works in batches, and lets the readers run between two of them: where one is late and the
//! ring still has room, the ring holds what comes meanwhile. A quarter of the ring is kept free
//! for the time in which this task itself does not run.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use mos_control::{Delivery, EventTap, LostRange, NumberedEvent, Refusal};
use mos_stack::{EventKinds, Instant as EventTime, WorkerId};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::{
    Counts, Expired, Fresh, Join, RingLoss, SubscribeError, Subscription, Taken,
    history::{History, last_number},
};
use crate::{panics, words::bounds::HISTORY_KEPT};

/// Events taken from the ring before the readers may run.
const BATCH: usize = 256;

/// Pause between two looks into the ring: the least, and the most when nothing comes.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(8);

/// Starts the task.
pub(super) fn spawn(
    core: WorkerId,
    tap: EventTap,
    joins: mpsc::Receiver<Join>,
    counts: Arc<Counts>,
) {
    let task = Task {
        core,
        tap,
        joins,
        counts,
        members: Vec::new(),
        batch: Vec::with_capacity(BATCH + 1),
        last_time: None,
        pause: PAUSE_MIN,
        history: History::default(),
        lately: None,
    };
    // It ends by itself when nobody can join any more.
    drop(panics::spawn(format!("the way of events from core {core}"), task.run()));
}

struct Task {
    core: WorkerId,
    tap: EventTap,
    joins: mpsc::Receiver<Join>,
    counts: Arc<Counts>,
    members: Vec<Member>,
    batch: Vec<Fresh>,
    /// Time of the last event that was received.
    last_time: Option<EventTime>,
    pause: Duration,
    history: History,
    /// Kinds that somebody wanted who may come back, and until when they are told for that.
    lately: Option<(EventKinds, Instant)>,
}

/// However it ends, also by a panic: who still watches must not wait for events in vain.
impl Drop for Task {
    fn drop(&mut self) {
        let ended = SubscribeError::Refused(Refusal::WorkerNotRunning(self.core));
        self.members.iter().for_each(|member| member.subscription.cut(ended));
    }
}

/// One who watches.
struct Member {
    subscription: Arc<Subscription>,
    /// Number of the last event that happened before it came, or that it has seen.
    joined: u64,
    /// It has come back, and is given what is kept before what is new.
    is_catching_up: bool,
}

impl Task {
    async fn run(mut self) {
        while self.turn().await {}
    }

    /// One look at everything. Returns false when nobody is left who could watch.
    async fn turn(&mut self) -> bool {
        self.dismiss();
        if self.members.is_empty() && self.lately.is_none() {
            let Some(join) = self.joins.recv().await else { return false };
            self.admit(join);
        }
        while let Ok(join) = self.joins.try_recv() {
            self.admit(join);
        }
        self.fill_batch();
        self.history.add(&self.batch);
        let has_more = self.batch.len() >= BATCH;
        let is_crowded = self.hand_out();
        if is_crowded && self.tap.waiting() < self.tap.capacity() / 4 * 3 {
            sleep(PAUSE_MIN).await;
            return true;
        }
        if has_more {
            tokio::task::yield_now().await;
            return true;
        }
        match timeout(self.pause, self.joins.recv()).await {
            Ok(Some(join)) => self.admit(join),
            Ok(None) => return false,
            Err(_elapsed) => {}
        }
        true
    }

    /// Lets go of those who watch no more.
    fn dismiss(&mut self) {
        let now = Instant::now();
        let is_late = self.lately.take_if(|(_, until)| *until <= now).is_some();
        let before = self.members.len();
        let mut left = EventKinds::NONE;
        self.members.retain(|Member { subscription, .. }| {
            let is_over = subscription.is_over.load(Relaxed);
            if is_over && subscription.may_come_back.load(Relaxed) {
                left = left.union(subscription.kinds);
            }
            !is_over
        });
        if left != EventKinds::NONE {
            let kinds = self.lately.map_or(left, |(kinds, _)| kinds.union(left));
            self.lately = Some((kinds, now + HISTORY_KEPT));
        }
        if is_late || self.members.len() < before {
            self.want();
        }
    }

    fn admit(&mut self, Join { subscription, from, admitted }: Join) {
        let kinds = subscription.kinds;
        let is_kept = |from| self.history.reaches(from, kinds, self.tap.pushed());
        if from.is_some_and(|from| !is_kept(from)) {
            // Whoever went away meanwhile asks no more.
            let _told_or_gone: Result<(), _> = admitted.send(Err(Expired));
            return;
        }
        self.members.push(Member { subscription, joined: 0, is_catching_up: from.is_some() });
        self.want();
        // What the worker tells from here on has higher numbers.
        let joined = from.unwrap_or_else(|| self.tap.pushed());
        if let Some(member) = self.members.last_mut() {
            member.joined = joined;
            member.subscription.inbox().see(self.core, joined);
        }
        self.pause = PAUSE_MIN;
        // Whoever went away meanwhile is dismissed in the next turn.
        let _told_or_gone: Result<(), _> = admitted.send(Ok(()));
    }

    /// Asks the worker for what all who watch want together, and those who may come back.
    fn want(&mut self) {
        let kinds = self.members.iter().map(|member| member.subscription.kinds);
        let lately = self.lately.map_or(EventKinds::NONE, |(kinds, _)| kinds);
        let wanted = kinds.fold(lately, EventKinds::union);
        self.tap.want(wanted);
        self.history.tell(wanted, self.tap.pushed());
    }

    fn fill_batch(&mut self) {
        self.batch.clear();
        // A loss is followed by the event behind it, where there is one.
        while self.batch.len() < BATCH || matches!(self.batch.last(), Some(Fresh::Lost(_))) {
            let Some(delivery) = self.tap.try_receive() else { break };
            let fresh = self.fresh(delivery);
            self.batch.push(fresh);
        }
        self.counts.lost.store(self.tap.lost(), Relaxed);
        let idle = self.batch.is_empty();
        self.pause = if idle { (self.pause * 2).min(PAUSE_MAX) } else { PAUSE_MIN };
    }

    /// Takes the times around a loss from the events around it.
    fn fresh(&mut self, delivery: Delivery<NumberedEvent, LostRange>) -> Fresh {
        match delivery {
            Delivery::Lost(numbers) => {
                Fresh::Lost(RingLoss { numbers, before: self.last_time, after: None })
            }
            Delivery::Value(event) => {
                self.last_time = Some(event.value.time);
                if let Some(Fresh::Lost(loss)) = self.batch.last_mut() {
                    loss.after = self.last_time;
                }
                Fresh::Value(event)
            }
        }
    }

    /// Hands the batch to everyone. Returns whether a reader is late.
    fn hand_out(&mut self) -> bool {
        let mut anybody_late = false;
        for member in &mut self.members {
            if member.is_catching_up {
                member.catch_up(self.core, &self.history, &self.counts);
                self.pause = PAUSE_MIN;
            } else if !self.batch.is_empty() {
                anybody_late |= member.take(self.core, &self.batch, &self.counts);
            }
        }
        anybody_late
    }
}

impl Member {
    /// Gives it a batch. Returns whether it is late.
    fn take(&self, core: WorkerId, batch: &[Fresh], counts: &Counts) -> bool {
        let Taken { dropped, is_crowded } = self.subscription.take(core, self.joined, batch);
        counts.dropped.fetch_add(dropped, Relaxed);
        is_crowded
    }

    /// Gives it the next of what is kept, as far as it has room.
    fn catch_up(&mut self, core: WorkerId, history: &History, counts: &Counts) {
        if self.subscription.inbox().queue.is_crowded(core) {
            return;
        }
        let Some(kept) = history.after(self.joined, BATCH) else {
            self.subscription.cut(SubscribeError::Expired);
            return;
        };
        let kept: Vec<Fresh> = kept.copied().collect();
        self.take(core, &kept, counts);
        self.joined = kept.last().map_or(self.joined, last_number);
        self.is_catching_up = self.joined < history.last;
    }
}
