//! Spans of time: `500ms`, `10s`, `1.5s`, `1h30m`, `1d`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    TextError,
    digits::{Wrong, times},
};

/// A span of time, 0 to 2^64 - 1 nanoseconds, which are 584 years.
///
/// `Display` writes it exactly, in the largest unit that divides it: `90s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

/// Units and their nanoseconds, in falling order. `min` is read and never written.
const UNITS: [(&str, u64); 8] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Span {
    /// What to write for a span of time.
    pub const HELP: &str = "a number and a unit, such as 500ms, 10s, 1.5s, 5m, 2h, 1d, or several \
                            of them, such as 1h30m";

    /// The span for people, in two units at most: `50ms`, `41s`, `3m12s`, `2h04m`, `5d03h`.
    #[must_use]
    pub fn rounded(self) -> String {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
        if seconds == 0 {
            format!("{}ms", self.0.as_millis())
        } else if minutes == 0 {
            format!("{seconds}s")
        } else if hours == 0 {
            format!("{minutes}m{:02}s", seconds % 60)
        } else if days == 0 {
            format!("{hours}h{:02}m", minutes % 60)
        } else {
            format!("{days}d{:02}h", hours % 24)
        }
    }
}

impl FromStr for Span {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let nanos = if text.is_empty() { Err(Wrong::NotANumber) } else { nanos(text) };
        let problem = match nanos {
            Ok(nanos) => return Ok(Self(Duration::from_nanos(nanos))),
            Err(Wrong::NotANumber) => format!("is not a span of time: write {}", Self::HELP),
            Err(Wrong::Fraction) => {
                "is not a whole number of nanoseconds: write 1500ms or 1.5s".into()
            }
            Err(Wrong::TooLarge) => "is out of range: a span of time is 0s to 213503d".into(),
        };
        Err(TextError::new(text, problem))
    }
}

/// The sum of all terms, in nanoseconds.
fn nanos(text: &str) -> Result<u64, Wrong> {
    let (mut sum, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let unit_start = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(unit_start);
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (_, factor) =
            UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(Wrong::NotANumber)?;
        sum = sum.checked_add(times(number, factor)?).ok_or(Wrong::TooLarge)?;
        rest = tail;
    }
    Ok(sum)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let divides = |unit: u64| nanos.is_multiple_of(u128::from(unit));
        match UNITS.into_iter().find(|(_, unit)| divides(*unit)) {
            Some((name, unit)) if nanos != 0 => write!(f, "{}{name}", nanos / u128::from(unit)),
            Some(_) | None => f.write_str("0s"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::from_str(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, nanos) in [
            ("0s", 0),
            ("3ns", 3),
            ("7us", 7_000),
            ("500ms", 500_000_000),
            ("10s", 10_000_000_000),
            ("1.5s", 1_500_000_000),
            ("0.1s", 100_000_000),
            ("5m", 300_000_000_000),
            ("5min", 300_000_000_000),
            ("2h", 7_200_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1d2h3m4s5ms", 93_784_005_000_000),
            ("1d", 86_400_000_000_000),
            ("213503d", 213_503 * 86_400_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_nanos(nanos))), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused_with_an_example() {
        for text in [
            "10", "", "s", "-1s", "+1s", "10 s", "10sec", "1..5s", "1.s", ".5s", "1h30", "1h 30m",
            "٣s", "10S",
        ] {
            let error = text.parse::<Span>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is not a span of time")), "{error}");
            assert!(error.contains("1h30m"), "{error}");
        }
        let error = "0.5ns".parse::<Span>().unwrap_err().to_string();
        assert!(error.contains("whole number of nanoseconds"), "{error}");
    }

    #[test]
    fn what_is_too_long_is_refused_with_the_range() {
        for text in ["213504d", "99999999999999d", "213503d24h", "99999999999999999999s"] {
            let error = text.parse::<Span>().unwrap_err().to_string();
            assert!(error.contains("0s to 213503d"), "{error}");
        }
    }

    #[test]
    fn people_are_shown_two_units_at_most() {
        for (millis, text) in [
            (50, "50ms"),
            (41_000, "41s"),
            (192_000, "3m12s"),
            (7_440_000, "2h04m"),
            (1_040_400_000, "12d01h"),
        ] {
            assert_eq!(Span(Duration::from_millis(millis)).rounded(), text);
        }
    }

    #[test]
    fn display_is_exact() {
        for (nanos, text) in
            [(0, "0s"), (1, "1ns"), (90_000_000_000, "90s"), (300_000_000_000, "5m")]
        {
            assert_eq!(Span(Duration::from_nanos(nanos)).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn display_is_read_back_as_the_same_span(nanos in 0..u64::MAX, unit in 0..UNITS.len()) {
            let span = Span(Duration::from_nanos(nanos / UNITS[unit].1 * UNITS[unit].1));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn any_text_is_a_span_or_has_an_error_that_repeats_it(
            text in "([0-9.]{0,4}[a-z]{0,3}){0,3}|.*",
        ) {
            match text.parse::<Span>() {
                Ok(span) => prop_assert_eq!(span.to_string().parse(), Ok(span)),
                Err(error) => prop_assert_eq!(error.text, text),
            }
        }
    }
}
