//! The event ring of one worker: bounded, one way, never waited for.
//!
//! Events are numbered as they happen, whether there is room for them or not: a jump in the
//! numbers, or between the last one received and [`EventTap::told`], is exactly what was lost. The
//! control plane says which kinds it wants; the others are not even built.

use std::sync::{
    Arc,
    atomic::{AtomicU16, AtomicU64, Ordering::Relaxed},
};

use mos_stack::{EndCause, Event, EventKinds, EventSink, FlowRef};

/// Events that the ring of one worker holds, unless it is asked for another number.
pub const EVENT_RING: usize = 16_384;

/// An event with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberedEvent {
    /// 1 for the first event that this worker told, and one more for each after it.
    pub sequence: u64,
    /// What happened.
    pub event: Event,
}

#[derive(Debug, Default)]
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
}

/// Makes the two ends of a ring for `capacity` events.
#[must_use]
pub fn event_ring(capacity: usize) -> (EventFeed, EventTap) {
    let shared = Arc::<Shared>::default();
    let (feed, tap) = rtrb::RingBuffer::new(capacity);
    (EventFeed { shared: Arc::clone(&shared), ring: feed }, EventTap { shared, ring: tap })
}

impl EventSink for EventFeed {
    fn wanted(&self) -> EventKinds {
        EventKinds::from_bits(self.shared.wanted.load(Relaxed))
    }

    fn on_event(&mut self, event: &Event) {
        let sequence = self.shared.told.load(Relaxed) + 1;
        self.shared.told.store(sequence, Relaxed);
        if self.ring.push(NumberedEvent { sequence, event: *event }).is_err() {
            self.shared.lost.store(self.shared.lost.load(Relaxed) + 1, Relaxed);
        }
    }

    fn flow_ended(&mut self, _flow: &FlowRef<'_>, _cause: Option<EndCause>) {}
}

impl EventTap {
    /// Says which kinds are wanted from now on; takes effect with the worker's next fact.
    pub fn want(&self, kinds: EventKinds) {
        self.shared.wanted.store(kinds.bits(), Relaxed);
    }

    /// The next event, if there is one.
    pub fn try_receive(&mut self) -> Option<NumberedEvent> {
        self.ring.pop().ok()
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

    #[test]
    fn a_full_ring_loses_the_newest_and_the_numbers_say_how_many() {
        let (mut feed, mut tap) = event_ring(2);
        for _ in 0..5 {
            feed.on_event(&event());
        }
        let received: Vec<_> = std::iter::from_fn(|| tap.try_receive()).collect();
        assert_eq!(received.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((tap.told(), tap.lost()), (5, 3));
        feed.on_event(&event());
        assert_eq!(tap.try_receive().map(|event| event.sequence), Some(6));
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
