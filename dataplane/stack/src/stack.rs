//! The stack of one worker: the only public entry point.

use crate::{
    Applied, EventSink, FlowId, FlowSummary, Frame, Instant, Limits, LimitsError, LookupError,
    PeekError, Peeked, Side, SockOptChange, SockOptError, Stats, StreamOffset, WorkerId,
};
use arrayvec::ArrayVec;
use core::net::SocketAddr;

/// The monitoring stack of one worker.
#[derive(Debug)]
pub struct Stack {
    stats: Stats,
}

/// Levels that rise and fall, as opposed to the counters of [`Stats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Flows tracked now (stopped ones, which are not listed, included).
    pub flows: u64,
    /// Flow slots.
    pub flow_slots: u64,
    /// Bytes of the block pool in use.
    pub pool_used_bytes: u64,
    /// Bytes of the block pool.
    pub pool_bytes: u64,
}

/// A position in a walk over the slots of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotCursor(pub u32);

/// Most flows that [`Stack::find`] reports: one for each VLAN and orientation seen.
pub const FIND_MAX: usize = 8;

#[expect(clippy::todo, clippy::unused_self, reason = "skeleton")]
impl Stack {
    /// Makes a stack and reserves all its memory.
    pub fn new(_worker: WorkerId, _limits: Limits, _seed: u64) -> Result<Self, LimitsError> {
        todo!()
    }
    /// Handles a burst of at most [`BURST`](crate::limits::BURST) frames in order of arrival.
    pub fn handle_burst(&mut self, _frames: &[Frame<'_>], _sink: &mut impl EventSink) {
        todo!()
    }
    /// Ends flows that have been silent for too long, `budget` at most. Returns how many ended.
    pub fn handle_timeout(
        &mut self,
        _now: Instant,
        _budget: u32,
        _sink: &mut impl EventSink,
    ) -> u32 {
        todo!()
    }
    /// Ends every flow: the source has come to its end.
    pub fn finish(&mut self, _sink: &mut impl EventSink) {
        todo!()
    }
    /// Changes options of one flow: all of the change or nothing.
    pub fn set_sock_opt(
        &mut self,
        _flow: FlowId,
        _change: &SockOptChange,
        _expected: Option<u32>,
        _sink: &mut impl EventSink,
    ) -> Result<Applied, SockOptError> {
        todo!()
    }
    /// What [`Self::set_sock_opt`] would answer, without doing it.
    pub fn check_sock_opt(
        &self,
        _flow: FlowId,
        _change: &SockOptChange,
        _expected: Option<u32>,
    ) -> Result<Applied, SockOptError> {
        todo!()
    }
    /// Everything known of one flow.
    pub fn summary(&self, _flow: FlowId) -> Result<FlowSummary, LookupError> {
        todo!()
    }
    /// Live flows between two endpoints, in either orientation.
    pub fn find(
        &self,
        _a: SocketAddr,
        _b: SocketAddr,
        _vlan: Option<u16>,
    ) -> ArrayVec<FlowSummary, FIND_MAX> {
        todo!()
    }
    /// Visits at most `slots` slots from `cursor` on, and at most as many flows as `page` has room
    /// for. Returns where to go on, `None` at the end of the table.
    pub fn scan<const N: usize>(
        &self,
        _cursor: SlotCursor,
        _slots: u32,
        _page: &mut ArrayVec<FlowSummary, N>,
    ) -> Option<SlotCursor> {
        todo!()
    }
    /// Copies held bytes of what `side` received into `out`, from `offset` or the oldest byte on.
    pub fn peek(
        &self,
        _flow: FlowId,
        _side: Side,
        _offset: Option<StreamOffset>,
        _out: &mut [u8],
    ) -> Result<Peeked, PeekError> {
        todo!()
    }
    /// The counters.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }
    /// The levels.
    pub fn gauges(&self) -> Gauges {
        todo!()
    }
}
