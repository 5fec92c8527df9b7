//! Why a request is not carried out: the closed list. `status` says what each means on the wire.

use std::time::Duration;

use mos_control::Refusal;
use mos_stack::{FlowId, PeekError, WorkerId};
use mos_text::{Echo, FlowName, FlowNameError};
use uuid::Uuid;

use crate::{
    api::answers::IdReused,
    audit::Unavailable,
    auth::{Roles, Unproven},
    filter::FilterError,
    flows::{page_token::PageTokenError, resolve::ResolveError},
    net::Cutoff,
    policies::PolicyError,
    words::bounds::MESSAGE_IN_MAX,
    workers::CallError,
};

/// Names of flows that one error tells, at most.
const FLOWS_TOLD: usize = 16;

/// Why a request is not carried out. A rejected request has changed nothing, except after
/// [`Refusal::NoAnswer`], where that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The worker, or the way to it, refused.
    #[error("{resource}: {refusal}")]
    Refused {
        /// What the worker answered.
        refusal: Refusal,
        /// The flow or the core that it is about, as a name.
        resource: String,
    },
    /// The worker refused a look into a receive buffer.
    #[error("{resource}: {error}")]
    Peek {
        /// What the worker answered.
        error: PeekError,
        /// The flow's name.
        resource: String,
    },
    /// The handle names a worker that this process does not have.
    #[error("{flow} names core {core}, which does not exist: there are {cores} cores")]
    CoreNotFound {
        /// The handle.
        flow: FlowId,
        /// Its worker.
        core: WorkerId,
        /// Workers of this process.
        cores: usize,
    },
    /// The raw form names a core that this process does not have.
    #[error("core {core} does not exist: there are {cores} cores")]
    NoSuchCore {
        /// The number given.
        core: i32,
        /// Workers of this process.
        cores: usize,
    },
    /// The raw form names a core whose worker does not run.
    #[error("core {0} is not running")]
    CoreNotRunning(WorkerId),
    /// The raw form names a core that does not own the flow.
    #[error("core {core} does not own {flow}: core {owner} does")]
    NotOwner {
        /// The core that the caller believes owns the flow.
        core: i32,
        /// The flow.
        flow: FlowId,
        /// Its owner.
        owner: WorkerId,
    },
    /// The name cannot be read, or is not that of a flow.
    #[error(transparent)]
    FlowName(#[from] FlowNameError),
    /// No worker has a flow with this tuple.
    #[error("no live flow matches {0}")]
    NoMatch(String),
    /// More than one flow has this tuple.
    #[error("{name} fits {count} flows: {}", flows.join(", "))]
    AmbiguousFlow {
        /// The tuple.
        name: String,
        /// How many flows it fits.
        count: usize,
        /// The names of the first 16 of them.
        flows: Vec<String>,
    },
    /// A change that sets nothing.
    #[error("{0} sets no option")]
    NoChange(&'static str),
    /// An unknown option, or an unknown value of an enumerated option.
    #[error("{field}: {problem}")]
    OptionUnknown {
        /// Path of the field.
        field: &'static str,
        /// What is unknown.
        problem: String,
    },
    /// An option that mOS has and this build lacks.
    #[error("{0} is not implemented")]
    OptionNotImplemented(String),
    /// The value of an option is out of range.
    #[error("{field} {value} {problem}")]
    OptionValue {
        /// Path of the field.
        field: &'static str,
        /// The value given.
        value: String,
        /// What is wrong with it.
        problem: String,
        /// The least and the largest value allowed, where there are such.
        range: Option<(i64, i64)>,
    },
    /// A field that is not an option has a value out of range.
    #[error("{field}: {problem}")]
    Argument {
        /// Path of the field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The request id has come with another request before.
    #[error("request_id was used for another request before: take a new one")]
    RequestIdReused,
    /// The filter cannot be used.
    #[error("filter, column {}: {}", _0.column, _0.message)]
    Filter(FilterError),
    /// The page token cannot be used.
    #[error("page_token: {0}")]
    PageToken(#[from] PageTokenError),
    /// A stream cannot go on where the resume token says.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// It is not proven who calls.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// The caller has not the role that the method needs.
    #[error(
        "this needs the role {needed}, and {caller} has {held}: a [[grant]] in the roles file of \
         mosd (`roles` in section [server]) gives it"
    )]
    RoleRequired {
        /// The role, as people write it.
        needed: &'static str,
        /// Who calls.
        caller: String,
        /// The roles of the caller.
        held: Roles,
    },
    /// The call cannot be entered in the audit.
    #[error(transparent)]
    Unaudited(#[from] Unavailable),
    /// Payload may not be read.
    #[error(
        "reading payload is off: set `payload = true` in section [server] of the configuration"
    )]
    PayloadDisabled,
    /// The options have changed since the caller read its etag.
    #[error("the options of {flow} have changed: the etag is now {current}")]
    EtagMismatch {
        /// The flow's name.
        flow: String,
        /// The etag in force.
        current: String,
    },
    /// Policies cannot be changed so.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The limit of concurrent streams is reached.
    #[error("{max} streams are open already: more are not allowed")]
    TooManyStreams {
        /// Streams that may run at once.
        max: usize,
    },
    /// The caller calls faster than its grant allows.
    #[error("{max} {what} a second are allowed to this caller: wait {} ms", wait.as_millis())]
    RateLimited {
        /// What is counted: calls or changes.
        what: &'static str,
        /// In a second.
        max: u32,
        /// When it may come.
        wait: Duration,
    },
    /// A request about many flows cannot be carried out.
    #[error(transparent)]
    ManyFlows(#[from] ManyFlows),
    /// The transport ends the call, or does not begin it.
    #[error(transparent)]
    Cutoff(#[from] Cutoff),
    /// The service is stopping.
    #[error("mosd is stopping")]
    Stopping,
    /// gRPC itself does not serve the call.
    #[error(transparent)]
    Unserved(#[from] Unserved),
    /// A worker answered one command with the reply to another: our own error.
    #[error("internal error: core {0} answered with an unexpected reply")]
    UnexpectedReply(WorkerId),
    /// The request made us panic: our own error. The log has the id.
    #[error("internal error: the log of mosd says more of {0}")]
    Panicked(Uuid),
}

/// Why a stream cannot go on where its resume token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// It is no token of this request.
    #[error("resume_token is not one of this filter and these types")]
    Token(PageTokenError),
    /// What came after it is no longer kept.
    #[error("what happened since resume_token is no longer kept: begin without it")]
    Expired,
}

/// Why a request about many flows is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManyFlows {
    /// The limit of calls that look at every flow is reached.
    #[error("{max} calls that look at every flow are under way already: more are not allowed")]
    TooManyWalks {
        /// Such calls that may be under way at once.
        max: usize,
    },
    /// The time of the call was over before the last flow. Nothing was changed.
    #[error("the time of this call was over before all flows were looked at: give it more time")]
    Unfinished,
    /// More flows match than the request allows. Nothing was changed.
    #[error("{matched} flows match, and {max} may: nothing was changed")]
    TooManyMatches {
        /// Flows that match.
        matched: u64,
        /// The number that the request allows.
        max: u64,
    },
    /// The change cannot be undone, and the request does not allow that.
    #[error("to stop monitoring cannot be undone: allow_irreversible must be set")]
    Irreversible,
    /// The match token is not one of this request.
    #[error("match_token is not of this filter, these options and this start of mosd: count again")]
    MatchToken(PageTokenError),
    /// No change with this undo token is kept.
    #[error("no change with this undo token is kept")]
    UndoUnknown,
}

/// Why a call ends before it reaches a method of ours, or without one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unserved {
    /// No service of mosd has this method.
    #[error("mosd has no such method: server reflection lists those that it has")]
    NoSuchMethod,
    /// The health or the reflection service does not know the name that it was asked for.
    #[error("no service, file or symbol has this name: server reflection lists the services")]
    NoSuchName,
    /// The bytes sent are no request of this method; what is wrong with them.
    #[error("the request cannot be read: {}", Echo(.0))]
    Unreadable(String),
    /// The request is larger than mosd takes.
    #[error("the request is too large: {MESSAGE_IN_MAX} bytes at most")]
    RequestTooLarge,
    /// The request is compressed.
    #[error("mosd does not read compressed requests")]
    Compression,
    /// The time that the client gave the call has passed.
    #[error("the time that the client gave this call has passed")]
    Late,
    /// The client has cancelled the call.
    #[error("the client has cancelled the call")]
    Cancelled,
    /// A service other than those of `mos.v1` ended a call with this code and without a reason.
    #[error("internal error: a call ended with the code {0} and without a reason")]
    Unexplained(i32),
}

