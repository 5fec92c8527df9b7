//! From a flow's name to the flow.

use mos_control::{Command, Refusal, Reply};
use mos_stack::{FlowDetails, FlowId, FlowSummary, FlowTuple};
use mos_text::{FlowName, FlowNameError, Tuple};

use crate::{
    api::{convert::flow_name, rejection::Rejection, state::Control},
    net::call::Call,
};

/// The flow that a name stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolved {
    /// Its handle.
    pub(super) id: FlowId,
    /// The name was a tuple, and its server stood first.
    pub(super) matched_reversed: bool,
}

/// Finds the flow with this name. A handle is not looked up: its worker will.
pub(super) async fn resolve(
    control: &Control,
    call: &Call,
    name: &str,
) -> Result<Resolved, Rejection> {
    match name.parse()? {
        FlowName::Handle(bits) => {
            let id =
                FlowId::from_bits(bits).ok_or_else(|| FlowNameError::Handle(name.to_owned()))?;
            if control.workers.get(id.worker()).is_err() {
                let cores = control.workers.iter().len();
                return Err(Rejection::CoreNotFound { flow: id, core: id.worker(), cores });
            }
            Ok(Resolved { id, matched_reversed: false })
        }
        FlowName::Tuple(Tuple { client, server, vlan }) => {
            find(control, call, FlowTuple { client, server, vlan }, name).await
        }
    }
}

/// What lists tell of a flow.
pub(super) async fn summary(
    control: &Control,
    call: &Call,
    id: FlowId,
) -> Result<FlowSummary, Rejection> {
    match control.workers.ask(id.worker(), Command::Get { flow: id }, call.deadline).await {
        Ok(Reply::Flow(summary)) => Ok(summary),
        Ok(_) => Err(Rejection::UnexpectedReply(id.worker())),
        Err(refusal) => Err(refused(refusal, id)),
    }
}

/// Everything known of a flow, what its buffers hold included.
pub(super) async fn details(
    control: &Control,
    call: &Call,
    id: FlowId,
) -> Result<FlowDetails, Rejection> {
    match control.workers.ask(id.worker(), Command::Inspect { flow: id }, call.deadline).await {
        Ok(Reply::Details(details)) => Ok(details),
        Ok(_) => Err(Rejection::UnexpectedReply(id.worker())),
        Err(refusal) => Err(refused(refusal, id)),
    }
}

/// The rejection for what a worker answered about a flow.
pub(super) fn refused(refusal: Refusal, id: FlowId) -> Rejection {
    Rejection::Refused { refusal, resource: flow_name(id) }
}

/// Asks every worker for flows with this tuple: as given, then reversed.
async fn find(
    control: &Control,
    call: &Call,
    tuple: FlowTuple,
    name: &str,
) -> Result<Resolved, Rejection> {
    let FlowTuple { client: a, server: b, vlan } = tuple;
    let asked: Vec<_> = control
        .workers
        .iter()
        .map(|client| (client.worker(), client.begin(Command::Find { a, b, vlan })))
        .collect();
    let (mut as_given, mut reversed, mut silent) = (Vec::new(), Vec::new(), None);
    for (worker, answer) in asked {
        let outcome = match answer {
            Ok(answer) => answer.wait(call.deadline).await,
            Err(refusal) => Err(refusal),
        };
        match outcome {
            Ok(Reply::Found(flows)) => {
                let (given, other): (Vec<_>, Vec<_>) = flows
                    .into_iter()
                    .map(|flow| (flow.id, flow.tuple.client == a))
                    .partition(|at| at.1);
                as_given.extend(given.into_iter().map(|(id, _)| id));
                reversed.extend(other.into_iter().map(|(id, _)| id));
            }
            Ok(_) => return Err(Rejection::UnexpectedReply(worker)),
            Err(refusal) => silent = Some(refusal),
        }
    }
    let matched_reversed = as_given.is_empty();
    let found = if matched_reversed { reversed } else { as_given };
    match (found.as_slice(), silent) {
        ([id], _) => Ok(Resolved { id: *id, matched_reversed }),
        // The flow may be where nobody answered: that it does not exist is not known.
        ([], Some(refusal)) => Err(Rejection::Refused { refusal, resource: name.to_owned() }),
        ([], None) => Err(Rejection::NoMatch(name.to_owned())),
        (several, _) => Err(Rejection::AmbiguousFlow {
            name: name.to_owned(),
            flows: several.iter().map(|id| flow_name(*id)).collect(),
        }),
    }
}
