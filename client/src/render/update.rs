//! Flows as they change, one line for each change.

use std::time::SystemTime;

use mos_proto::v1::{FlowUpdate, flow_update::Kind};

use super::{
    Align,
    flow::{UNKNOWN, Width, columns, row},
};
use crate::args::Format;

/// The columns before those of a flow.
const FIRST: [(&str, Align); 2] = [("CHANGE", Align::Left), ("CAUSE", Align::Left)];

/// How many columns of a flow follow: without those that only packets change.
fn width(format: Format) -> Width {
    if format == Format::Wide { Width::Wide } else { Width::Narrow }
}

/// The columns of a list of changes.
pub(crate) fn update_columns(format: Format) -> Vec<(&'static str, Align)> {
    FIRST.iter().chain(columns(width(format))).copied().collect()
}

/// The row of one change, as of `now`.
pub(crate) fn update_row(update: &FlowUpdate, format: Format, now: SystemTime) -> Vec<String> {
    let kind = match update.kind() {
        Kind::Unspecified => UNKNOWN,
        Kind::Existing => "existing",
        Kind::Added => "added",
        Kind::Changed => "changed",
        Kind::Ended => "ended",
    };
    let cause = if update.cause.is_empty() { UNKNOWN } else { &update.cause };
    let flow = update.flow.clone().unwrap_or_default();
    let mut cells = vec![kind.to_owned(), cause.to_owned()];
    cells.extend(row(&flow, width(format), now));
    cells
}
