//! `PolicyService`: each method is an edit of the set of policies, or a look at it.

use std::time::Duration;

use mos_proto::v1;
use mos_stack::FlowTuple;
use mos_text::{FlowName, Tuple};
use prost::Message as _;

use super::flow::{check_length, resolve};
use crate::{
    api::{audited::policies_changed, convert, rejection::Rejection, state::Control},
    flows::page_token::PageTokenError,
    net::call::Call,
    policies::{By, Changed, Draft, Explained, Generation, How, Policy, PolicyError},
    words::bounds::{
        CONFIRM_TIMEOUT_MAX, ETAG_MAX, PAGE_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX, PAGE_TOKEN_MAX,
    },
};

/// A page of policies. Its token is the generation, and how many policies come before.
pub(crate) async fn list_policies(
    control: &Control,
    _call: &Call,
    request: v1::ListPoliciesRequest,
) -> Result<v1::ListPoliciesResponse, Rejection> {
    check_length("page_token", &request.page_token, PAGE_TOKEN_MAX)?;
    let asked = usize::try_from(request.page_size).map_err(|_negative| Rejection::Argument {
        field: "page_size",
        problem: format!("{} is negative", request.page_size),
    })?;
    let size = if asked == 0 { PAGE_DEFAULT } else { asked.min(PAGE_MAX) };
    let policies = &control.settings.policies;
    let generation = policies.generation();
    let before = match request.page_token.as_str() {
        "" => 0,
        token => before(token, &generation)?,
    };
    let (mut page, mut bytes) = (Vec::new(), 0);
    for policy in generation.policies.iter().skip(before).take(size) {
        let policy = convert::policy(policy, policies.matches(&policy.draft.id));
        // A field's tag and length take up to 4 bytes more.
        bytes += policy.encoded_len() + 4;
        if bytes > PAGE_BYTES_MAX {
            break;
        }
        page.push(policy);
    }
    let next = before + page.len();
    let is_last = next >= generation.policies.len();
    let next_page_token =
        if is_last { String::new() } else { format!("{}-{next}", generation.number) };
    let state = Some(convert::state(policies, &generation, &[]));
    Ok(v1::ListPoliciesResponse { policies: page, next_page_token, state })
}

/// How many policies come before the page of a token.
fn before(token: &str, generation: &Generation) -> Result<usize, PageTokenError> {
    let (number, before) = token.split_once('-').ok_or(PageTokenError::Malformed)?;
    let before = before.parse().map_err(|_malformed| PageTokenError::Malformed)?;
    match number.parse::<u64>() {
        Ok(number) if number == generation.number => Ok(before),
        Ok(_) => Err(PageTokenError::RequestChanged),
        Err(_) => Err(PageTokenError::Malformed),
    }
}

/// One policy.
pub(crate) async fn get_policy(
    control: &Control,
    _call: &Call,
    request: v1::GetPolicyRequest,
) -> Result<v1::GetPolicyResponse, Rejection> {
    let id = convert::policy_id(&request.name)?;
    let generation = control.settings.policies.generation();
    let policy = kept(control, &generation, id)?;
    Ok(v1::GetPolicyResponse { policy: Some(policy) })
}

/// A policy of a set, as clients see it.
fn kept(
    control: &Control,
    generation: &Generation,
    id: &str,
) -> Result<v1::SockOptPolicy, PolicyError> {
    let policy = generation.find(id).ok_or_else(|| PolicyError::NotFound(id.to_owned()))?;
    Ok(convert::policy(policy, control.settings.policies.matches(id)))
}

/// One policy more.
pub(crate) async fn create_policy(
    control: &Control,
    call: &Call,
    request: v1::CreatePolicyRequest,
) -> Result<v1::CreatePolicyResponse, Rejection> {
    let draft = drafted(control, request.policy)?;
    let id = draft.id.clone();
    let how = How { validate_only: request.validate_only, confirm_within: None };
    let changed = change(control, call, how, |set| match set.find(&draft.id) {
        Some(_) => Err(PolicyError::Exists(draft.id)),
        None => Ok([set.drafts(), vec![draft]].concat()),
    })
    .await?;
    let policy = Some(kept(control, &changed.generation, &id)?);
    Ok(v1::CreatePolicyResponse { policy, state: Some(state(control, &changed)) })
}

