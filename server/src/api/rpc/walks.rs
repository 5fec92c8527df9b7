//! What the RPCs that look at every flow have in common: a place among them, one walk, its end.

use mos_proto::v1;
use mos_stack::WorkerId;
use tokio::time::Instant;

use crate::{
    api::{
        convert::{flow_name, saturating_i64},
        rejection::{ManyFlows, Rejection},
        state::Control,
        status::rpc_status,
    },
    budgets::Share,
    filter::Filter,
    flows::change::Failure,
    flows::walk::{Position, Stretch, Visitor, Walk},
    net::call::Call,
    workers::CallError,
};

/// A place among the walks over all flows. Dropping it lets another one in.
pub(super) fn place(control: &Control, call: &Call) -> Result<Share, Rejection> {
    let place = control.walks.take(call.principal.clone(), 1);
    place.map_err(|spent| ManyFlows::TooManyWalks { max: spent.max }.into())
}

/// Visits every flow that matches, until the visitor breaks or the last flow: those that were there
/// at `from`, or when the call began.
///
/// # Errors
///
/// Also when the deadline comes before the last flow.
pub(super) async fn visit_all(
    control: &Control,
    filter: &Filter,
    from: Option<Position>,
    deadline: Instant,
    visitor: &mut impl Visitor,
) -> Result<Stretch, Rejection> {
    let walk = Walk { workers: &control.workers, filter, slots_max: u32::MAX, deadline };
    let stretch = walk.stretch(from, visitor).await.map_err(of_walk)?;
    match stretch.next {
        None => Ok(stretch),
        Some(_) => Err(ManyFlows::Unfinished.into()),
    }
}

/// The rejection for a walk that does not go on.
pub(super) fn of_walk(error: CallError) -> Rejection {
    Rejection::of_call(error, "flows")
}

/// Failures of many flows, as the API has them.
pub(super) fn failures(failures: Vec<Failure>) -> Vec<v1::ApplyFailure> {
    let told = |Failure { error, flows, sample }: Failure| {
        let resource = sample.first().copied().map(flow_name).unwrap_or_default();
        let rejection = Rejection::Refused { refusal: error.into(), resource };
        v1::ApplyFailure {
            status: Some(rpc_status(rejection)),
            flow_count: saturating_i64(flows),
            sample: sample.into_iter().map(flow_name).collect(),
        }
    };
    failures.into_iter().map(told).collect()
}

/// Cores that did not answer, as the API names them.
pub(super) fn core_names(cores: &[WorkerId]) -> Vec<String> {
    cores.iter().map(|core| format!("cores/{core}")).collect()
}
