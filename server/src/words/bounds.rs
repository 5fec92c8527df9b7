//! Bounds that more than one room needs.

use clap::{builder::RangedI64ValueParser, value_parser};
use mos_stack::WorkerId;

/// Largest request, in bytes.
pub(crate) const MESSAGE_IN_MAX: usize = 1024 * 1024;

/// Largest response, in bytes: what clients take by default.
pub(crate) const MESSAGE_OUT_MAX: usize = 4 * 1024 * 1024;

/// Concurrent requests of one connection.
pub(crate) const STREAMS_MAX: u32 = 100;

/// Flows on a page, by default.
pub(crate) const PAGE_DEFAULT: usize = 100;

/// Flows on a page, at most.
pub(crate) const PAGE_MAX: usize = 1000;

/// Bytes of a page, at most.
pub(crate) const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Slots visited for one page, at most.
pub(crate) const PAGE_SLOTS_MAX: u32 = 65_536;

/// Bytes of a peek, by default.
pub(crate) const PEEK_DEFAULT: usize = 4096;

/// Bytes of a peek, at most.
pub(crate) const PEEK_MAX: usize = 1024 * 1024;

/// Workers of one process, at most.
pub(crate) const WORKERS_MAX: u16 = WorkerId::MAX + 1;

/// Parses a number of workers of a command line.
pub(crate) fn workers() -> RangedI64ValueParser<u16> {
    value_parser!(u16).range(1..=i64::from(WORKERS_MAX))
}
