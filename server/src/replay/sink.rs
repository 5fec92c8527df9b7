//! What a worker tells of its flows: their records, their streams, their events.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use mos_stack::{EndCause, Event, EventKinds, EventSink, FlowId, FlowRef, Side};

use super::{record::FlowRecord, streams::StreamWriter};
use crate::filter::Filter;

/// Prints a record when its flow ends.
pub(super) type Printer<'a> = &'a (dyn Fn(&FlowRecord) + Sync);

/// Collects the records of one worker's flows, and its events of some kinds.
pub(super) struct Records<'a> {
    pub(super) flows: Vec<FlowRecord>,
    pub(super) events: Vec<Event>,
    pub(super) streams: Option<StreamWriter>,
    kinds: EventKinds,
    filter: Filter,
    follower: Option<Printer<'a>>,
    /// How often the times of the capture have run backwards so far.
    steps_back: Arc<AtomicU64>,
    /// The flows that began when they had.
    begun: HashMap<FlowId, u64>,
}

impl<'a> Records<'a> {
    /// An empty collection, which keeps events of these kinds and the flows that match, and writes
    /// their streams. Where somebody follows, the flows are printed instead of kept.
    pub(super) fn keeping(
        kinds: EventKinds,
        filter: Filter,
        streams: Option<StreamWriter>,
        follower: Option<Printer<'a>>,
        steps_back: Arc<AtomicU64>,
    ) -> Self {
        let (flows, events, begun) = (Vec::new(), Vec::new(), HashMap::new());
        Self { flows, events, streams, kinds, filter, follower, steps_back, begun }
    }
}

impl EventSink for Records<'_> {
    fn wanted(&self) -> EventKinds {
        self.kinds
    }

    fn on_event(&mut self, event: &Event) {
        self.events.push(*event);
    }

    fn flow_started(&mut self, flow: FlowId) {
        let steps_back = self.steps_back.load(Relaxed);
        if steps_back > 0 {
            self.begun.insert(flow, steps_back);
        }
    }

    fn flow_ended(&mut self, flow: &FlowRef<'_>, cause: Option<EndCause>) {
        let summary = flow.summary();
        let steps_back = self.begun.remove(&summary.id).unwrap_or_default();
        // A flow is as old as its packets say.
        if !self.filter.matches(&summary, summary.last_packet) {
            return;
        }
        let mut record = FlowRecord::new(flow, cause);
        record.steps_back = steps_back;
        if let Some(streams) = &mut self.streams {
            record.c2s.file = streams.write(flow, Side::Client, &record.c2s);
            record.s2c.file = streams.write(flow, Side::Server, &record.s2c);
        }
        match self.follower {
            Some(print) => print(&record),
            None => self.flows.push(record),
        }
    }
}
