//! The flows that a selector matches, kept by their handles: what is counted is what is changed.

use std::ops::ControlFlow;

use mos_stack::{FlowId, FlowSummary, Side, SockOptChange, WorkerId};

use super::walk::Visitor;

/// The flows that match, up to a number; all of them are counted.
#[derive(Debug)]
pub(crate) struct Matches {
    change: SockOptChange,
    keep_max: u64,
    /// Flows that match.
    pub(crate) count: u64,
    /// The first of them, by worker, in the order of their slots.
    pub(crate) flows: Vec<(WorkerId, Vec<FlowId>)>,
    /// By how many bytes the capacities of their buffers would grow.
    pub(crate) growth_bytes: u64,
}

impl Matches {
    /// Keeps the handles of `keep_max` flows at most.
    pub(crate) const fn new(change: SockOptChange, keep_max: u64) -> Self {
        Self { change, keep_max, count: 0, flows: Vec::new(), growth_bytes: 0 }
    }
}

impl Visitor for Matches {
    fn visit(&mut self, flow: &FlowSummary) -> ControlFlow<()> {
        self.count += 1;
        for side in Side::BOTH {
            let wanted = self.change.buffer_bytes[side].unwrap_or(0);
            self.growth_bytes += wanted.saturating_sub(flow.options.buffer_bytes[side]);
        }
        if self.count > self.keep_max {
            return ControlFlow::Continue(());
        }
        let worker = flow.id.worker();
        match self.flows.last_mut() {
            Some((last, flows)) if *last == worker => flows.push(flow.id),
            Some(_) | None => self.flows.push((worker, vec![flow.id])),
        }
        ControlFlow::Continue(())
    }

    fn room(&self) -> usize {
        usize::MAX
    }
}
