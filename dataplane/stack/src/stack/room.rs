//! Who goes when there is no room: flows that are dispensable, the oldest first.

use super::Stack;
use crate::{EndCause, EventSink, Instant, flow::Dispensable, limits::BURST};

/// The part of the pool, one in so many, that is kept free as long as ended flows hold memory.
const POOL_RESERVE: u64 = 16;

impl Stack {
    /// Lets a dispensable flow go where the next one would find no room.
    pub(super) fn make_room(&mut self, now: Instant, sink: &mut impl EventSink) {
        let half_open = self.backlog.oldest(Dispensable::HalfOpen);
        let ended = self.backlog.oldest(Dispensable::Ended);
        let slot = if self.backlog.half_open() >= self.limits.half_open_max {
            half_open
        } else if self.table.len() >= self.limits.flows_max {
            ended.or(half_open)
        } else {
            None
        };
        if let Some(slot) = slot {
            self.evict(slot, now, sink);
        }
    }

    /// Lets flows that have ended go, the oldest first, where the pool may run dry: they are only
    /// kept for stray packets. As many for each burst as it may need room for.
    pub(super) fn make_memory(&mut self, now: Instant, sink: &mut impl EventSink) {
        for _ in 0..BURST {
            let is_scarce = self.pool.free_bytes() < self.pool.total_bytes() / POOL_RESERVE;
            match self.backlog.oldest(Dispensable::Ended).filter(|_| is_scarce) {
                Some(slot) => self.evict(slot, now, sink),
                None => return,
            }
        }
    }

    /// Removes a dispensable flow.
    fn evict(&mut self, slot: u32, now: Instant, sink: &mut impl EventSink) {
        let ended = self.table.get(slot).and_then(|(_, flow)| flow.connection.ended);
        self.end(slot, now, Some(ended.unwrap_or(EndCause::Evicted)), sink);
    }
}
