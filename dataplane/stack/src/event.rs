//! Facts that the stack states while it works, and who is told them.

use crate::{EndCause, FlowSummary, Side, StreamOffset, reassembly::Reassembler};

/// A flow at the moment of an event, readable for the length of the call.
#[derive(Debug)]
pub struct FlowRef<'a> {
    pub(crate) summary: FlowSummary,
    pub(crate) buffers: crate::Sides<&'a Reassembler>,
    pub(crate) pool: &'a crate::reassembly::BufferPool,
}

/// Is told what happens to flows. Called on the worker, within a burst: must not block.
pub trait EventSink {
    /// A flow has ended; its buffers are returned to the pool after the call. The cause is absent
    /// where the flow was still open when [`Stack::finish`](crate::Stack::finish) was called.
    fn flow_ended(&mut self, flow: &FlowRef<'_>, cause: Option<EndCause>);
}

/// Nobody listens.
impl EventSink for () {
    fn flow_ended(&mut self, _flow: &FlowRef<'_>, _cause: Option<EndCause>) {}
}

impl FlowRef<'_> {
    /// Everything that is known of the flow.
    #[must_use]
    pub const fn summary(&self) -> &FlowSummary {
        &self.summary
    }

    /// Calls `sink` with the bytes of the gap-free beginning of what `side` received, piece by
    /// piece and in order, as its buffer holds them. Returns the number of bytes: 0 when the
    /// first byte is not held (any more).
    pub fn read_beginning(&self, side: Side, mut sink: impl FnMut(&[u8])) -> u64 {
        let (mut at, mut total) = (StreamOffset::ZERO, 0);
        while let Some(piece) = self.buffers[side].piece_at(self.pool, at) {
            sink(piece);
            total += piece.len() as u64;
            at = at.plus(piece.len() as u64);
        }
        total
    }
}
