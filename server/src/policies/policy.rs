//! One policy: what it takes, and what becomes of that.

use std::{collections::BTreeMap, time::SystemTime};

use mos_stack::{SockOptChange, SockOptKind, SockOptName, SockOptValue};
use serde::{Deserialize, Serialize};

use super::error::PolicyError;
use crate::words::bounds::POLICY_COMMENT_MAX;

/// What somebody wants a policy to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Draft {
    /// Its name: lower-case letters, digits and hyphens; a letter first, no hyphen last.
    pub(crate) id: String,
    /// Lower goes first; of equals, the lesser name.
    pub(crate) priority: u16,
    /// Which flows; `*` takes all.
    pub(crate) filter: String,
    /// Whether the flows are monitored at all.
    pub(crate) monitor: bool,
    /// What they begin with, where that differs from the defaults.
    #[serde(with = "change")]
    pub(crate) options: SockOptChange,
    /// Free text.
    pub(crate) comment: String,
    /// When the policy is removed.
    pub(crate) expires: Option<SystemTime>,
}

/// A policy as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Policy {
    /// What it is.
    pub(crate) draft: Draft,
    /// When it was made.
    pub(crate) created: SystemTime,
    /// When it was changed last.
    pub(crate) updated: SystemTime,
    /// Who made it what it is.
    pub(crate) author: String,
}

/// Bytes of a name, at most: a label of DNS.
const ID_MAX: usize = 63;

impl Draft {
    /// Checks everything but filter and options, which compiling checks.
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let invalid = |field, problem: &str| {
            let (policy, problem) = (self.id.clone(), problem.to_owned());
            Err(PolicyError::Invalid { policy, field, problem })
        };
        let (first, last) = (self.id.bytes().next(), self.id.bytes().last());
        let is_sound =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = first.is_some_and(|byte| byte.is_ascii_lowercase())
            && last != Some(b'-')
            && self.id.len() <= ID_MAX
            && self.id.bytes().all(is_sound);
        if !is_name {
            return invalid(
                "name",
                "a name has 1 to 63 lower-case letters, digits and hyphens, a letter first and no \
                 hyphen last",
            );
        }
        if self.filter.trim().is_empty() {
            return invalid("filter", "it is empty: write \"*\" for all flows");
        }
        if self.comment.len() > POLICY_COMMENT_MAX || self.comment.chars().any(char::is_control) {
            let problem = format!("at most {POLICY_COMMENT_MAX} bytes, and no control characters");
            return invalid("comment", &problem);
        }
        if !self.monitor && self.options != SockOptChange::default() {
            return invalid("options", "a flow that is not monitored has none");
        }
        Ok(())
    }
}

/// Options as a map from their names to their values, as users write both.
mod change {
    use serde::{Deserializer, Serializer, de::Error as _};

    use super::*;

    pub(super) fn serialize<S: Serializer>(
        change: &SockOptChange,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let value = |name: SockOptName| Some((name.as_str(), change.get(name)?.to_string()));
        let map: BTreeMap<_, _> = SockOptName::ALL.into_iter().filter_map(value).collect();
        map.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SockOptChange, D::Error> {
        let map = BTreeMap::<String, String>::deserialize(deserializer)?;
        let mut change = SockOptChange::default();
        for (key, text) in map {
            let name = SockOptName::ALL.into_iter().find(|name| name.as_str() == key);
            let value = name.and_then(|name| value(name.row().kind, &text));
            let (name, value) =
                name.zip(value).ok_or_else(|| D::Error::custom(format!("{key} = {text}")))?;
            change.set(name, value);
        }
        Ok(change)
    }

    fn value(kind: SockOptKind, text: &str) -> Option<SockOptValue> {
        match kind {
            SockOptKind::Bytes => text.parse().ok().map(SockOptValue::Bytes),
            SockOptKind::Overlap | SockOptKind::Stop => {
                kind.named_values().find(|value| value.to_string() == text)
            }
        }
    }
}
