//! From a flow's name to the flow.

use mos_stack::{FlowId, FlowTuple};
use mos_text::{FlowName, FlowNameError, Tuple};
use tokio::time::Instant;

use crate::workers::{ANSWER_TIMEOUT, CallError, Workers};

/// The flow that a name stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolved {
    /// Its handle.
    pub(crate) id: FlowId,
    /// The name was a tuple, and its server stood first.
    pub(crate) matched_reversed: bool,
}

/// Why a name stands for no flow.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// The name cannot be read.
    #[error(transparent)]
    Name(#[from] FlowNameError),
    /// The handle names a worker that this process does not have.
    #[error("{flow} names a core that does not exist")]
    CoreNotFound {
        /// The handle.
        flow: FlowId,
        /// Workers of this process.
        cores: usize,
    },
    /// No worker has a flow with this tuple.
    #[error("no live flow matches")]
    NoMatch,
    /// More than one flow has this tuple.
    #[error("several flows match")]
    Ambiguous(Vec<FlowId>),
    /// Workers that may have the flow could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Finds the flow with this name. A handle is not looked up: its worker will.
///
/// # Errors
///
/// Why the name stands for no flow.
pub(crate) async fn resolve(
    workers: &Workers,
    name: &str,
    deadline: Instant,
) -> Result<Resolved, ResolveError> {
    match name.parse()? {
        FlowName::Handle(bits) => {
            let id =
                FlowId::from_bits(bits).ok_or_else(|| FlowNameError::Handle(name.to_owned()))?;
            if workers.get(id.worker()).is_err() {
                return Err(ResolveError::CoreNotFound { flow: id, cores: workers.iter().len() });
            }
            Ok(Resolved { id, matched_reversed: false })
        }
        FlowName::Tuple(Tuple { client, server, vlan }) => {
            find(workers, FlowTuple { client, server, vlan }, deadline).await
        }
    }
}

/// Asks every worker for flows with this tuple: as given, then reversed. A worker that does not
/// answer takes half of the time at most: the rest is for what is to be done with the flow.
async fn find(
    workers: &Workers,
    tuple: FlowTuple,
    deadline: Instant,
) -> Result<Resolved, ResolveError> {
    let FlowTuple { client: a, server: b, vlan } = tuple;
    let now = Instant::now();
    let half = deadline.saturating_duration_since(now) / 2;
    let due = now + half.min(ANSWER_TIMEOUT);
    let asked: Vec<_> = workers.iter().map(|client| client.find(a, b, vlan)).collect();
    let (mut as_given, mut reversed, mut missing) = (Vec::new(), Vec::new(), None);
    for find in asked {
        match find.reply_by(due).await {
            Ok(flows) => {
                let (given, other): (Vec<_>, Vec<_>) =
                    flows.into_iter().partition(|flow| flow.tuple.client == a);
                as_given.extend(given.into_iter().map(|flow| flow.id));
                reversed.extend(other.into_iter().map(|flow| flow.id));
            }
            Err(CallError::Refused(refusal)) => missing = Some(refusal),
            Err(error @ (CallError::Peek(_) | CallError::UnexpectedReply(_))) => {
                return Err(error.into());
            }
        }
    }
    let matched_reversed = as_given.is_empty();
    let found = if matched_reversed { reversed } else { as_given };
    match (found.as_slice(), missing) {
        ([id], _) => Ok(Resolved { id: *id, matched_reversed }),
        // The flow may be where nobody answered: that it does not exist is not known.
        ([], Some(refusal)) => Err(CallError::from(refusal).into()),
        ([], None) => Err(ResolveError::NoMatch),
        _ => Err(ResolveError::Ambiguous(found)),
    }
}
