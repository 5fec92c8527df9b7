//! What flows are ranked by: the fields of filters whose values are many and have an order.

use mos_stack::{FlowSummary, Instant};
use mos_text::Echo;

use super::{
    eval::{Actual, Subject, actual},
    field::Field,
};

/// The field whose largest values are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RankKey(Field);

/// Flows cannot be ranked so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("flows are not ranked by {}, but by: {}", Echo(.0), names())]
pub(crate) struct RankKeyError(String);

/// The names of the fields that make ranks.
fn names() -> String {
    let fields = Field::all().filter(|field| field.makes_ranks());
    fields.map(Field::name).collect::<Vec<_>>().join(", ")
}

impl RankKey {
    /// The key with this field, by its name in filters; of payload where it has none.
    ///
    /// # Errors
    ///
    /// [`RankKeyError`].
    pub(crate) fn parse(name: &str) -> Result<Self, RankKeyError> {
        if name.is_empty() {
            return Ok(Self(Field::PayloadBytes));
        }
        let mut ranking = Field::all().filter(|field| field.makes_ranks());
        let field = ranking.find(|field| field.name() == name);
        field.map(Self).ok_or_else(|| RankKeyError(name.to_owned()))
    }

    /// The value of a flow; `None` where it has none. Spans of time are told as if it were the end
    /// of all time: of two of them, the larger one stays the larger one.
    pub(crate) fn value(self, flow: &FlowSummary) -> Option<u128> {
        let subject = Subject::Flow { flow, now: Instant::from_nanos(u64::MAX) };
        match actual(self.0, subject) {
            Actual::Number(number) => Some(number.into()),
            Actual::Span(span) => Some(span.as_nanos()),
            Actual::Address(_)
            | Actual::State(_)
            | Actual::Scope(_)
            | Actual::Overlap(_)
            | Actual::Truth(_)
            | Actual::Absent => None,
        }
    }
}
