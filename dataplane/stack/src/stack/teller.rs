//! Who tells a sink what happens to one flow.

use crate::{
    Event, EventKinds, EventSink, Fact, FlowId, FlowTuple, Instant, Side, StreamOffset,
    tcp::Witness,
};

/// States facts about one flow to a sink, if it wants them.
pub(super) struct Teller<'a, S, T> {
    pub(super) time: Instant,
    pub(super) flow: Option<FlowId>,
    /// Spells the tuple out, which is not needed while nobody listens.
    pub(super) tuple: T,
    pub(super) sink: &'a mut S,
}

impl<S: EventSink, T: Fn() -> FlowTuple> Teller<'_, S, T> {
    #[inline]
    pub(super) fn tell(&mut self, fact: Fact) {
        if self.sink.wanted().contains(fact.kind()) {
            let (time, flow, tuple) = (self.time, self.flow, (self.tuple)());
            self.sink.on_event(&Event { time, flow, tuple, fact });
        }
    }
}

impl<S: EventSink, T: Fn() -> FlowTuple> Witness for Teller<'_, S, T> {
    #[inline]
    fn tell(&mut self, fact: Fact) {
        Teller::tell(self, fact);
    }

    #[inline]
    fn hears(&self) -> bool {
        self.sink.wants_streams()
    }

    #[inline]
    fn hear(&mut self, side: Side, offset: StreamOffset, bytes: &[u8]) {
        if let Some(flow) = self.flow {
            self.sink.on_stream(flow, side, offset, bytes);
        }
    }
}

/// Whether a sink wants anything for which it must be told the handle of a flow that lives on.
pub(super) fn needs_handle(sink: &impl EventSink) -> bool {
    sink.wants_streams() || sink.wanted() != EventKinds::NONE
}
