//! The flows with the largest values, of all that are visited.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    ops::ControlFlow,
};

use mos_stack::FlowSummary;

use super::walk::Visitor;
use crate::filter::RankKey;

/// A ranking in the making: never more flows than are wanted.
#[derive(Debug)]
pub(crate) struct Ranking {
    key: RankKey,
    wanted: usize,
    /// The least one is at the top.
    best: BinaryHeap<Reverse<Ranked>>,
}

/// A flow with its value. Of flows with one value, the one with the lower handle ranks higher.
#[derive(Debug)]
struct Ranked {
    value: u128,
    flow: Box<FlowSummary>,
}

impl Ranking {
    /// The largest values of this key.
    pub(crate) fn new(key: RankKey, wanted: usize) -> Self {
        Self { key, wanted, best: BinaryHeap::with_capacity(wanted) }
    }

    /// The flows, largest value first.
    pub(crate) fn ranked(self) -> impl Iterator<Item = Box<FlowSummary>> {
        // Sorted by what is reversed.
        self.best.into_sorted_vec().into_iter().map(|Reverse(ranked)| ranked.flow)
    }
}

impl Visitor for Ranking {
    fn visit(&mut self, flow: &FlowSummary) -> ControlFlow<()> {
        let Some(value) = self.key.value(flow) else { return ControlFlow::Continue(()) };
        if self.best.len() < self.wanted {
            self.best.push(Reverse(Ranked { value, flow: Box::new(*flow) }));
        } else if let Some(mut least) = self.best.peek_mut()
            && (value, Reverse(flow.id.to_bits())) > least.0.rank()
        {
            // In its place, without another allocation.
            least.0.value = value;
            *least.0.flow = *flow;
        }
        ControlFlow::Continue(())
    }

    fn room(&self) -> usize {
        usize::MAX
    }
}

impl Ranked {
    fn rank(&self) -> (u128, Reverse<u64>) {
        (self.value, Reverse(self.flow.id.to_bits()))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}
