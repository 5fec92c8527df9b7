//! Sizes in bytes: `8192`, `64KiB`, `1.5MiB`, `64kB`.
//!
//! A unit that means 1,000 to some and 1,024 to others (`64k`) is refused, and both are named.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    Echo, TextError,
    digits::{Wrong, times},
};

/// A number of bytes, 0 to [`Size::MAX`].
///
/// `Display` writes it exactly, in the largest binary unit that divides it: `64KiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Size(pub u64);

/// Units and their bytes; the binary ones first, in rising order.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// The binary units above the byte, in rising order.
const BINARY: &[(&str, u64)] = UNITS.split_at(5).0.split_at(1).1;

impl Size {
    /// What to write for a size.
    pub const HELP: &str = "bytes (8192), or a number with one of the units KiB, MiB, GiB, TiB \
                            (powers of 1024), kB, MB, GB, TB (powers of 1000)";

    /// The largest size: what the API's signed numbers carry.
    pub const MAX: Self = Self(i64::MAX.unsigned_abs());

    /// The size for people, exact or to a tenth of a unit: `1420 B`, `64 KiB`, `7.9 KiB`.
    #[must_use]
    pub fn rounded(self) -> String {
        let Self(bytes) = self;
        let (mut name, mut unit) = UNITS[0];
        for (larger, size) in BINARY {
            // Below four units the bytes say more than a rounded number.
            if bytes >= *size && (bytes.is_multiple_of(*size) || bytes >= 4 * size) {
                (name, unit) = (larger, *size);
            }
        }
        let (whole, tenths) = (bytes / unit, (bytes % unit) * 10 / unit);
        if bytes.is_multiple_of(unit) {
            format!("{whole} {name}")
        } else {
            format!("{whole}.{tenths} {name}")
        }
    }
}

impl FromStr for Size {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        let error = |problem: String| TextError::new(text, problem);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = unit.trim_start();
        let factor = match UNITS.into_iter().find(|(name, _)| *name == unit) {
            _ if number.is_empty() => None,
            Some((_, factor)) => Some(factor),
            None if unit.is_empty() => Some(1),
            None => {
                return Err(error(match readings(unit) {
                    Some((binary, decimal)) => {
                        let number = Echo(number).head();
                        format!(
                            "is ambiguous: write {number}{binary} (powers of 1024) or \
                             {number}{decimal} (powers of 1000)"
                        )
                    }
                    None => format!(
                        "has the unknown unit {}: use B, KiB, MiB, GiB, TiB, kB, MB, GB or TB",
                        Echo(unit)
                    ),
                }));
            }
        };
        let bytes = factor.map_or(Err(Wrong::NotANumber), |factor| times(number, factor));
        match bytes.map(Self) {
            Ok(size) if size <= Self::MAX => Ok(size),
            Ok(_) | Err(Wrong::TooLarge) => {
                Err(error(format!("is out of range: a size is 0 to {} bytes", Self::MAX.0)))
            }
            Err(Wrong::Fraction) => {
                Err(error("is not a whole number of bytes: write 1536 or 1.5KiB".to_owned()))
            }
            Err(Wrong::NotANumber) => Err(error(format!("is not a size: write {}", Self::HELP))),
        }
    }
}

