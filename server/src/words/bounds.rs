//! Bounds that more than one room needs.

use clap::{builder::RangedI64ValueParser, value_parser};
use mos_stack::WorkerId;

/// Largest request, in bytes.
pub(crate) const MESSAGE_IN_MAX: usize = 1024 * 1024;

/// Largest response, in bytes: what clients take by default.
pub(crate) const MESSAGE_OUT_MAX: usize = 4 * 1024 * 1024;

/// Requests of one connection at once.
pub(crate) const STREAMS_MAX: u32 = 100;

/// Workers of one process, at most.
pub(crate) const WORKERS_MAX: u16 = WorkerId::MAX + 1;

/// Reads a number of workers from a command line.
pub(crate) fn workers() -> RangedI64ValueParser<u16> {
    value_parser!(u16).range(1..=i64::from(WORKERS_MAX))
}
