//! What workers can be asked, each call with the type of its reply.

use std::{net::SocketAddr, sync::Arc};

use mos_control::{Command, FlowPage, PEEK_CHUNK, PeekChunk, Refusal, Reply, SockOptBatch};
use mos_stack::{
    Applied, FlowDetails, FlowId, FlowSummary, Instant as WorkerTime, PeekError, Peeked, Side,
    SlotCursor, SockOptChange, StreamOffset, StreamRead, WorkerId, policy::PolicyTable,
};
use tokio::time::Instant;

use super::{PendingAnswer, ScanPlace, WorkerClient, Workers};

/// Why a call has no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// The worker, or the way to it, refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The worker refused a look into a receive buffer.
    #[error(transparent)]
    Peek(#[from] PeekError),
    /// The worker answered with the reply to another command: our own error.
    #[error("core {0} answered with an unexpected reply")]
    UnexpectedReply(WorkerId),
}

/// A call that is on its way.
#[derive(Debug)]
#[must_use = "the answer is lost when nobody waits for it"]
pub(crate) struct Asked<T> {
    worker: WorkerId,
    pending: Result<PendingAnswer, Refusal>,
    read: fn(Reply) -> Option<T>,
}

/// What one scan found.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// Flows in the order of their slots.
    pub(crate) page: Box<FlowPage>,
    /// Where to go on; `None` at the end of the table.
    pub(crate) next: Option<SlotCursor>,
    /// Number of the last event that the worker had told then.
    pub(crate) last_event: u64,
}

/// A change of one flow's options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    /// What to change.
    pub(crate) change: SockOptChange,
    /// Refuse unless the options have this revision.
    pub(crate) expected_revision: Option<u32>,
    /// Check everything, change nothing, answer as if done.
    pub(crate) validate_only: bool,
}

/// Which bytes of which buffer to copy. At most [`PEEK_CHUNK`] come at once.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// The flow.
    pub(crate) flow: FlowId,
    /// Whose buffer; the client's holds what the server sent.
    pub(crate) side: Side,
    /// Where to begin; the oldest held byte when absent.
    pub(crate) from: Option<StreamOffset>,
    /// Bytes wanted.
    pub(crate) length: usize,
    /// Memory for them; comes back filled.
    pub(crate) chunk: Box<PeekChunk>,
}

/// A function that takes one kind of reply apart and gives `None` for every other.
macro_rules! reply {
    ($pattern:pat => $value:expr) => {
        |reply| if let $pattern = reply { Some($value) } else { None }
    };
}

impl<T> Asked<T> {
    /// Waits for the reply as long as it takes.
    pub(crate) async fn reply(self) -> Result<T, CallError> {
        let reply = self.pending?.outcome().await?;
        (self.read)(reply).ok_or(CallError::UnexpectedReply(self.worker))
    }

    /// Waits for the reply until the deadline, which is a refusal then.
    pub(crate) async fn reply_by(self, deadline: Instant) -> Result<T, CallError> {
        let late = Refusal::NoAnswer(self.worker);
        tokio::time::timeout_at(deadline, self.reply()).await.unwrap_or(Err(late.into()))
    }
}

impl WorkerClient {
    /// Asks for the worker's clock, among the scans.
    pub(crate) fn clock(&self, place: ScanPlace) -> Asked<WorkerTime> {
        let pending = self.begin_scan(Command::Clock, place);
        Asked { worker: self.worker(), pending, read: reply!(Reply::Clock(now) => now) }
    }

    /// Asks for the flows of the next slots, with memory for them.
    pub(crate) fn scan(
        &self,
        cursor: SlotCursor,
        mut page: Box<FlowPage>,
        place: ScanPlace,
    ) -> Asked<Scanned> {
        page.clear();
        let pending = self.begin_scan(Command::Scan { cursor, page }, place);
        let read =
            reply!(Reply::Scanned { page, next, last_event } => Scanned { page, next, last_event });
        Asked { worker: self.worker(), pending, read }
    }

