//! From a set of policies to the table that the workers look up.

use std::{collections::HashMap, sync::Arc};

use mos_stack::{
    Limits,
    policy::{MatchCount, PolicyRule, PolicyTable, Treatment},
};

use super::{
    error::PolicyError,
    generation::Generation,
    policy::{Draft, Policy},
};
use crate::{
    filter::{Filter, FilterError, FilterErrorKind},
    words::bounds::POLICY_ALTERNATIVES_MAX,
};

/// Counts of matches, by the names of policies.
pub(super) type Matches = HashMap<String, Arc<MatchCount>>;

/// A set and its table.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) generation: Arc<Generation>,
    pub(super) table: Arc<PolicyTable>,
    pub(super) matches: Matches,
}

impl Compiled {
    /// Compiles a set, for workers with these bounds. Policies keep the counts that they have.
    pub(super) fn new(
        generation: Generation,
        limits: &Limits,
        known: &Matches,
        workers: usize,
    ) -> Result<Self, PolicyError> {
        let mut matches = Matches::new();
        let mut rules = Vec::with_capacity(generation.policies.len());
        for Policy { draft, .. } in &generation.policies {
            let count = known.get(&draft.id).cloned();
            let count = count.unwrap_or_else(|| Arc::new(MatchCount::new(workers)));
            matches.insert(draft.id.clone(), Arc::clone(&count));
            rules.push(rule(draft, limits, count)?);
        }
        let table = Arc::new(PolicyTable::new(generation.number, rules)?);
        Ok(Self { generation: Arc::new(generation), table, matches })
    }
}

fn rule(
    draft: &Draft,
    limits: &Limits,
    matches: Arc<MatchCount>,
) -> Result<PolicyRule, PolicyError> {
    let alternatives = filter(draft)?.alternatives().ok_or_else(|| PolicyError::Filter {
        policy: draft.id.clone(),
        error: FilterError {
            kind: FilterErrorKind::Invalid,
            column: 1,
            message: format!(
                "multiplied out it has more than {POLICY_ALTERNATIVES_MAX} alternatives: write \
                 several policies"
            ),
        },
    })?;
    let treatment = match draft.monitor {
        true => Treatment::Monitor(
            limits
                .start_with(&draft.options)
                .map_err(|error| PolicyError::Options { policy: draft.id.clone(), error })?,
        ),
        false => Treatment::Exclude,
    };
    Ok(PolicyRule { alternatives, treatment, matches })
}

/// The filter of a policy.
pub(super) fn filter(draft: &Draft) -> Result<Filter, PolicyError> {
    let text = if draft.filter.trim() == "*" { "" } else { draft.filter.as_str() };
    Filter::parse_for_newcomers(text)
        .map_err(|error| PolicyError::Filter { policy: draft.id.clone(), error })
}
