//! One generation of the set of policies: what was in force at one time.

use std::{collections::BTreeSet, time::SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    error::PolicyError,
    policy::{Draft, Policy},
};
use crate::words::bounds::POLICIES_MAX;

/// A set of policies, its number, and who made it when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    /// Grows by one with every change; 0 is the empty set of the beginning.
    pub(crate) number: u64,
    /// When it came into force.
    pub(crate) created: SystemTime,
    /// Who made it.
    pub(crate) author: String,
    /// What it becomes unless it is confirmed.
    pub(crate) rollback: Option<Rollback>,
    /// The policies in match order.
    pub(crate) policies: Vec<Policy>,
}

/// A return to an older generation, unless somebody confirms the newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rollback {
    /// The older generation.
    pub(crate) to: u64,
    /// When.
    pub(crate) at: SystemTime,
}

/// What differs between two sets: names of policies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Difference {
    /// Only in the newer one.
    pub(crate) added: Vec<String>,
    /// In both, but not the same.
    pub(crate) changed: Vec<String>,
    /// Only in the older one.
    pub(crate) removed: Vec<String>,
}

impl Difference {
    /// Whether the sets are the same.
    pub(crate) const fn is_none(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl Generation {
    /// The empty set that everything begins with.
    pub(super) fn first(now: SystemTime) -> Self {
        let author = "mosd".to_owned();
        Self { number: 0, created: now, author, rollback: None, policies: Vec::new() }
    }

    /// The generation after this one, with these policies instead. A policy that stays the same
    /// keeps its dates and its author.
    pub(super) fn next(
        &self,
        number: u64,
        mut drafts: Vec<Draft>,
        author: &str,
        now: SystemTime,
    ) -> Result<Self, PolicyError> {
        if drafts.len() > POLICIES_MAX {
            let count = drafts.len();
            return Err(PolicyError::Set(format!("{count} are too many: {POLICIES_MAX} at most")));
        }
        drafts.iter().try_for_each(Draft::check)?;
        drafts.sort_by(|a, b| (a.priority, &a.id).cmp(&(b.priority, &b.id)));
        let mut names = BTreeSet::new();
        if let Some(twice) = drafts.iter().find(|draft| !names.insert(draft.id.as_str())) {
            return Err(PolicyError::Set(format!("{} stands there twice", twice.id)));
        }
        let policy = |draft: Draft| match self.find(&draft.id) {
            Some(same) if same.draft == draft => same.clone(),
            former => Policy {
                created: former.map_or(now, |former| former.created),
                updated: now,
                author: author.to_owned(),
                draft,
            },
        };
        let policies = drafts.into_iter().map(policy).collect();
        Ok(Self { number, created: now, author: author.to_owned(), rollback: None, policies })
    }

    /// The policy with this name.
    pub(crate) fn find(&self, id: &str) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.draft.id == id)
    }

    /// What the policies are, without dates and authors.
    pub(crate) fn drafts(&self) -> Vec<Draft> {
        self.policies.iter().map(|policy| policy.draft.clone()).collect()
    }

    /// What differs from an older set.
    pub(crate) fn difference(&self, older: &Self) -> Difference {
        let mut difference = Difference::default();
        for Policy { draft, .. } in &self.policies {
            match older.find(&draft.id) {
                None => difference.added.push(draft.id.clone()),
                Some(former) if former.draft != *draft => difference.changed.push(draft.id.clone()),
                Some(_) => {}
            }
        }
        let gone = older.policies.iter().filter(|policy| self.find(&policy.draft.id).is_none());
        difference.removed = gone.map(|policy| policy.draft.id.clone()).collect();
        difference
    }

    /// The etag of the set.
    pub(crate) fn etag(&self) -> String {
        let digest = digest(&self.policies);
        format!("W/\"{}-{digest}\"", self.number)
    }
}

impl Policy {
    /// The etag of the policy.
    pub(crate) fn etag(&self) -> String {
        format!("W/\"{}\"", digest(self))
    }
}

/// The first half of a digest of a value, in hexadecimal digits.
fn digest(value: &impl Serialize) -> String {
    // What is kept can be written: else it was never stored.
    let text = serde_json::to_vec(value).unwrap_or_default();
    Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
