//! The event ring of one worker: bounded, one way, never waited for.
//!
//! Events are numbered as they happen, whether there is room for them or not: a jump in the
//! numbers is exactly what was lost, and [`EventTap::try_receive`] says so in its place, also where
//! nothing has come after it yet. The control plane says which kinds it wants; the others are not
//! even built.

use std::sync::{
    Arc,
    atomic::{
        AtomicU16, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use mos_stack::{EndCause, Event, EventKinds, EventSink, FlowRef};

/// Events that the ring of one worker holds, unless it is asked for another number: half a second
/// of 100,000 a second, and 13 MiB once somebody watches.
pub const EVENT_RING: usize = 65_536;

const _: () = assert!(EVENT_RING * size_of::<NumberedEvent>() <= 13 << 20);

/// An event with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberedEvent {
    /// 1 for the first event that this worker told, and one more for each after it.
    pub sequence: u64,
    /// What happened.
    pub event: Event,
}

/// What the ring gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tapped {
    /// The next event.
    Event(NumberedEvent),
    /// Events that found the ring full: those with the numbers `first` to `first + count - 1`.
    Lost {
        /// Number of the first of them.
        first: u64,
        /// How many.
        count: u64,
    },
}

/// Alone on its lines of the cache, as each [`Board`](crate::Board) is: no worker writes where
/// another one reads.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shared {
    wanted: AtomicU16, // control: wo, worker: ro
    told: AtomicU64,   // worker: wo, control: ro
    lost: AtomicU64,   // worker: wo, control: ro
}

/// The worker's end: the sink that its stack tells.
#[derive(Debug)]
pub struct EventFeed {
    shared: Arc<Shared>,
    ring: rtrb::Producer<NumberedEvent>,
}

/// The control plane's end.
#[derive(Debug)]
pub struct EventTap {
    shared: Arc<Shared>,
    ring: rtrb::Consumer<NumberedEvent>,
    /// Number of the event that comes next if none is lost.
    next: u64,
    /// Losses given so far.
    lost_given: u64,
    /// An event that was found behind a loss.
    behind: Option<NumberedEvent>,
}

/// Makes the two ends of a ring for `capacity` events.
#[must_use]
pub fn event_ring(capacity: usize) -> (EventFeed, EventTap) {
    let shared = Arc::<Shared>::default();
    let (feed, tap) = rtrb::RingBuffer::new(capacity);
    let feed = EventFeed { shared: Arc::clone(&shared), ring: feed };
    (feed, EventTap { shared, ring: tap, next: 1, lost_given: 0, behind: None })
}

impl EventSink for EventFeed {
    fn wanted(&self) -> EventKinds {
        EventKinds::from_bits(self.shared.wanted.load(Relaxed))
    }

    fn on_event(&mut self, event: &Event) {
        let sequence = self.shared.told.load(Relaxed) + 1;
        self.shared.told.store(sequence, Relaxed);
        if self.ring.push(NumberedEvent { sequence, event: *event }).is_err() {
            // Whoever sees the loss also sees every event that was pushed before it.
            self.shared.lost.store(self.shared.lost.load(Relaxed) + 1, Release);
        }
    }

    fn flow_ended(&mut self, _flow: &FlowRef<'_>, _cause: Option<EndCause>) {}
}

impl EventTap {
    /// Says which kinds are wanted from now on; takes effect with the worker's next fact.
    pub fn want(&self, kinds: EventKinds) {
        self.shared.wanted.store(kinds.bits(), Relaxed);
    }

    /// The next event or loss, if there is one: every number once and in order.
    pub fn try_receive(&mut self) -> Option<Tapped> {
        if let Some(event) = self.behind.take().or_else(|| self.ring.pop().ok()) {
            return Some(self.take(event));
        }
        let lost = self.shared.lost.load(Acquire);
        // What was pushed before the last of these losses is visible now.
        if let Ok(event) = self.ring.pop() {
            return Some(self.take(event));
        }
        let count = lost.saturating_sub(self.lost_given);
        (count > 0).then(|| self.give_up(count))
    }

