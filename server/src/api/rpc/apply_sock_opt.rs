//! `FlowService.ApplySockOpt`: counts the flows that a filter matches, then changes those.
//!
//! The handles of what was counted are kept, so that what is changed is what was counted, and each
//! flow is in one of the counts of the answer.

use mos_control::{Refusal, SockOptItem};
use mos_proto::v1;
use mos_stack::{SockOptChange, SockOptError, SockOptName};
use prost::Message as _;
use tokio::time::Instant;

use super::{
    set_sock_opt::request_id,
    walks::{core_names, failures, place, visit_all},
};
use crate::{
    api::{
        answers::{Asked, RequestDigest},
        audited::options_set,
        convert::{self, saturating_i64},
        rejection::{ManyFlows, Rejection},
        state::Control,
        undos::Undo,
    },
    filter::Filter,
    flows::{
        change::{self, Outcome, Share},
        matches::Matches,
        page_token,
        walk::{Position, Stretch},
    },
    net::call::Call,
    words::bounds::{APPLY_FLOWS_DEFAULT, APPLY_FLOWS_MAX, APPLY_SAMPLE_MAX},
};

/// The filter that means every flow.
const EVERY_FLOW: &str = "*";

/// Changes options of every flow that matches; a repeated request gets the first answer.
pub(crate) async fn apply_sock_opt(
    control: &Control,
    call: &Call,
    request: v1::ApplySockOptRequest,
) -> Result<v1::ApplySockOptResponse, Rejection> {
    let key = request_id(&request.request_id)?.map(|id| (call.principal.clone(), id));
    let (digest, validate_only) = (RequestDigest::of_apply(&request), request.validate_only);
    let asked = Asked { key, digest, validate_only };
    control.apply_answers.answer(asked, apply(control, call, request)).await
}

/// What a request asks for, checked.
struct Plan {
    filter: Filter,
    change: SockOptChange,
    /// Binds the match token.
    digest: page_token::RequestDigest,
    /// Where the count begins, by the match token.
    from: Option<Position>,
    flows_max: u64,
}

async fn apply(
    control: &Control,
    call: &Call,
    request: v1::ApplySockOptRequest,
) -> Result<v1::ApplySockOptResponse, Rejection> {
    let Plan { filter, change, digest, from, flows_max } = plan(control, &request)?;
    let _place = place(control, call)?;
    let sample_max = u64::try_from(APPLY_SAMPLE_MAX).unwrap_or(u64::MAX);
    let mut matches =
        Matches::new(change, if request.validate_only { sample_max } else { flows_max });
    // To change the flows takes about as long as to count them.
    let now = Instant::now();
    let deadline = match request.validate_only {
        true => call.deadline,
        false => now + call.deadline.saturating_duration_since(now) / 2,
    };
    let stretch = visit_all(control, &filter, from, deadline, &mut matches).await?;
    if request.validate_only {
        return Ok(counted(control, &matches, &stretch, digest));
    }
    if matches.count > flows_max {
        let (matched, max) = (matches.count, flows_max);
        return Err(ManyFlows::TooManyMatches { matched, max }.into());
    }
    let item = move |flow| SockOptItem { flow, change, expected_revision: None };
    let shares = matches.flows.into_iter();
    let shares = shares.map(|(worker, flows)| Share { worker, items: flows.into_iter().map(item) });
    let outcome = change::change_all(&control.workers, shares.collect(), call.deadline).await;
    options_set(&call.trail, &change);
    for (key, count) in [
        ("matched", matches.count),
        ("changed", outcome.changed),
        ("unchanged", outcome.unchanged),
        ("ended", outcome.ended),
        ("failed", outcome.failed()),
        ("unreached", outcome.unreached),
    ] {
        call.trail.note(key, count);
    }
    log_changes(call, &request.filter, &change, matches.count, &outcome);
    let unreachable = core_names(&stretch.unreachable);
    Ok(answer(control, call, (matches.count, unreachable), &change, outcome))
}

