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

use mos_control::{Delivery, EventTap, LostRange, NumberedEvent};
use mos_stack::{EventKinds, Instant as EventTime, WorkerId};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{Counts, Fresh, Join, RingLoss, Subscription, Taken};
use crate::panics;

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
}

/// However it ends, also by a panic: who still watches must not wait for events in vain.
impl Drop for Task {
    fn drop(&mut self) {
        self.members.iter().for_each(|member| member.subscription.cut(self.core));
    }
}

/// One who watches.
struct Member {
    subscription: Arc<Subscription>,
    /// Number of the last event that happened before it came.
    joined: u64,
}

impl Task {
    async fn run(mut self) {
        while self.turn().await {}
    }

    /// One look at everything. Returns false when nobody is left who could watch.
    async fn turn(&mut self) -> bool {
        self.dismiss();
        if self.members.is_empty() {
            let Some(join) = self.joins.recv().await else { return false };
            self.admit(join);
        }
        while let Ok(join) = self.joins.try_recv() {
            self.admit(join);
        }
        self.fill_batch();
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
        let before = self.members.len();
        self.members.retain(|member| !member.subscription.is_over.load(Relaxed));
        if self.members.len() < before {
            self.want();
        }
    }

    fn admit(&mut self, Join { subscription, admitted }: Join) {
        self.members.push(Member { subscription, joined: 0 });
        self.want();
        // What the worker tells from here on has higher numbers.
        let joined = self.tap.pushed();
        if let Some(member) = self.members.last_mut() {
            member.joined = joined;
        }
        self.pause = PAUSE_MIN;
        // Whoever went away meanwhile is dismissed in the next turn.
        let _told_or_gone: Result<(), ()> = admitted.send(());
    }

    /// Asks the worker for what all who watch want together.
    fn want(&self) {
        let kinds = self.members.iter().map(|member| member.subscription.kinds);
        self.tap.want(kinds.fold(EventKinds::NONE, EventKinds::union));
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
    fn hand_out(&self) -> bool {
        if self.batch.is_empty() {
            return false;
        }
        let mut anybody_late = false;
        for Member { subscription, joined } in &self.members {
            let Taken { dropped, is_crowded } = subscription.take(self.core, *joined, &self.batch);
            self.counts.dropped.fetch_add(dropped, Relaxed);
            anybody_late |= is_crowded;
        }
        anybody_late
    }
}
