//! Times of a capture as people write them, in UTC.

use prost_types::Timestamp;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// `2026-01-31T16:12:58`, and the nanoseconds behind it.
fn second(nanos: u64) -> (String, u64) {
    let seconds = i64::try_from(nanos / NANOS_PER_SECOND).unwrap_or(i64::MAX);
    let text = Timestamp { seconds, nanos: 0 }.to_string();
    (text.trim_end_matches('Z').to_owned(), nanos % NANOS_PER_SECOND)
}

/// `2026-01-31 16:12:58.959`, for a table.
pub(super) fn for_people(nanos: u64) -> String {
    let (second, rest) = second(nanos);
    format!("{}.{:03}", second.replace('T', " "), rest / 1_000_000)
}

/// `20260131T161258.959064000Z`, for the name of a file.
pub(super) fn for_names(nanos: u64) -> String {
    let (second, rest) = second(nanos);
    format!("{}.{rest:09}Z", second.replace(['-', ':'], ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_their_date() {
        let nanos = 1_483_459_978_959_064_001;
        assert_eq!(for_people(nanos), "2017-01-03 16:12:58.959");
        assert_eq!(for_names(nanos), "20170103T161258.959064001Z");
        assert_eq!(for_people(0), "1970-01-01 00:00:00.000");
        assert_eq!(for_people(u64::MAX), "2554-07-21 23:34:33.709");
    }
}