/// Checks all of a request that can be checked without a flow.
fn plan(control: &Control, request: &v1::ApplySockOptRequest) -> Result<Plan, Rejection> {
    let filter = match request.filter.trim() {
        "" => {
            let problem = format!("is required: \"{EVERY_FLOW}\" means every flow");
            return Err(Rejection::Argument { field: "filter", problem });
        }
        EVERY_FLOW => Filter::parse(""),
        text => Filter::parse(text),
    };
    let filter = filter.map_err(Rejection::Filter)?;
    let options = request.options.ok_or(Rejection::NoChange("options"))?;
    let limits = &control.settings.limits;
    let change = v1::set_sock_opt_request::Change::Options(options);
    let change = convert::change(Some(change), limits.buffer_bytes_max)?;
    if let Some(name) = change.names().find(|name| limits.locked.contains(*name)) {
        let (refusal, resource) = (SockOptError::Locked { name }, "flows".to_owned());
        return Err(Rejection::Refused { refusal: Refusal::SockOpt(refusal), resource });
    }
    if change.stop.is_some() && !request.allow_irreversible && !request.validate_only {
        return Err(ManyFlows::Irreversible.into());
    }
    let digest = page_token::RequestDigest::new(&request.filter, &options.encode_to_vec());
    let from = match request.match_token.as_str() {
        "" => None,
        token => {
            let begun = control.page_tokens.open(token, digest);
            Some(begun.map_err(ManyFlows::MatchToken)?)
        }
    };
    let flows_max = match u64::try_from(request.max_flow_count) {
        Ok(0) => APPLY_FLOWS_DEFAULT,
        Ok(max) => max.min(APPLY_FLOWS_MAX),
        Err(_negative) => {
            let problem = format!("{} is negative", request.max_flow_count);
            return Err(Rejection::Argument { field: "max_flow_count", problem });
        }
    };
    Ok(Plan { filter, change, digest, from, flows_max })
}

/// The answer to a request that changes nothing.
fn counted(
    control: &Control,
    matches: &Matches,
    stretch: &Stretch,
    digest: page_token::RequestDigest,
) -> v1::ApplySockOptResponse {
    let sample = matches.flows.iter().flat_map(|(_, flows)| flows);
    let begun = Position::beginning(stretch.start);
    v1::ApplySockOptResponse {
        matched_count: saturating_i64(matches.count),
        unreachable: core_names(&stretch.unreachable),
        sample: sample.copied().map(convert::flow_name).collect(),
        growth_bytes: saturating_i64(matches.growth_bytes),
        match_token: control.page_tokens.seal(begun, digest),
        ..v1::ApplySockOptResponse::default()
    }
}

/// The answer to a request that was carried out. What it has replaced is kept.
fn answer(
    control: &Control,
    call: &Call,
    (matched, unreachable): (u64, Vec<String>),
    change: &SockOptChange,
    outcome: Outcome,
) -> v1::ApplySockOptResponse {
    let names = change.names().collect();
    let failed = outcome.failed();
    let token = match change.stop {
        // Nothing begins a monitoring again.
        Some(_) => None,
        None => control.undos.keep(call.principal.clone(), Undo { names, flows: outcome.before }),
    };
    v1::ApplySockOptResponse {
        matched_count: saturating_i64(matched),
        applied_count: saturating_i64(outcome.changed),
        unchanged_count: saturating_i64(outcome.unchanged),
        ended_count: saturating_i64(outcome.ended),
        failed_count: saturating_i64(failed),
        failures: failures(outcome.failures),
        unreached_count: saturating_i64(outcome.unreached),
        unreachable,
        discarded_bytes: saturating_i64(outcome.discarded_bytes),
        undo_token: token.map(|token| token.to_string()).unwrap_or_default(),
        ..v1::ApplySockOptResponse::default()
    }
}

fn log_changes(call: &Call, filter: &str, change: &SockOptChange, matched: u64, done: &Outcome) {
    let options: Vec<&str> = change.names().map(SockOptName::as_str).collect();
    let (options, by, changed) = (options.join(","), call.caller(), done.changed);
    let (failed, unreached) = (done.failed(), done.unreached);
    tracing::info!(filter, options, matched, changed, failed, unreached, by, "options changed");
}
