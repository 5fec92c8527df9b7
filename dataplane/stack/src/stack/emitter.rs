//! Emits what happens to one flow into the sink of a stack.

use crate::{
    Event, EventKinds, EventSink, Fact, FlowId, FlowTuple, Instant, Side, StreamOffset,
    tcp::FlowSink,
};

/// Emits the facts of one flow, or of a packet of no flow, that its sink wants.
pub(super) struct Emitter<'a, S, T> {
    pub(super) time: Instant,
    pub(super) flow: Option<FlowId>,
    /// Makes the tuple, only for a fact that the sink wants.
    pub(super) tuple: T,
    pub(super) sink: &'a mut S,
}

impl<S: EventSink, T: Fn() -> FlowTuple> Emitter<'_, S, T> {
    #[inline]
    pub(super) fn emit(&mut self, fact: Fact) {
        if self.sink.wanted().contains(fact.kind()) {
            let (time, flow, tuple) = (self.time, self.flow, (self.tuple)());
            self.sink.on_event(&Event { time, flow, tuple, fact });
        }
    }
}

impl<S: EventSink, T: Fn() -> FlowTuple> FlowSink for Emitter<'_, S, T> {
    #[inline]
    fn emit(&mut self, fact: Fact) {
        Emitter::emit(self, fact);
    }

    #[inline]
    fn wants_stream(&self) -> bool {
        self.sink.wants_streams()
    }

    #[inline]
    fn emit_stream(&mut self, side: Side, offset: StreamOffset, bytes: &[u8]) {
        if let Some(flow) = self.flow {
            self.sink.on_stream(flow, side, offset, bytes);
        }
    }
}

/// Whether a sink wants anything that names the flow before its end.
pub(super) fn needs_handle(sink: &impl EventSink) -> bool {
    sink.wants_streams() || sink.wanted() != EventKinds::NONE
}