impl Rejection {
    /// When the same request may be tried again, where this one knows it.
    pub(super) const fn wait(&self) -> Option<Duration> {
        if let Self::RateLimited { wait, .. } = self { Some(*wait) } else { None }
    }

    /// The rejection for a call that has no reply. `resource` is the name of what it was about.
    pub(crate) fn of_call(error: CallError, resource: impl Into<String>) -> Self {
        let resource = resource.into();
        match error {
            CallError::Refused(refusal) => Self::Refused { refusal, resource },
            CallError::Peek(error) => Self::Peek { error, resource },
            CallError::UnexpectedReply(core) => Self::UnexpectedReply(core),
        }
    }

    /// The rejection for a call about a flow.
    pub(crate) fn of_flow(error: CallError, flow: FlowId) -> Self {
        Self::of_call(error, name_of(flow))
    }

    /// The rejection for a name that stands for no flow. The name is told as mosd writes it, not as
    /// it was sent.
    pub(crate) fn of_name(error: ResolveError, name: &str) -> Self {
        let name = || name.parse::<FlowName>().map(|name| name.to_string()).unwrap_or_default();
        match error {
            ResolveError::Name(error) => Self::FlowName(error),
            ResolveError::CoreNotFound { flow, cores } => {
                Self::CoreNotFound { flow, core: flow.worker(), cores }
            }
            ResolveError::NoMatch => Self::NoMatch(name()),
            ResolveError::Ambiguous(flows) => Self::AmbiguousFlow {
                name: name(),
                count: flows.len(),
                flows: flows.into_iter().take(FLOWS_TOLD).map(name_of).collect(),
            },
            ResolveError::Call(error) => Self::of_call(error, name()),
        }
    }
}

impl From<IdReused> for Rejection {
    fn from(_: IdReused) -> Self {
        Self::RequestIdReused
    }
}

fn name_of(flow: FlowId) -> String {
    FlowName::Handle(flow.to_bits()).to_string()
}
