//! What flows are grouped by: the fields of filters that have few values.

use mos_stack::{FlowSummary, Instant};
use mos_text::Echo;

use super::{
    eval::{Actual, Subject, actual},
    field::Field,
};
use crate::words::bounds::GROUP_FIELDS_MAX;

/// The fields whose values make a group.
#[derive(Debug, Clone, Default)]
pub(crate) struct GroupKey(Vec<Field>);

/// The values of the fields of a [`GroupKey`]; those that it does not have are absent.
pub(crate) type Group = [Actual; GROUP_FIELDS_MAX];

/// Why flows cannot be grouped so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GroupKeyError {
    /// Too many fields.
    #[error("{0} fields are too many: {GROUP_FIELDS_MAX} at most")]
    TooMany(usize),
    /// No such field, or one that makes no groups.
    #[error("flows are not grouped by {}, but by: {}", Echo(.0), names())]
    Unknown(String),
}

/// The names of the fields that make groups.
fn names() -> String {
    let fields = Field::all().filter(|field| field.makes_groups());
    fields.map(Field::name).collect::<Vec<_>>().join(", ")
}

impl GroupKey {
    /// The key with these fields, by their names in filters.
    ///
    /// # Errors
    ///
    /// [`GroupKeyError`].
    pub(crate) fn parse(fields: &[String]) -> Result<Self, GroupKeyError> {
        if fields.len() > GROUP_FIELDS_MAX {
            return Err(GroupKeyError::TooMany(fields.len()));
        }
        let find = |name: &String| {
            let mut grouping = Field::all().filter(|field| field.makes_groups());
            let field = grouping.find(|field| field.name() == name);
            field.ok_or_else(|| GroupKeyError::Unknown(name.clone()))
        };
        fields.iter().map(find).collect::<Result<_, _>>().map(Self)
    }

    /// How many fields it has.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The group of a flow.
    pub(crate) fn group(&self, flow: &FlowSummary) -> Group {
        // Only spans of time depend on the time, and these make no groups.
        let subject = Subject::Flow { flow, now: Instant::EPOCH };
        let mut group = [Actual::Absent; GROUP_FIELDS_MAX];
        for (value, field) in group.iter_mut().zip(&self.0) {
            *value = actual(*field, subject);
        }
        group
    }
}
