//! Spans of time as people write them: `500ms`, `10s`, `5m`, `2h`, `1d`.
//!
//! Used by the configuration file and by the flow filter.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

/// A span of time. `Display` prints the largest unit that divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

/// The text is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a span of time: write a number and a unit, such as 500ms, 10s, 5m, 2h, 1d")]
pub struct SpanError(String);

const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let error = || SpanError(text.to_owned());
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: u64 = number.parse().map_err(|_not_a_number| error())?;
        let (_, nanos) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        number.checked_mul(nanos).map(|nanos| Self(Duration::from_nanos(nanos))).ok_or_else(error)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in UNITS {
            if nanos.is_multiple_of(u128::from(size)) {
                return write!(f, "{}{unit}", nanos / u128::from(size));
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, millis) in
            [("0s", 0), ("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000)]
        {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
        assert_eq!("1d".parse(), Ok(Span(Duration::from_secs(86_400))));
        assert_eq!("7us".parse(), Ok(Span(Duration::from_micros(7))));
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for text in ["10", "", "s", "-1s", "1.5s", "10 s", "10sec", "99999999999999d"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError(text.to_owned())));
        }
    }

    #[test]
    fn display_is_read_back_as_the_same_span() {
        for nanos in [0, 1, 1_000, 90_000_000_000, 86_400_000_000_000, 1_500_000_000] {
            let span = Span(Duration::from_nanos(nanos));
            assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
