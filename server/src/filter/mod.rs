//! The flow filter: a subset of AIP-160, evaluated over copies of flows.
//!
//! ```text
//! client.address = "10.0.0.0/8" AND (server.port = 443 OR server.port = 8443) AND age > 10s
//! ```
//!
//! `=` `!=` `<` `<=` `>` `>=`, `AND`, `OR`, `NOT` or `-`, parentheses. One deliberate deviation:
//! `AND` and `OR` side by side need parentheses. AIP-160 binds OR tighter, tcpdump binds AND
//! tighter, and a selector that changes flows must not be misread.

mod alternatives;
mod eval;
mod expr;
mod field;
mod group;
mod lexer;
mod parser;
mod rank;

#[cfg(test)]
mod tests;

use mos_stack::{FlowSummary, FlowTuple, Instant, WorkerId, policy::Alternative};

use eval::Subject;
use expr::Expr;
use field::Scope;

pub(crate) use group::{Group, GroupKey};
pub(crate) use rank::RankKey;

/// A parsed and checked filter. The default matches every flow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter(Option<Expr>);

/// Why a text is not a valid filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// The kind of mistake.
    pub kind: FilterErrorKind,
    /// Where it is: the number of the character, counted from 1.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// The kind of mistake in a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterErrorKind {
    /// A syntax error, an unknown field, or a comparison that the field does not take.
    Invalid,
    /// `AND` and `OR` side by side, without parentheses.
    Ambiguous,
    /// A field that flows do not have yet, or that events do not have.
    FieldUnavailable,
}

impl Filter {
    /// Parses a filter. An empty text matches every flow.
    ///
    /// # Errors
    ///
    /// Says what is wrong and in which column.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parser::parse(text, Scope::Flow).map(Self)
    }

    /// Parses a filter of events, which have only addresses, ports, VLAN and core.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`]; [`FilterErrorKind::FieldUnavailable`] for a field that only flows have.
    pub fn parse_for_events(text: &str) -> Result<Self, FilterError> {
        parser::parse(text, Scope::Event).map(Self)
    }

    /// Parses a filter of flows that begin, which have only addresses, ports and VLAN.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`]; [`FilterErrorKind::FieldUnavailable`] for a field that flows have later.
    pub fn parse_for_newcomers(text: &str) -> Result<Self, FilterError> {
        parser::parse(text, Scope::Newcomer).map(Self)
    }

    /// Whether the filter matches every flow.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the filter matches a flow at the time `now` of its worker.
    #[must_use]
    pub fn matches(&self, flow: &FlowSummary, now: Instant) -> bool {
        self.0.as_ref().is_none_or(|expr| eval::matches(expr, Subject::Flow { flow, now }))
    }

    /// Whether a filter of events matches an event that this worker emitted for a flow with this
    /// tuple.
    #[must_use]
    pub fn matches_event(&self, tuple: &FlowTuple, core: WorkerId) -> bool {
        self.0.as_ref().is_none_or(|expr| eval::matches(expr, Subject::Event { tuple, core }))
    }

    /// Of a filter of flows that begin: the first condition that a flow with this tuple fails, and
    /// the value that made it fail; `None` if the flow matches.
    #[must_use]
    pub fn failed_by(&self, tuple: &FlowTuple) -> Option<String> {
        eval::failed(self.0.as_ref()?, Subject::Newcomer(tuple))
    }

    /// A filter of flows that begin as alternatives: a flow matches if it fits one of them. `None`
    /// if that takes more than `POLICY_ALTERNATIVES_MAX`.
    #[must_use]
    pub fn alternatives(&self) -> Option<Vec<Alternative>> {
        match &self.0 {
            Some(expr) => alternatives::of(expr, true),
            None => Some(vec![Alternative::all()]),
        }
    }
}
