//! Policies as clients see them.

use std::time::SystemTime;

use mos_proto::v1;
use mos_stack::{SockOptChange, WorkerId};

use super::{
    options::{set_options, start},
    scalars::saturating_i64,
};
use crate::{
    api::rejection::Rejection,
    policies::{Changed, Difference, Draft, Generation, Policies, Policy, PolicyError},
};

const PREFIX: &str = "policies/";

/// The policy that a request describes. What it says is checked later, but for its types.
///
/// # Errors
///
/// A value that cannot be in a policy.
pub(crate) fn draft(policy: v1::SockOptPolicy, buffer_max: u64) -> Result<Draft, Rejection> {
    let id = policy_id(&policy.name)?;
    let invalid = |field, problem: String| {
        Rejection::Policy(PolicyError::Invalid { policy: id.to_owned(), field, problem })
    };
    let priority = u16::try_from(policy.priority).map_err(|_outside| {
        invalid("priority", format!("{} is not in 0 to 65535", policy.priority))
    })?;
    let options = policy.options.map(|options| start(options, buffer_max)).transpose()?;
    let expires = policy.expire_time.map(SystemTime::try_from).transpose();
    let expires = expires.map_err(|error| invalid("expire_time", error.to_string()))?;
    if expires.is_some_and(|expires| expires <= SystemTime::now()) {
        return Err(invalid("expire_time", "it is in the past".to_owned()));
    }
    Ok(Draft {
        id: id.to_owned(),
        priority,
        filter: policy.filter,
        monitor: policy.monitor.unwrap_or(true),
        options: options.unwrap_or_default(),
        comment: policy.comment,
        expires,
    })
}

/// The policy's own part of a name.
///
/// # Errors
///
/// Not the name of a policy.
pub(crate) fn policy_id(name: &str) -> Result<&str, Rejection> {
    name.strip_prefix(PREFIX).ok_or_else(|| {
        let problem = "write policies/ and the policy's own name".to_owned();
        PolicyError::Invalid { policy: name.to_owned(), field: "name", problem }.into()
    })
}

/// The name of a policy.
pub(crate) fn policy_name(id: &str) -> String {
    format!("{PREFIX}{id}")
}

/// A policy as clients see it; it has matched this many flows.
#[must_use]
pub(crate) fn policy(policy: &Policy, matches: u64) -> v1::SockOptPolicy {
    let Policy { draft, created, updated, author } = policy;
    let options = Some(&draft.options).filter(|options| **options != SockOptChange::default());
    v1::SockOptPolicy {
        name: policy_name(&draft.id),
        priority: draft.priority.into(),
        filter: draft.filter.clone(),
        options: options.map(set_options),
        monitor: Some(draft.monitor),
        comment: draft.comment.clone(),
        expire_time: draft.expires.map(Into::into),
        create_time: Some((*created).into()),
        update_time: Some((*updated).into()),
        author: author.clone(),
        etag: policy.etag(),
        match_count: saturating_i64(matches),
    }
}

/// How far a set has come.
#[must_use]
pub(crate) fn state(
    policies: &Policies,
    generation: &Generation,
    unreachable: &[WorkerId],
) -> v1::PolicySetState {
    v1::PolicySetState {
        generation: saturating_i64(generation.number),
        etag: generation.etag(),
        durable: policies.is_durable(),
        unreachable: unreachable.iter().map(|core| format!("cores/{core}")).collect(),
        rollback_time: generation.rollback.map(|rollback| rollback.at.into()),
    }
}

/// What a change is about.
#[must_use]
pub(crate) fn difference(changed: &Changed) -> v1::PolicyDifference {
    let Difference { added, changed, removed } = &changed.difference;
    let names = |ids: &[String]| ids.iter().map(|id| policy_name(id)).collect();
    v1::PolicyDifference { added: names(added), changed: names(changed), removed: names(removed) }
}

/// A generation that is kept.
#[must_use]
pub(crate) fn generation(generation: &Generation) -> v1::PolicyGeneration {
    v1::PolicyGeneration {
        generation: saturating_i64(generation.number),
        create_time: Some(generation.created.into()),
        author: generation.author.clone(),
        policy_count: i32::try_from(generation.policies.len()).unwrap_or(i32::MAX),
    }
}
