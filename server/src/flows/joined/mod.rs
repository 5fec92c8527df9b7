//! A list and the changes that follow it, joined without a seam.
//!
//! Changes are subscribed to first, then the table is walked, and both go on at once. A page of the
//! walk says the number of the last event before it: what it shows has those events in it already.
//! So of a flow that was there when the walk began, the events up to its page are left out; of one
//! that began later, which no page shows, all are told. A flow that began in between and was gone
//! before its page is told when it ends, beginning and all.

use std::collections::HashMap;

use mos_control::NumberedEvent;
use mos_stack::{Event, Fact, FlowId, Instant as WorkerTime, StatusChange, WorkerId};

/// What of the events is told beside the pages of a walk.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    /// When the walk began; `None` before its first page, and where there is no walk.
    start: Option<WorkerTime>,
    /// How far each table was shown, in the order of the walk.
    marks: Vec<Mark>,
    /// Flows that began before the walk did, but after the subscription: their first events.
    early: HashMap<FlowId, NumberedEvent>,
    is_over: bool,
}

/// The slots of a core below this one, from the mark before on, have the events up to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    core: WorkerId,
    slot: u32,
    last_event: u64,
}

impl Joined {
    /// Takes note of when the walk began.
    pub(crate) fn begin(&mut self, start: WorkerTime) {
        self.start = Some(start);
    }

    /// Takes note of a page: this core's slots below `slot` were shown, after this event.
    pub(crate) fn scanned(&mut self, core: WorkerId, slot: u32, last_event: u64) {
        let mark = Mark { core, slot, last_event };
        match self.marks.last_mut() {
            Some(last) if (last.core, last.last_event) == (core, last_event) => *last = mark,
            Some(_) | None => self.marks.push(mark),
        }
    }

    /// Takes note that the walk is over.
    pub(crate) fn end(&mut self) {
        self.is_over = true;
    }

    /// Forgets the walk once every event that its pages have in them has been seen: `seen` says of
    /// each core up to which.
    pub(crate) fn forget(&mut self, seen: impl Fn(WorkerId) -> u64) {
        let is_passed = |mark: &Mark| mark.last_event <= seen(mark.core);
        if self.is_over && self.marks.iter().all(is_passed) {
            *self = Self { is_over: true, ..Self::default() };
        }
    }

    /// What is told when an event comes: nothing, the event, or with it that the flow has begun.
    pub(crate) fn tell(&mut self, core: WorkerId, event: NumberedEvent) -> Vec<NumberedEvent> {
        let Event { flow: Some(flow), fact: Fact::FlowStatus { change, status }, .. } = event.value
        else {
            return Vec::new();
        };
        if self.start.is_none_or(|start| status.started > start) {
            return vec![event];
        }
        let began = match change {
            StatusChange::Ended(_) => self.early.remove(&flow),
            StatusChange::Began | StatusChange::Changed => None,
        };
        match self.is_in_page(core, flow.slot(), event.sequence) {
            Some(true) if change == StatusChange::Began => {
                self.early.insert(flow, event);
                Vec::new()
            }
            Some(true) => began.map_or_else(Vec::new, |began| vec![began, event]),
            // Its page has shown it: it changed since it began.
            Some(false) if change == StatusChange::Began => vec![changed(event)],
            Some(false) | None => vec![event],
        }
    }

    /// Whether a page shows a slot as it was after an event; also where that page is still to come.
    /// `None`: no page shows it, because its core did not answer.
    fn is_in_page(&self, core: WorkerId, slot: u32, number: u64) -> Option<bool> {
        let first = self.marks.partition_point(|mark| (mark.core, mark.slot) <= (core, slot));
        match self.marks.get(first).filter(|mark| mark.core == core) {
            Some(mark) => Some(number <= mark.last_event),
            None => (!self.is_over).then_some(true),
        }
    }
}

/// The same event of a flow that has begun before.
fn changed(mut event: NumberedEvent) -> NumberedEvent {
    if let Fact::FlowStatus { change, .. } = &mut event.value.fact {
        *change = StatusChange::Changed;
    }
    event
}

#[cfg(test)]
mod tests;
