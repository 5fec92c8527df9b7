//! Why a request is not carried out: the closed list. `status` says what each means on the wire.

use mos_control::Refusal;
use mos_stack::{FlowId, PeekError, WorkerId};
use mos_text::{FlowName, FlowNameError};
use uuid::Uuid;

use crate::{
    filter::FilterError,
    flows::{page_token::PageTokenError, resolve::ResolveError},
    net::Cutoff,
    workers::CallError,
};

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
    /// The raw form names a core that is not a running worker.
    #[error("core {0} is not a running worker")]
    CoreUnusable(i32),
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
    #[error("{name} fits {} flows: {}", flows.len(), flows.join(", "))]
    AmbiguousFlow {
        /// The tuple as given.
        name: String,
        /// The names of the flows that it fits.
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
    /// The filter cannot be used.
    #[error("filter, column {}: {}", _0.column, _0.message)]
    Filter(FilterError),
    /// The page token cannot be used.
    #[error("page_token: {0}")]
    PageToken(#[from] PageTokenError),
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
    /// The limit of concurrent streams is reached.
    #[error("{max} streams are open already: more are not allowed")]
    TooManyStreams {
        /// Streams that may run at once.
        max: usize,
    },
    /// The transport ends the call, or does not begin it.
    #[error(transparent)]
    Cutoff(#[from] Cutoff),
    /// The service is stopping.
    #[error("mosd is stopping")]
    Stopping,
    /// A worker answered one command with the reply to another: our own error.
    #[error("internal error: core {0} answered with an unexpected reply")]
    UnexpectedReply(WorkerId),
    /// The request made us panic: our own error. The log has the id.
    #[error("internal error: the log of mosd says more of {0}")]
    Panicked(Uuid),
}

impl Rejection {
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

    /// The rejection for a name that stands for no flow.
    pub(crate) fn of_name(error: ResolveError, name: &str) -> Self {
        match error {
            ResolveError::Name(error) => Self::FlowName(error),
            ResolveError::CoreNotFound { flow, cores } => {
                Self::CoreNotFound { flow, core: flow.worker(), cores }
            }
            ResolveError::NoMatch => Self::NoMatch(name.to_owned()),
            ResolveError::Ambiguous(flows) => Self::AmbiguousFlow {
                name: name.to_owned(),
                flows: flows.into_iter().map(name_of).collect(),
            },
            ResolveError::Call(error) => Self::of_call(error, name),
        }
    }
}

fn name_of(flow: FlowId) -> String {
    FlowName::Handle(flow.to_bits()).to_string()
}
