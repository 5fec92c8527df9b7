//! What becomes of a flow that begins, by the policies in force.

use alloc::sync::Arc;

use super::Stack;
use crate::{
    FlowTuple,
    flow::Start,
    policy::{PolicyTable, Treatment},
    wire::Segment,
};

impl Stack {
    /// Puts other policies in force, for flows that begin from now on. Gives those before back:
    /// a worker frees nothing.
    pub const fn set_policies(
        &mut self,
        table: Option<Arc<PolicyTable>>,
    ) -> Option<Arc<PolicyTable>> {
        self.policies.swap(table)
    }

    /// What the flow of a segment begins with. `None` if a policy excludes it.
    pub(super) fn start(&self, segment: &Segment<'_>) -> Option<Start> {
        let is_first = segment.flags.is_syn() && !segment.flags.is_ack();
        let counted_for = Some(self.worker).filter(|_| is_first);
        if !segment.flags.is_syn() && self.excludes(segment) {
            return None;
        }
        let tuple = oriented(segment);
        match self.policies.decide(&tuple, counted_for) {
            Some(Treatment::Exclude) => None,
            Some(Treatment::Monitor(options)) => Some(Start { options, is_of_policy: true }),
            None => Some(Start { options: self.limits.defaults, is_of_policy: false }),
        }
    }

    /// Whether a policy excludes the connection of a segment without SYN.
    pub(super) fn excludes(&self, segment: &Segment<'_>) -> bool {
        self.policies.excludes(&segment.tuple())
    }
}

/// The addresses and ports of the flow that begins with a segment.
fn oriented(segment: &Segment<'_>) -> FlowTuple {
    let client = segment.client();
    let [client, server] = [client, client.other()].map(|end| segment.key.endpoint(end));
    FlowTuple { client, server, vlan: segment.vlans.outer() }
}
