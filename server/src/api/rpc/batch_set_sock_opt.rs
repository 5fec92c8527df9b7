//! `FlowService.BatchSetSockOpt`: several `SetSockOpt`, each with an outcome of its own.

use mos_proto::v1;
use tokio::time::Instant;

use super::set_sock_opt::set_sock_opt;
use crate::{
    api::{rejection::Rejection, state::Control, status::rpc_status},
    audit::Trail,
    net::call::Call,
    words::bounds::BATCH_MAX,
    workers::ANSWER_TIMEOUT,
};

/// Carries the requests out, one after the other, and answers each. A core that does not answer
/// takes a part of the time only.
pub(crate) async fn batch_set_sock_opt(
    control: &Control,
    call: &Call,
    request: v1::BatchSetSockOptRequest,
) -> Result<v1::BatchSetSockOptResponse, Rejection> {
    let v1::BatchSetSockOptRequest { requests, validate_only } = request;
    if requests.is_empty() || requests.len() > BATCH_MAX {
        let problem = format!("{} of them: 1 to {BATCH_MAX} may be", requests.len());
        return Err(Rejection::Argument { field: "requests", problem });
    }
    let mut results = Vec::with_capacity(requests.len());
    for request in requests {
        let validate_only = validate_only || request.validate_only;
        let request = v1::SetSockOptRequest { validate_only, ..request };
        let deadline = call.deadline.min(Instant::now() + ANSWER_TIMEOUT);
        let call = Call { deadline, trail: Trail::default(), ..call.clone() };
        results.push(result(set_sock_opt(control, &call, request).await));
    }
    let failed = results.iter().filter(|result| result.response.is_none()).count();
    call.trail.note("failed", failed);
    let failed_count = i32::try_from(failed).unwrap_or(i32::MAX);
    Ok(v1::BatchSetSockOptResponse { results, failed_count })
}

fn result(outcome: Result<v1::SetSockOptResponse, Rejection>) -> v1::SetSockOptResult {
    match outcome {
        Ok(response) => {
            v1::SetSockOptResult { status: Some(Default::default()), response: Some(response) }
        }
        Err(rejection) => {
            v1::SetSockOptResult { status: Some(rpc_status(rejection)), response: None }
        }
    }
}
