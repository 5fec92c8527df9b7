//! Bounds as the API tells them.

use mos_proto::v1;

use super::saturating_i64;
use crate::words::bounds::{Limit, Scope, Unit};

/// A bound.
pub(crate) fn limit(limit: &Limit) -> v1::Limit {
    let unit = match limit.unit {
        Unit::Count => v1::LimitUnit::Count,
        Unit::Bytes => v1::LimitUnit::Bytes,
        Unit::Milliseconds => v1::LimitUnit::Milliseconds,
    };
    let scope = match limit.scope {
        Scope::Server => v1::LimitScope::Server,
        Scope::Principal => v1::LimitScope::Principal,
        Scope::Connection => v1::LimitScope::Connection,
        Scope::Call => v1::LimitScope::Call,
        Scope::Core => v1::LimitScope::Core,
        Scope::Flow => v1::LimitScope::Flow,
    };
    v1::Limit {
        name: limit.name.to_owned(),
        value: saturating_i64(limit.value),
        unit: unit.into(),
        scope: scope.into(),
    }
}
