//! What a worker has told lately, for who comes back.
//!
//! While somebody watches, and for a while after one who may come back has gone, all that the ring
//! gives is kept: the newest [`EVENTS_KEPT`] events. Of each kind it is known since when it has
//! been told without a pause: who wants to go on from before that has missed something.

use std::collections::VecDeque;

use mos_stack::EventKinds;

use super::Fresh;
use crate::words::bounds::EVENTS_KEPT;

/// The history of one worker.
#[derive(Debug, Default)]
pub(super) struct History {
    kept: VecDeque<Fresh>,
    /// Number of the last event that is no longer kept.
    forgotten: u64,
    /// Number of the last event that has come from the ring.
    pub(super) last: u64,
    /// Kinds that are told, and the number of the last event before each was: by its place.
    told: EventKinds,
    since: [u64; EventKinds::COUNT],
}

impl History {
    /// Takes note of which kinds are told from now on, after the event with this number.
    pub(super) fn tell(&mut self, kinds: EventKinds, pushed: u64) {
        for (place, since) in self.since.iter_mut().enumerate() {
            if kinds.has_place(place) && !self.told.has_place(place) {
                *since = pushed;
            }
        }
        self.told = kinds;
        if kinds == EventKinds::NONE {
            self.kept = VecDeque::new();
            self.forgotten = pushed;
        }
    }

    /// Adds what has come from the ring.
    pub(super) fn add(&mut self, batch: &[Fresh]) {
        let over = (self.kept.len() + batch.len()).saturating_sub(EVENTS_KEPT);
        if let Some(gone) = over.checked_sub(1).and_then(|last| self.kept.get(last)) {
            self.forgotten = last_number(gone);
        }
        self.kept.drain(..over.min(self.kept.len()));
        self.kept.extend(batch);
        self.last = batch.last().map_or(self.last, last_number);
    }

    /// Whether every event of these kinds after the one with this number is kept or still to come.
    /// `pushed` is the number of the last event that the worker has told.
    pub(super) fn reaches(&self, number: u64, kinds: EventKinds, pushed: u64) -> bool {
        let is_told = |(place, since): (usize, &u64)| {
            !kinds.has_place(place) || (self.told.has_place(place) && *since <= number)
        };
        (self.forgotten..=pushed).contains(&number) && self.since.iter().enumerate().all(is_told)
    }

    /// What came after the event with this number, `most` items at most; `None` if some of it is
    /// no longer kept.
    pub(super) fn after(&self, number: u64, most: usize) -> Option<impl Iterator<Item = &Fresh>> {
        let first = self.kept.partition_point(|fresh| last_number(fresh) <= number);
        (number >= self.forgotten).then(|| self.kept.iter().skip(first).take(most))
    }
}

/// Number of the last event that something is, or stands for.
pub(super) const fn last_number(fresh: &Fresh) -> u64 {
    match fresh {
        Fresh::Value(event) => event.sequence,
        Fresh::Lost(loss) => loss.numbers.first + loss.numbers.count - 1,
    }
}
