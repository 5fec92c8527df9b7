//! The fan-out over real event rings: a test tells events as a worker would, and counts.

use std::time::Duration;

use mos_control::{EventFeed, event_ring};
use mos_stack::{Event, EventKind, EventSink as _, Fact, FlowTuple, Side, StreamOffset};
use tokio::time::timeout;

use super::*;
use crate::{
    budgets::Budget,
    words::bounds::{EVENTS_KEPT, HISTORY_KEPT, QUEUE_BYTES, QUEUE_BYTES_MIN},
};

/// Longer than any pause of a task.
const SETTLE: Duration = Duration::from_millis(50);

impl Subscriber {
    /// The next event or loss, bookmarks apart.
    async fn item(&mut self) -> Item {
        self.item_or_end().await.unwrap()
    }

    async fn item_or_end(&mut self) -> Result<Item, SubscribeError> {
        loop {
            match self.next().await? {
                Told::Event(event) => return Ok(Item::Value(event)),
                Told::Lost(loss) => return Ok(Item::Lost(loss)),
                Told::Bookmark(_) => {}
            }
        }
    }
}

fn core(index: u16) -> WorkerId {
    WorkerId::new(index).unwrap()
}

fn event(port: u16, fact: Fact) -> Event {
    let end = |port| ([10, 0, 0, 1], port).into();
    let tuple = FlowTuple { client: end(port), server: end(443), vlan: None };
    Event { time: EventTime::from_nanos(1), flow: None, tuple, fact }
}

fn new_data() -> Fact {
    Fact::NewData { side: Side::Client, offset: StreamOffset(0), end: StreamOffset(1) }
}

/// A fan-out over one worker, and the worker's end.
fn one_worker(ring: usize) -> (FanOut, EventFeed) {
    let (feed, tap) = event_ring(ring);
    (FanOut::spawn(vec![(core(0), tap)]), feed)
}

async fn watch(fan_out: &FanOut, kinds: EventKinds) -> Subscriber {
    watch_within(fan_out, kinds, &Budget::new(usize::MAX, usize::MAX)).await
}

/// The same for a subscriber whose queue grows within a budget.
async fn watch_within(fan_out: &FanOut, kinds: EventKinds, room: &Arc<Budget>) -> Subscriber {
    let filter = Filter::parse_for_events("").unwrap();
    let room = room.begin(None);
    fan_out.subscribe(Wish { kinds, filter, room, keep: Keep::All, from: None }).await.unwrap()
}

/// Tells events if they are wanted, as a stack does. Returns how many were told.
fn tell(feed: &mut EventFeed, count: u64) -> u64 {
    let event = event(1, Fact::OrphanPacket);
    if !feed.wanted().contains(event.fact.kind()) {
        return 0;
    }
    (0..count).for_each(|_| feed.on_event(&event));
    count
}

/// What a subscriber was given.
#[derive(Debug, Default, PartialEq, Eq)]
struct Given {
    numbers: Vec<u64>,
    slow: u64,
    ring: u64,
    losses: usize,
}

impl Given {
    fn take(&mut self, item: Item) {
        match item {
            Item::Value(CoreEvent { event, .. }) => {
                let told = self.numbers.len() as u64 + self.slow + self.ring;
                // Every loss was told before the event that follows it.
                assert_eq!(event.sequence, told + 1);
                self.numbers.push(event.sequence);
            }
            Item::Lost(Loss { reason, count, .. }) => {
                assert!(count > 0);
                self.losses += 1;
                match reason {
                    LossReason::SlowConsumer => self.slow += count,
                    LossReason::RingOverflow => self.ring += count,
                }
            }
        }
    }

    fn total(&self) -> u64 {
        self.numbers.len() as u64 + self.slow + self.ring
    }

