//! What the options of a flow were before a change, in few bytes: a million flows may be undone.

use mos_control::SockOptItem;
use mos_stack::{
    Applied, FlowId, OverlapPolicy, Side, Sides, SockOptChange, SockOptName, SockOpts,
};

/// The options of a flow before a change, and the revision that the change gave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Before {
    flow: FlowId,
    revision: u32,
    /// In bytes; the largest capacity is far smaller than 4 GiB.
    buffer_bytes: Sides<u32>,
    overlap: Sides<OverlapPolicy>,
}

// The table of limits says what undoing costs.
const _: () = assert!(size_of::<Before>() == 24);

impl Before {
    /// What was in force before this change of a flow.
    pub(crate) fn of(flow: FlowId, applied: &Applied) -> Self {
        let SockOpts { buffer_bytes, overlap, stopped: _ } = applied.previous;
        let bytes = |side: Side| u32::try_from(buffer_bytes[side]).unwrap_or(u32::MAX);
        let buffer_bytes = Sides { client: bytes(Side::Client), server: bytes(Side::Server) };
        Self { flow, revision: applied.revision, buffer_bytes, overlap }
    }

    /// The change that puts the options of `names` back, unless somebody has changed any since.
    pub(crate) fn undo(&self, names: &[SockOptName]) -> SockOptItem {
        let mut change = SockOptChange::default();
        for name in names {
            match *name {
                SockOptName::Buffer(side) => {
                    change.buffer_bytes[side] = Some(self.buffer_bytes[side].into());
                }
                SockOptName::Overlap(side) => change.overlap[side] = Some(self.overlap[side]),
                // Nothing begins a monitoring that was stopped.
                SockOptName::StopMonitoring => {}
            }
        }
        SockOptItem { flow: self.flow, change, expected_revision: Some(self.revision) }
    }
}
