//! Numbers and times as the API has them.

use mos_stack::Instant;
use prost_types::Timestamp;

/// A point in time as clients see it.
#[must_use]
pub(crate) fn timestamp(instant: Instant) -> Timestamp {
    let nanos = instant.as_nanos();
    Timestamp {
        seconds: saturating_i64(nanos / 1_000_000_000),
        nanos: i32::try_from(nanos % 1_000_000_000).unwrap_or_default(),
    }
}

/// A counter as clients see it; the largest value stands for those beyond.
#[must_use]
pub(crate) fn saturating_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