    /// Reads until all of `happened` is accounted for.
    async fn read(subscriber: &mut Subscriber, happened: u64) -> Self {
        let mut given = Self::default();
        while given.total() < happened {
            let item = timeout(Duration::from_secs(60), subscriber.item()).await;
            given.take(item.unwrap_or_else(|_| panic!("{} of {happened}", given.total())));
        }
        given
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_subscriber_loses_exactly_what_found_no_room_and_a_fast_one_nothing() {
    const ROUNDS: u64 = 200;
    const EACH: u64 = 200;
    let (fan_out, mut feed) = one_worker(1024);
    let mut stalled = watch(&fan_out, EventKinds::ALL).await;
    let mut fast = watch(&fan_out, EventKinds::ALL).await;
    let mut given = Given::default();
    for _ in 0..ROUNDS {
        tell(&mut feed, EACH);
        let happened = given.total() + EACH;
        while given.total() < happened {
            given.take(timeout(SETTLE, fast.item()).await.unwrap());
        }
    }
    assert_eq!((given.numbers.len() as u64, given.losses), (ROUNDS * EACH, 0));
    let late = Given::read(&mut stalled, ROUNDS * EACH).await;
    assert_eq!(late.numbers.len() as u64 + late.slow, ROUNDS * EACH);
    assert_eq!((late.ring, fan_out.dropped()), (0, late.slow));
    assert!(late.slow > 0 && late.numbers.len() > 4000, "{} delivered", late.numbers.len());
    assert!(fan_out.queued_bytes() <= 2 * QUEUE_BYTES);
}

#[tokio::test(start_paused = true)]
async fn stalled_subscribers_of_one_principal_share_what_may_wait_and_give_it_back() {
    const STALLED: usize = 8;
    const EACH: u64 = 20_000;
    let (fan_out, mut feed) = one_worker(32_768);
    let room = Budget::new(QUEUE_BYTES, QUEUE_BYTES);
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        stalled.push(watch_within(&fan_out, EventKinds::ALL, &room).await);
    }
    tell(&mut feed, EACH);
    tokio::time::sleep(20 * SETTLE).await;
    let queued = fan_out.queued_bytes();
    let bound = STALLED * QUEUE_BYTES_MIN + QUEUE_BYTES;
    assert!((bound / 2..=bound).contains(&queued), "{queued} of {bound} bytes");
    for subscriber in &mut stalled {
        let given = Given::read(subscriber, EACH).await;
        assert_eq!(given.numbers.len() as u64 + given.slow, EACH);
        timeout(SETTLE, subscriber.item()).await.unwrap_err();
    }
    assert_eq!(room.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_ring_loses_is_counted_for_everyone_in_its_place() {
    let (fan_out, mut feed) = one_worker(64);
    let mut first = watch(&fan_out, EventKinds::ALL).await;
    let mut second = watch(&fan_out, EventKinds::ALL).await;
    // The task does not run while the test does not wait.
    let happened = tell(&mut feed, 100);
    for subscriber in [&mut first, &mut second] {
        let given = Given::read(subscriber, happened).await;
        assert_eq!((given.numbers.len(), given.ring, given.losses), (64, 36, 1));
    }
    assert_eq!(fan_out.lost().collect::<Vec<_>>(), [(core(0), 36)]);
}

#[tokio::test(start_paused = true)]
async fn who_watches_is_told_when_the_way_of_events_has_ended() {
    let (fan_out, mut feed) = one_worker(64);
    let mut subscriber = watch(&fan_out, EventKinds::ALL).await;
    assert_eq!(tell(&mut feed, 1), 1);
    assert!(matches!(subscriber.item().await, Item::Value(_)));
    // Its task ends then, as it would by a panic.
    drop(fan_out);
    let end = timeout(SETTLE, subscriber.item_or_end()).await.unwrap();
    assert_eq!(end, Err(Refusal::WorkerNotRunning(core(0)).into()));
}

#[tokio::test(start_paused = true)]
async fn losses_of_a_ring_that_overflows_again_and_again_are_told_once_a_second() {
    const ROUNDS: u64 = 40;
    let (fan_out, mut feed) = one_worker(64);
    let mut subscriber = watch(&fan_out, EventKinds::ALL).await;
    let begin = Instant::now();
    let mut given = Given::default();
    for _ in 0..ROUNDS {
        tell(&mut feed, 100);
        while let Ok(item) = timeout(2 * SETTLE, subscriber.item()).await {
            given.take(item);
        }
    }
    while given.total() < ROUNDS * 100 {
        given.take(subscriber.item().await);
    }
    let seconds = begin.elapsed().as_secs();
    assert!(seconds >= 4, "{seconds}");
    assert!((2..=seconds + 1).contains(&(given.losses as u64)), "{} losses", given.losses);
    assert!(given.numbers.len() >= 64 * given.losses, "{} events", given.numbers.len());
}

#[tokio::test(start_paused = true)]
async fn only_what_somebody_watches_is_built() {
    let (fan_out, feed) = one_worker(64);
    assert_eq!(feed.wanted(), EventKinds::NONE);
    let (gap, data) = (EventKind::Gap, EventKind::NewData);
    let first = watch(&fan_out, EventKinds::NONE.with(gap)).await;
    assert_eq!(feed.wanted(), EventKinds::NONE.with(gap));
    let second = watch(&fan_out, EventKinds::NONE.with(data)).await;
    assert_eq!(feed.wanted(), EventKinds::NONE.with(gap).with(data));
    assert_eq!(fan_out.subscriptions(), 2);
    drop(first);
    tokio::time::sleep(SETTLE).await;
    assert_eq!(feed.wanted(), EventKinds::NONE.with(data));
    drop(second);
    tokio::time::sleep(SETTLE).await;
    assert_eq!((feed.wanted(), fan_out.subscriptions()), (EventKinds::NONE, 0));
    assert_eq!(fan_out.queued_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_is_given_only_its_types_and_what_its_filter_matches() {
    let (fan_out, mut feed) = one_worker(64);
    let filter = Filter::parse_for_events("client.port = 7 AND core = 0").unwrap();
    let kinds = EventKinds::NONE.with(EventKind::FlowStarted);
    let room = Budget::new(0, 0).begin(None);
    let wish = Wish { kinds, filter, room, keep: Keep::All, from: None };
    let mut chosen = fan_out.subscribe(wish).await.unwrap();
    let mut all = watch(&fan_out, EventKinds::ALL).await;
    for (port, fact) in [(7, new_data()), (8, Fact::FlowStarted), (7, Fact::FlowStarted)] {
        feed.on_event(&event(port, fact));
    }
    let Item::Value(CoreEvent { event: numbered, .. }) = chosen.item().await else {
        panic!("a loss")
    };
    assert_eq!((numbered.sequence, numbered.value.tuple.client.port()), (3, 7));
    timeout(SETTLE, chosen.item()).await.unwrap_err();
    assert_eq!(Given::read(&mut all, 3).await.numbers, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn one_who_comes_later_is_given_what_happens_from_then_on() {
    let (fan_out, mut feed) = one_worker(64);
    let mut first = watch(&fan_out, EventKinds::ALL).await;
    tell(&mut feed, 70);
    let mut second = watch(&fan_out, EventKinds::ALL).await;
    let given = Given::read(&mut first, 70).await;
    assert_eq!((given.numbers.len(), given.ring), (64, 6));
    tell(&mut feed, 1);
    let Item::Value(CoreEvent { event, .. }) = second.item().await else {
        panic!("the loss was before its time");
    };
    assert_eq!(event.sequence, 71);
}

#[tokio::test(start_paused = true)]
async fn events_left_by_earlier_watchers_are_nobodys() {
    let (fan_out, mut feed) = one_worker(64);
    let first = watch(&fan_out, EventKinds::ALL).await;
    tell(&mut feed, 10);
    drop(first);
    tokio::time::sleep(SETTLE).await;
    assert_eq!(tell(&mut feed, 10), 0, "nobody watches");
    let mut second = watch(&fan_out, EventKinds::ALL).await;
    tell(&mut feed, 1);
    let Item::Value(CoreEvent { event, .. }) = second.item().await else { panic!("a loss") };
    assert_eq!(event.sequence, 11);
}

#[tokio::test(start_paused = true)]
async fn several_workers_meet_in_one_stream_each_in_its_order() {
    let (mut feeds, taps): (Vec<_>, Vec<_>) = (0..3)
        .map(|index| {
            let (feed, tap) = event_ring(256);
            (feed, (core(index), tap))
        })
        .unzip();
    let fan_out = FanOut::spawn(taps);
    let mut subscriber = watch(&fan_out, EventKinds::ALL).await;
    for _ in 0..100 {
        for feed in &mut feeds {
            tell(feed, 1);
        }
    }
    let mut last = [0; 3];
    for _ in 0..300 {
        let Item::Value(CoreEvent { core, event, .. }) = subscriber.item().await else {
            panic!("a loss")
        };
        let last = &mut last[usize::from(core.index())];
        assert_eq!(event.sequence, *last + 1);
        *last = event.sequence;
    }
    assert_eq!(last, [100; 3]);
}

/// A reader that stops for a while again and again.
const fn pause_after(events: usize) -> Duration {
    Duration::from_millis(if events.is_multiple_of(1000) { 5 } else { 0 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivered_and_lost_are_what_happened_while_a_worker_goes_on() {
    const EVENTS: u64 = 300_000;
    let (fan_out, mut feed) = one_worker(512);
    let mut slow = watch(&fan_out, EventKinds::ALL).await;
    let mut fast = watch(&fan_out, EventKinds::ALL).await;
    let worker = std::thread::spawn(move || {
        tell(&mut feed, EVENTS);
        feed
    });
    let fast = tokio::spawn(async move { Given::read(&mut fast, EVENTS).await });
    let slow = tokio::spawn(async move {
        let mut given = Given::default();
        while given.total() < EVENTS {
            given.take(slow.item().await);
            tokio::time::sleep(pause_after(given.numbers.len())).await;
        }
        given
    });
    let (fast, slow) = (fast.await.unwrap(), slow.await.unwrap());
    assert_eq!((fast.total(), slow.total()), (EVENTS, EVENTS));
    assert!(slow.losses > 0);
    drop(worker.join().unwrap());
}

/// The next bookmark; what comes before it is no loss.
async fn bookmark(subscriber: &mut Subscriber) -> (Vec<u64>, Position) {
    let mut numbers = Vec::new();
    loop {
        match subscriber.next().await.unwrap() {
            Told::Event(CoreEvent { event, .. }) => numbers.push(event.sequence),
            Told::Lost(loss) => panic!("{loss:?}"),
            Told::Bookmark(position) => return (numbers, position),
        }
    }
}

/// Comes back for events of these kinds.
async fn come_back(
    fan_out: &FanOut,
    kinds: EventKinds,
    position: &Position,
) -> Result<Subscriber, SubscribeError> {
    let filter = Filter::parse_for_events("").unwrap();
    let room = Budget::new(usize::MAX, usize::MAX).begin(None);
    let wish = Wish { kinds, filter, room, keep: Keep::All, from: Some(position.clone()) };
    fan_out.subscribe(wish).await
}

#[tokio::test(start_paused = true)]
async fn one_who_comes_back_is_given_what_happened_meanwhile() {
    let (fan_out, mut feed) = one_worker(1 << 14);
    let mut first = watch(&fan_out, EventKinds::ALL).await;
    tell(&mut feed, 3);
    let (numbers, position) = bookmark(&mut first).await;
    assert_eq!((numbers, &position), (vec![1, 2, 3], &Position(vec![3])));
    tell(&mut feed, 1);
    drop(first);
    tokio::time::sleep(HISTORY_KEPT / 2).await;
    // More than its queue takes at once.
    assert_eq!(tell(&mut feed, 12_000), 12_000, "it may come back");
    let mut second = come_back(&fan_out, EventKinds::ALL, &position).await.unwrap();
    tell(&mut feed, 2);
    let mut given = Vec::new();
    while given.len() < 12_003 {
        let Item::Value(CoreEvent { event, .. }) = second.item().await else { panic!("a loss") };
        given.push(event.sequence);
    }
    assert!(given.into_iter().eq(4..=12_006), "all of it, once and in order");
}

#[tokio::test(start_paused = true)]
async fn one_who_stays_away_too_long_is_told_so() {
    let (fan_out, mut feed) = one_worker(64);
    let mut first = watch(&fan_out, EventKinds::ALL).await;
    let (_, position) = bookmark(&mut first).await;
    drop(first);
    tokio::time::sleep(HISTORY_KEPT + SETTLE).await;
    assert_eq!(tell(&mut feed, 1), 0, "nobody is waited for any more");
    let late = come_back(&fan_out, EventKinds::ALL, &position).await;
    assert_eq!(late.unwrap_err(), SubscribeError::Expired);
}

#[tokio::test(start_paused = true)]
async fn one_who_wants_what_was_not_told_meanwhile_is_told_so() {
    let (fan_out, mut feed) = one_worker(64);
    let gaps = EventKinds::NONE.with(EventKind::Gap);
    let mut first = watch(&fan_out, gaps).await;
    let (_, position) = bookmark(&mut first).await;
    let orphans = EventKinds::NONE.with(EventKind::OrphanPacket);
    let _other = watch(&fan_out, orphans).await;
    tell(&mut feed, 1);
    let both = come_back(&fan_out, gaps.union(orphans), &Position(vec![0])).await;
    assert!(both.is_ok(), "nothing was told before the second came");
    drop(first);
    let future = come_back(&fan_out, gaps, &Position(vec![9])).await;
    assert_eq!(future.unwrap_err(), SubscribeError::Expired, "nothing has this number yet");
    drop(come_back(&fan_out, gaps, &position).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn only_the_newest_events_are_kept() {
    let (fan_out, mut feed) = one_worker(1 << 17);
    let mut first = watch(&fan_out, EventKinds::ALL).await;
    let (_, position) = bookmark(&mut first).await;
    drop(first);
    tell(&mut feed, EVENTS_KEPT as u64 + 1);
    tokio::time::sleep(HISTORY_KEPT / 2).await;
    let late = come_back(&fan_out, EventKinds::ALL, &position).await;
    assert_eq!(late.unwrap_err(), SubscribeError::Expired);
    drop(come_back(&fan_out, EventKinds::ALL, &Position(vec![1])).await.unwrap());
}