    /// Changes options of several flows, among the scans.
    pub(crate) fn set_sock_opts(
        &self,
        batch: Box<SockOptBatch>,
        place: ScanPlace,
    ) -> Asked<Box<SockOptBatch>> {
        let pending = self.begin_scan(Command::SetSockOpts { batch }, place);
        Asked { worker: self.worker(), pending, read: reply!(Reply::SockOpts { batch } => batch) }
    }

    /// Asks for live flows between two endpoints, in either orientation.
    pub(crate) fn find(
        &self,
        a: SocketAddr,
        b: SocketAddr,
        vlan: Option<u16>,
    ) -> Asked<Vec<FlowSummary>> {
        let pending = self.begin(Command::Find { a, b, vlan });
        let read = reply!(Reply::Found(flows) => flows.into_iter().collect());
        Asked { worker: self.worker(), pending, read }
    }
}

impl WorkerClient {
    /// Puts policies in force for flows that begin from now on; those before come back.
    pub(crate) fn set_policies(&self, table: Arc<PolicyTable>) -> Asked<Option<Arc<PolicyTable>>> {
        let pending = self.begin(Command::SetPolicies { table });
        let read = reply!(Reply::Policies(before) => before);
        Asked { worker: self.worker(), pending, read }
    }
}

/// Calls about one flow go to the worker that its handle names. Each can fail as
/// [`WorkerClient::ask`] does, with [`Refusal::NoSuchWorker`], and as its worker refuses.
impl Workers {
    /// What lists tell of a flow.
    pub(crate) async fn summary(
        &self,
        flow: FlowId,
        deadline: Instant,
    ) -> Result<FlowSummary, CallError> {
        let read = reply!(Reply::Flow(summary) => summary);
        self.call(flow, Command::Get { flow }, read, deadline).await
    }

    /// Everything known of a flow, what its buffers hold included.
    pub(crate) async fn details(
        &self,
        flow: FlowId,
        deadline: Instant,
    ) -> Result<FlowDetails, CallError> {
        let read = reply!(Reply::Details(details) => details);
        self.call(flow, Command::Inspect { flow }, read, deadline).await
    }

    /// Changes options of a flow: all of them or none.
    pub(crate) async fn set_sock_opt(
        &self,
        flow: FlowId,
        Change { change, expected_revision, validate_only }: Change,
        deadline: Instant,
    ) -> Result<Applied, CallError> {
        let command = Command::SetSockOpt { flow, change, expected_revision, validate_only };
        let read = reply!(Reply::SockOpt(applied) => applied);
        self.call(flow, command, read, deadline).await
    }

    /// Copies held bytes; the first `length` bytes of the chunk are the payload.
    pub(crate) async fn peek(
        &self,
        Stretch { flow, side, from: offset, length, chunk }: Stretch,
        deadline: Instant,
    ) -> Result<(Peeked, Box<PeekChunk>), CallError> {
        let length = length.min(PEEK_CHUNK);
        let command = Command::Peek { flow, side, offset, length, chunk };
        let read = reply!(Reply::Peeked { chunk, result } => (chunk, result));
        let (chunk, result) = self.call(flow, command, read, deadline).await?;
        Ok((result?, chunk))
    }

    /// The next step of a reader; the first `length` bytes of the chunk are the payload.
    pub(crate) async fn read(
        &self,
        Stretch { flow, side, from, length, chunk }: Stretch,
        deadline: Instant,
    ) -> Result<(StreamRead, Box<PeekChunk>), CallError> {
        let length = length.min(PEEK_CHUNK);
        let command = Command::Read { flow, side, from, length, chunk };
        let read = reply!(Reply::Read { chunk, result } => (chunk, result));
        let (chunk, result) = self.call(flow, command, read, deadline).await?;
        Ok((result?, chunk))
    }

    async fn call<T>(
        &self,
        flow: FlowId,
        command: Command,
        read: fn(Reply) -> Option<T>,
        deadline: Instant,
    ) -> Result<T, CallError> {
        let worker = flow.worker();
        let reply = self.get(worker)?.ask(command, deadline).await?;
        read(reply).ok_or(CallError::UnexpectedReply(worker))
    }
}