/// Another policy in the place of one.
pub(crate) async fn update_policy(
    control: &Control,
    call: &Call,
    request: v1::UpdatePolicyRequest,
) -> Result<v1::UpdatePolicyResponse, Rejection> {
    let etag = request.policy.as_ref().map(|policy| policy.etag.clone()).unwrap_or_default();
    check_length("policy.etag", &etag, ETAG_MAX)?;
    let draft = drafted(control, request.policy)?;
    let id = draft.id.clone();
    let how = How { validate_only: request.validate_only, confirm_within: None };
    let changed = change(control, call, how, |set| {
        guarded(set.find(&draft.id), &draft.id, &etag)?;
        let others = set.drafts().into_iter().filter(|other| other.id != draft.id);
        Ok(others.chain([draft.clone()]).collect())
    })
    .await?;
    let policy = Some(kept(control, &changed.generation, &id)?);
    Ok(v1::UpdatePolicyResponse { policy, state: Some(state(control, &changed)) })
}

/// One policy less.
pub(crate) async fn delete_policy(
    control: &Control,
    call: &Call,
    request: v1::DeletePolicyRequest,
) -> Result<v1::DeletePolicyResponse, Rejection> {
    let v1::DeletePolicyRequest { name, etag, allow_missing, validate_only } = request;
    check_length("etag", &etag, ETAG_MAX)?;
    let id = convert::policy_id(&name)?;
    let how = How { validate_only, confirm_within: None };
    let changed = change(control, call, how, |set| {
        if !(allow_missing && set.find(id).is_none()) {
            guarded(set.find(id), id, &etag)?;
        }
        Ok(set.drafts().into_iter().filter(|draft| draft.id != id).collect())
    })
    .await?;
    Ok(v1::DeletePolicyResponse { state: Some(state(control, &changed)) })
}

/// Another set.
pub(crate) async fn replace_policies(
    control: &Control,
    call: &Call,
    request: v1::ReplacePoliciesRequest,
) -> Result<v1::ReplacePoliciesResponse, Rejection> {
    let v1::ReplacePoliciesRequest { policies, etag, validate_only, confirm_timeout } = request;
    check_length("etag", &etag, ETAG_MAX)?;
    let confirm_within = confirm_timeout.map(confirm_within).transpose()?;
    let drafts: Vec<Draft> = policies
        .into_iter()
        .map(|policy| drafted(control, Some(policy)))
        .collect::<Result<_, _>>()?;
    let changed = change(control, call, How { validate_only, confirm_within }, |set| {
        let current = set.etag();
        if !etag.is_empty() && etag != current {
            return Err(PolicyError::EtagMismatch { resource: "policies".to_owned(), current });
        }
        Ok(drafts)
    })
    .await?;
    let (state, difference) = (state(control, &changed), convert::difference(&changed));
    Ok(v1::ReplacePoliciesResponse { state: Some(state), difference: Some(difference) })
}

/// What waits stays, or goes.
pub(crate) async fn confirm_policies(
    control: &Control,
    call: &Call,
    request: v1::ConfirmPoliciesRequest,
) -> Result<v1::ConfirmPoliciesResponse, Rejection> {
    let number = generation_number(request.generation)?;
    let (policies, author) = (&control.settings.policies, call.caller());
    let by = By { workers: &control.workers, author: &author };
    let changed = match request.cancel {
        true => policies.cancel(by, number).await?,
        false => policies.confirm(by, number).await?,
    };
    policies_changed(&call.trail, How::default(), &changed);
    Ok(v1::ConfirmPoliciesResponse { state: Some(state(control, &changed)) })
}