/// The binary and the decimal unit that an unclear one may mean.
fn readings(unit: &str) -> Option<(&'static str, &'static str)> {
    let letter = match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" | "ki" | "kib" => "KiB",
        "m" | "mb" | "mi" | "mib" => "MiB",
        "g" | "gb" | "gi" | "gib" => "GiB",
        "t" | "tb" | "ti" | "tib" => "TiB",
        _ => return None,
    };
    let place = BINARY.iter().position(|(name, _)| *name == letter)?;
    let decimal = UNITS.get(BINARY.len() + 1 + place)?;
    Some((letter, decimal.0))
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        for (name, unit) in BINARY.iter().rev() {
            if bytes != 0 && bytes.is_multiple_of(*unit) {
                return write!(f, "{}{name}", bytes / unit);
            }
        }
        bytes.fmt(f)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size: a number of bytes, or a text such as \"64KiB\"")
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
                u64::try_from(bytes)
                    .map(Size)
                    .map_err(|_negative| E::custom(format_args!("{bytes} is not a size")))
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                // The same range, and the same words, as for a text.
                self.visit_str(&bytes.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn refused(text: &str) -> String {
        text.parse::<Size>().unwrap_err().to_string()
    }

    #[test]
    fn plain_bytes_and_both_kinds_of_units_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("8192", 8192),
            ("65536", 65_536),
            ("1B", 1),
            ("7B", 7),
            ("64KiB", 65_536),
            ("64 KiB", 65_536),
            (" 64KiB ", 65_536),
            ("64kB", 64_000),
            ("16MiB", 16 << 20),
            ("1.5MiB", 1_572_864),
            ("2GB", 2_000_000_000),
            ("1TiB", 1 << 40),
            ("9223372036854775807", i64::MAX.unsigned_abs()),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn an_unclear_unit_is_refused_and_both_meanings_are_named() {
        for (text, binary, decimal) in [
            ("64k", "64KiB", "64kB"),
            ("64KB", "64KiB", "64kB"),
            ("2M", "2MiB", "2MB"),
            ("1.5gb", "1.5GiB", "1.5GB"),
            ("1ti", "1TiB", "1TB"),
        ] {
            let error = refused(text);
            assert!(error.contains("is ambiguous"), "{error}");
            assert!(error.contains(binary) && error.contains(decimal), "{error}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_what_would_be_right() {
        for text in ["", "KiB", "-1", "+1", "1.2.3MiB", ".5KiB", "1.KiB", "٣KiB", "0x10"] {
            let error = refused(text);
            assert!(error.contains("KiB"), "{error}");
        }
        assert!(refused("0.3B").contains("whole number of bytes"));
        assert!(refused("12parsec").contains("unknown unit \"parsec\": use B, KiB"));
        assert!(refused("64KiB x").contains("unknown unit"));
    }

    #[test]
    fn what_is_too_large_is_refused_with_the_range() {
        for text in ["9223372036854775808", "99999999999999999999", "99999999TiB"] {
            let error = refused(text);
            assert!(error.contains("0 to 9223372036854775807"), "{error}");
        }
    }

    #[test]
    fn people_are_shown_the_largest_unit_that_says_enough() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_420, "1420 B"),
            (8_192, "8 KiB"),
            (8_090, "7.9 KiB"),
            (66_560, "65 KiB"),
            (1 << 24, "16 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(Size(bytes).rounded(), text);
        }
    }

    #[test]
    fn display_is_exact() {
        for (bytes, text) in [(0, "0"), (1023, "1023"), (8192, "8KiB"), (3 << 30, "3GiB")] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn a_file_may_say_a_number_or_a_text() {
        let read = |json| serde_json::from_str::<Size>(json).map_err(|error| error.to_string());
        assert_eq!(read("8192"), Ok(Size(8192)));
        assert_eq!(read("\"64KiB\""), Ok(Size(65_536)));
        for wrong in ["-1", "\"64k\"", "9223372036854775808", "true"] {
            assert!(read(wrong).unwrap_err().contains("size") || wrong == "\"64k\"", "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn display_is_read_back_as_the_same_size(bytes in 0..=Size::MAX.0, shift in 0..60_u32) {
            let size = Size(bytes >> shift << shift);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn any_text_is_a_size_or_has_an_error_that_repeats_it(
            text in "[0-9.]{0,4} ?[a-zA-Z]{0,3}|.*",
        ) {
            match text.parse::<Size>() {
                Ok(size) => prop_assert_eq!(size.to_string().parse(), Ok(size)),
                Err(error) => prop_assert_eq!(error.text, text.trim()),
            }
        }
    }
}
