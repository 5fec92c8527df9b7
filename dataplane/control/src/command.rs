//! The closed list of what can be asked of a worker, and of what it answers.

use core::net::SocketAddr;
use std::sync::Arc;

use arrayvec::ArrayVec;
use mos_stack::{
    Applied, FIND_MAX, FlowDetails, FlowId, FlowSummary, Instant, PeekError, Peeked, Side,
    SlotCursor, SockOptChange, StreamOffset, StreamRead, policy::PolicyTable,
};

use crate::{FLOW_PAGE, PEEK_CHUNK, Refusal, SockOptBatch};

/// Joins an [`Answer`] to its [`Request`]; unique per ring for the life of the process.
pub type RequestId = u64;

/// Room for the flows of one scan.
pub type FlowPage = ArrayVec<FlowSummary, FLOW_PAGE>;

/// Room for the bytes of one peek.
pub type PeekChunk = [u8; PEEK_CHUNK];

/// A command on its way to a worker.
#[derive(Debug)]
pub struct Request {
    /// Comes back in the answer.
    pub id: RequestId,
    /// What to do.
    pub command: Command,
}

/// A worker's answer to one request. Every request that a worker takes is answered exactly once.
#[derive(Debug)]
pub struct Answer {
    /// The request's id.
    pub id: RequestId,
    /// The result.
    pub outcome: Result<Reply, Refusal>,
}

/// What can be asked of a worker. Values are absolute, so a command may be repeated.
#[derive(Debug)]
pub enum Command {
    /// The worker's clock.
    Clock,
    /// Live flows between two endpoints, in either orientation.
    Find {
        /// One endpoint.
        a: SocketAddr,
        /// The other endpoint.
        b: SocketAddr,
        /// Only flows with this 802.1Q id.
        vlan: Option<u16>,
    },
    /// Everything known of one flow.
    Get {
        /// Which flow.
        flow: FlowId,
    },
    /// Everything known of one flow, including what its buffers hold.
    Inspect {
        /// Which flow.
        flow: FlowId,
    },
    /// Changes options of one flow: all of them or none.
    SetSockOpt {
        /// Which flow.
        flow: FlowId,
        /// What to change.
        change: SockOptChange,
        /// Refuse unless the options have this revision.
        expected_revision: Option<u32>,
        /// Check everything, change nothing, answer as if done.
        validate_only: bool,
    },
    /// Changes options of several flows, of each all or nothing.
    SetSockOpts {
        /// The changes; comes back with what came of them.
        batch: Box<SockOptBatch>,
    },
    /// Puts policies in force for flows that begin from now on.
    SetPolicies {
        /// Compiled; shared with the other workers.
        table: Arc<PolicyTable>,
    },
    /// Copies the flows of the next slots into the page.
    Scan {
        /// Where to begin.
        cursor: SlotCursor,
        /// Comes back filled.
        page: Box<FlowPage>,
    },
    /// Copies held bytes of one side's receive buffer.
    Peek {
        /// Which flow.
        flow: FlowId,
        /// Whose buffer; the client's holds what the server sent.
        side: Side,
        /// Where to begin; the oldest held byte when absent.
        offset: Option<StreamOffset>,
        /// Bytes wanted; at most [`PEEK_CHUNK`] are copied.
        length: usize,
        /// Comes back filled.
        chunk: Box<PeekChunk>,
    },
    /// The next step of a reader through one side's stream.
    Read {
        /// Which flow.
        flow: FlowId,
        /// Which side receives the stream.
        side: Side,
        /// Where the reader is; at the oldest byte when absent.
        from: Option<StreamOffset>,
        /// Bytes wanted; at most [`PEEK_CHUNK`] are copied.
        length: usize,
        /// Comes back filled.
        chunk: Box<PeekChunk>,
    },
}

/// What a worker answers to a command that it carried out.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a reply travels by value: a worker cannot allocate")]
pub enum Reply {
    /// To [`Command::Clock`].
    Clock(Instant),
    /// To [`Command::Find`]: empty when there are none.
    Found(ArrayVec<FlowSummary, FIND_MAX>),
    /// To [`Command::Get`].
    Flow(FlowSummary),
    /// To [`Command::Inspect`].
    Details(FlowDetails),
    /// To [`Command::SetSockOpt`].
    SockOpt(Applied),
    /// To [`Command::SetSockOpts`].
    SockOpts {
        /// The changes, and what came of them.
        batch: Box<SockOptBatch>,
    },
    /// To [`Command::SetPolicies`]: the policies that were in force before.
    Policies(Option<Arc<PolicyTable>>),
    /// To [`Command::Scan`].
    Scanned {
        /// The flows found.
        page: Box<FlowPage>,
        /// Where to go on; `None` at the end of the table.
        next: Option<SlotCursor>,
        /// Number of the last event that was told before.
        last_event: u64,
    },
    /// To [`Command::Peek`]; the chunk comes back with an error, too.
    Peeked {
        /// The first `length` bytes of it are the payload.
        chunk: Box<PeekChunk>,
        /// What was found.
        result: Result<Peeked, PeekError>,
    },
    /// To [`Command::Read`]; the chunk comes back with an error, too.
    Read {
        /// The first `length` bytes of it are the payload.
        chunk: Box<PeekChunk>,
        /// What there is to read.
        result: Result<StreamRead, PeekError>,
    },
}
