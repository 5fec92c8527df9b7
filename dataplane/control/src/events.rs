//! The event ring of one worker: a [lossy ring](crate::lossy) of [`Event`]s.
//!
//! The control plane says which kinds it wants; the worker does not build the others.

use mos_stack::{EndCause, Event, EventKinds, EventSink, FlowRef};

use crate::lossy::{LossyFeed, LossyTap, Numbered, lossy_ring};

/// Events that the ring of one worker holds, unless it is asked for another number: half a second
/// of 100,000 a second, and 13 MiB once somebody watches.
pub const EVENT_RING: usize = 65_536;

const _: () = assert!(EVENT_RING * size_of::<NumberedEvent>() <= 13 << 20);

/// An event with its number; 1 is the first event that the worker emitted.
pub type NumberedEvent = Numbered<Event>;

/// The worker's end: the sink of its stack.
pub type EventFeed = LossyFeed<Event>;

/// The control plane's end.
pub type EventTap = LossyTap<Event>;

/// Makes the two ends of a ring for `capacity` events.
#[must_use]
pub fn event_ring(capacity: usize) -> (EventFeed, EventTap) {
    lossy_ring(capacity)
}

impl EventSink for EventFeed {
    fn wanted(&self) -> EventKinds {
        EventKinds::from_bits(self.wanted_bits())
    }

    fn on_event(&mut self, event: &Event) {
        self.push(*event);
    }

    fn last_number(&self) -> u64 {
        self.pushed()
    }

    fn flow_ended(&mut self, _flow: &FlowRef<'_>, _cause: Option<EndCause>) {}
}

impl EventTap {
    /// Says which kinds are wanted from now on; takes effect with the worker's next fact.
    pub fn want(&self, kinds: EventKinds) {
        self.want_bits(kinds.bits());
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use mos_stack::{EventKind, Fact, FlowTuple, Instant};

    use super::*;
    use crate::Delivery;

    #[test]
    fn an_event_comes_out_as_it_went_in() {
        let end = SocketAddr::from(([10, 0, 0, 1], 1));
        let tuple = FlowTuple { client: end, server: end, vlan: None };
        let value = Event { time: Instant::EPOCH, flow: None, tuple, fact: Fact::OrphanPacket };
        let (mut feed, mut tap) = event_ring(1);
        feed.on_event(&value);
        let numbered = NumberedEvent { sequence: 1, value };
        assert_eq!(tap.try_receive(), Some(Delivery::Value(numbered)));
        assert_eq!(tap.try_receive(), None);
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
