//! Eviction: makes room for flows and for data by ending evictable flows, the oldest first.

use super::Stack;
use crate::{EndCause, EventSink, Instant, flow::Evictable, limits::BURST};

/// The divisor of the pool whose quotient is kept free while ended flows hold memory: 1/16.
const POOL_RESERVE: u64 = 16;

impl Stack {
    /// Evicts a flow if the next one would find no room.
    pub(super) fn evict_for_flow(&mut self, now: Instant, sink: &mut impl EventSink) {
        let half_open = self.evictable.oldest(Evictable::HalfOpen);
        let ended = self.evictable.oldest(Evictable::Ended);
        let slot = if self.evictable.half_open() >= self.limits.half_open_max {
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

    /// Evicts ended flows, the oldest first, while the pool is nearly used up: at most `BURST` per
    /// call, because a burst can open that many flows.
    pub(super) fn evict_for_memory(&mut self, now: Instant, sink: &mut impl EventSink) {
        for _ in 0..BURST {
            let is_scarce = self.pool.free_bytes() < self.pool.total_bytes() / POOL_RESERVE;
            match self.evictable.oldest(Evictable::Ended).filter(|_| is_scarce) {
                Some(slot) => self.evict(slot, now, sink),
                None => return,
            }
        }
    }

    /// Removes an evictable flow.
    fn evict(&mut self, slot: u32, now: Instant, sink: &mut impl EventSink) {
        let ended = self.table.get(slot).and_then(|(_, flow)| flow.connection.ended);
        self.end(slot, now, Some(ended.unwrap_or(EndCause::Evicted)), sink);
    }
}
