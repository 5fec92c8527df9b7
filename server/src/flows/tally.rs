//! Counts flows in groups.

use std::{cmp::Reverse, collections::HashMap, ops::ControlFlow};

use mos_stack::FlowSummary;

use super::walk::Visitor;
use crate::{
    filter::{Group, GroupKey},
    words::bounds::GROUPS_APART_MAX,
};

/// A count in the making.
#[derive(Debug)]
pub(crate) struct Tally {
    key: GroupKey,
    groups: HashMap<Group, u64>,
    flows: u64,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// All flows.
    pub(crate) flows: u64,
    /// The largest groups, largest first; of groups of one size in the order of their values.
    pub(crate) groups: Vec<(Vec<String>, u64)>,
    /// Flows of the other groups.
    pub(crate) others: u64,
}

impl Tally {
    /// Counts in the groups of this key; in none where it has no fields.
    pub(crate) fn new(key: GroupKey) -> Self {
        Self { key, groups: HashMap::new(), flows: 0 }
    }

    /// The count, with `groups_max` groups at most.
    pub(crate) fn counted(self, groups_max: usize) -> Counted {
        let Self { key, groups, flows } = self;
        let text = |group: Group| group.iter().take(key.len()).map(ToString::to_string).collect();
        let mut groups: Vec<(Vec<String>, u64)> =
            groups.into_iter().map(|(group, flows)| (text(group), flows)).collect();
        groups.sort_unstable_by(|(a, a_flows), (b, b_flows)| {
            (Reverse(a_flows), a).cmp(&(Reverse(b_flows), b))
        });
        groups.truncate(groups_max);
        let shown: u64 = groups.iter().map(|(_, flows)| flows).sum();
        let others = if key.len() == 0 { 0 } else { flows - shown };
        Counted { flows, groups, others }
    }
}

impl Visitor for Tally {
    fn visit(&mut self, flow: &FlowSummary) -> ControlFlow<()> {
        self.flows += 1;
        if self.key.len() == 0 {
            return ControlFlow::Continue(());
        }
        let group = self.key.group(flow);
        let has_room = self.groups.len() < GROUPS_APART_MAX;
        if let Some(flows) = self.groups.get_mut(&group) {
            *flows += 1;
        } else if has_room {
            let _none_before: Option<u64> = self.groups.insert(group, 1);
        }
        ControlFlow::Continue(())
    }

    fn room(&self) -> usize {
        usize::MAX
    }
}