/// Why a flow would begin with what.
pub(crate) async fn explain_policy(
    control: &Control,
    call: &Call,
    request: v1::ExplainPolicyRequest,
) -> Result<v1::ExplainPolicyResponse, Rejection> {
    let tuple = match request.flow.parse().map_err(Rejection::FlowName)? {
        FlowName::Tuple(Tuple { client, server, vlan }) => FlowTuple { client, server, vlan },
        FlowName::Handle(_) => {
            let id = resolve(control, call, &request.flow).await?.id;
            let summary = control.workers.summary(id, call.deadline).await;
            summary.map_err(|error| Rejection::of_flow(error, id))?.tuple
        }
    };
    let Explained { trials, options } = control.settings.policies.explain(&tuple);
    let winner = trials.last().filter(|(_, failed)| failed.is_none());
    Ok(v1::ExplainPolicyResponse {
        policy: winner.map(|(id, _)| convert::policy_name(id)).unwrap_or_default(),
        monitor: options.is_some(),
        options: options.map(|options| convert::flow_options(&options)),
        trials: trials
            .into_iter()
            .map(|(id, failed)| v1::PolicyTrial {
                policy: convert::policy_name(&id),
                matched: failed.is_none(),
                failed_term: failed.unwrap_or_default(),
            })
            .collect(),
    })
}

/// What is kept of the past.
pub(crate) async fn list_policy_generations(
    control: &Control,
    _call: &Call,
    _request: v1::ListPolicyGenerationsRequest,
) -> Result<v1::ListPolicyGenerationsResponse, Rejection> {
    let history = control.settings.policies.history().await;
    let generations = history.iter().map(|kept| convert::generation(kept)).collect();
    Ok(v1::ListPolicyGenerationsResponse { generations })
}

/// An older set again.
pub(crate) async fn rollback_policies(
    control: &Control,
    call: &Call,
    request: v1::RollbackPoliciesRequest,
) -> Result<v1::RollbackPoliciesResponse, Rejection> {
    let to = generation_number(request.generation)?;
    let how = How { validate_only: request.validate_only, confirm_within: None };
    let author = call.caller();
    let by = By { workers: &control.workers, author: &author };
    let changed = control.settings.policies.roll_back(by, how, to).await?;
    policies_changed(&call.trail, how, &changed);
    let (state, difference) = (state(control, &changed), convert::difference(&changed));
    Ok(v1::RollbackPoliciesResponse { state: Some(state), difference: Some(difference) })
}

async fn change(
    control: &Control,
    call: &Call,
    how: How,
    edit: impl FnOnce(&Generation) -> Result<Vec<Draft>, PolicyError>,
) -> Result<Changed, PolicyError> {
    let author = call.caller();
    let by = By { workers: &control.workers, author: &author };
    let changed = control.settings.policies.change(by, how, edit).await?;
    policies_changed(&call.trail, how, &changed);
    Ok(changed)
}

fn drafted(control: &Control, policy: Option<v1::SockOptPolicy>) -> Result<Draft, Rejection> {
    let buffer_max = control.settings.limits.buffer_bytes_max;
    convert::draft(policy.unwrap_or_default(), buffer_max)
}

/// Refuses what is not there, or has changed since its etag was read.
fn guarded(policy: Option<&Policy>, id: &str, etag: &str) -> Result<(), PolicyError> {
    let current = policy.ok_or_else(|| PolicyError::NotFound(id.to_owned()))?.etag();
    if etag.is_empty() || etag == current {
        return Ok(());
    }
    Err(PolicyError::EtagMismatch { resource: id.to_owned(), current })
}

fn state(control: &Control, changed: &Changed) -> v1::PolicySetState {
    convert::state(&control.settings.policies, &changed.generation, &changed.unreachable)
}

fn generation_number(number: i64) -> Result<u64, Rejection> {
    u64::try_from(number).map_err(|_negative| Rejection::Argument {
        field: "generation",
        problem: format!("{number} is negative"),
    })
}

fn confirm_within(span: prost_types::Duration) -> Result<Duration, Rejection> {
    let range = Duration::from_secs(1)..=CONFIRM_TIMEOUT_MAX;
    let asked = Duration::try_from(span).ok().filter(|span| range.contains(span));
    asked.ok_or_else(|| Rejection::Argument {
        field: "confirm_timeout",
        problem: "it is not in 1 s to 24 h".to_owned(),
    })
}