    fn take(&mut self, event: NumberedEvent) -> Tapped {
        if event.sequence > self.next {
            self.behind = Some(event);
            return self.give_up(event.sequence - self.next);
        }
        self.next = event.sequence + 1;
        Tapped::Event(event)
    }

    const fn give_up(&mut self, count: u64) -> Tapped {
        let first = self.next;
        self.next += count;
        self.lost_given += count;
        Tapped::Lost { first, count }
    }

    /// Events that wait in the ring.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ring.slots()
    }

    /// Events that the ring holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.ring.buffer().capacity()
    }

    /// Number of the last event that happened.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.shared.told.load(Relaxed)
    }

    /// Events that found the ring full since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use mos_stack::{EventKind, Fact, FlowTuple, Instant};

    use super::*;

    fn event() -> Event {
        let end = SocketAddr::from(([10, 0, 0, 1], 1));
        let tuple = FlowTuple { client: end, server: end, vlan: None };
        Event { time: Instant::EPOCH, flow: None, tuple, fact: Fact::OrphanPacket }
    }

    fn received(tap: &mut EventTap) -> Vec<(u64, u64)> {
        let all = std::iter::from_fn(|| tap.try_receive());
        all.map(|tapped| match tapped {
            Tapped::Event(event) => (event.sequence, 0),
            Tapped::Lost { first, count } => (first, count),
        })
        .collect()
    }

    #[test]
    fn a_full_ring_loses_the_newest_and_says_which_at_once() {
        let (mut feed, mut tap) = event_ring(2);
        for _ in 0..5 {
            feed.on_event(&event());
        }
        assert_eq!((tap.waiting(), tap.capacity()), (2, 2));
        assert_eq!(received(&mut tap), [(1, 0), (2, 0), (3, 3)]);
        assert_eq!((tap.told(), tap.lost()), (5, 3));
        feed.on_event(&event());
        assert_eq!(received(&mut tap), [(6, 0)], "a loss is told once");
    }

    #[test]
    fn a_loss_between_two_events_is_told_between_them() {
        let (mut feed, mut tap) = event_ring(1);
        feed.on_event(&event());
        feed.on_event(&event());
        let first = tap.try_receive();
        assert!(matches!(first, Some(Tapped::Event(NumberedEvent { sequence: 1, .. }))));
        feed.on_event(&event());
        feed.on_event(&event());
        assert_eq!(received(&mut tap), [(2, 1), (3, 0), (4, 1)]);
    }

    #[test]
    fn every_number_is_given_once_while_the_worker_goes_on() {
        const EVENTS: u64 = 200_000;
        let (mut feed, mut tap) = event_ring(8);
        let told = std::thread::spawn(move || (0..EVENTS).for_each(|_| feed.on_event(&event())));
        let (mut next, mut lost) = (1, 0);
        while next <= EVENTS {
            match tap.try_receive() {
                Some(Tapped::Event(event)) => {
                    assert_eq!(event.sequence, next);
                    next += 1;
                }
                Some(Tapped::Lost { first, count }) => {
                    assert_eq!(first, next);
                    (next, lost) = (next + count, lost + count);
                }
                None => std::hint::spin_loop(),
            }
        }
        told.join().unwrap();
        assert_eq!((tap.try_receive(), tap.told(), tap.lost()), (None, EVENTS, lost));
    }

    #[test]
    fn the_worker_is_told_what_is_wanted() {
        let (feed, tap) = event_ring(1);
        assert_eq!(feed.wanted(), EventKinds::NONE);
        tap.want(EventKinds::NONE.with(EventKind::Gap));
        assert!(feed.wanted().contains(EventKind::Gap));
        assert!(!feed.wanted().contains(EventKind::NewData));
    }
}
