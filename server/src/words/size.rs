//! Sizes in bytes as people write them: `8192`, `64KiB`, `1.5MiB`, `64kB`.
//!
//! Used by the configuration file and by command lines. A bare letter is refused: `64k` means
//! 64,000 to some and 65,536 to others.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};

/// A number of bytes. `Display` prints the largest IEC unit that divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Size(pub u64);

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Does not begin with a number.
    #[error("{0:?} is not a size: write bytes (8192) or a number with a unit (64KiB, 64kB)")]
    NotANumber(String),
    /// A bare letter: decimal or binary?
    #[error("{text:?} is ambiguous: write {number}{binary} or {number}{decimal}")]
    Ambiguous {
        /// What was given.
        text: String,
        /// Its number.
        number: String,
        /// The binary unit it may mean.
        binary: &'static str,
        /// The decimal unit it may mean.
        decimal: &'static str,
    },
    /// The unit is unknown.
    #[error("{text:?} has the unknown unit {unit:?}: use B, KiB, MiB, GiB, TiB, kB, MB, GB or TB")]
    Unit {
        /// What was given.
        text: String,
        /// Its unit.
        unit: String,
    },
    /// Not a whole number of bytes.
    #[error("{0:?} is not a whole number of bytes")]
    Fraction(String),
    /// More than 2^63 - 1.
    #[error("{0:?} is too large")]
    TooLarge(String),
}

const UNITS: [(&str, u64); 10] = [
    ("", 1),
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

const LETTERS: [(char, &str, &str); 4] =
    [('k', "KiB", "kB"), ('m', "MiB", "MB"), ('g', "GiB", "GB"), ('t', "TiB", "TB")];

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = unit.trim_start();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || number.ends_with('.') || fraction.contains('.') {
            return Err(SizeError::NotANumber(text.to_owned()));
        }
        if let Some((_, binary, decimal)) = LETTERS
            .into_iter()
            .find(|(letter, ..)| unit.len() == 1 && unit.eq_ignore_ascii_case(&letter.to_string()))
        {
            let (text, number) = (text.to_owned(), number.to_owned());
            return Err(SizeError::Ambiguous { text, number, binary, decimal });
        }
        let Some((_, factor)) = UNITS.into_iter().find(|(name, _)| *name == unit) else {
            return Err(SizeError::Unit { text: text.to_owned(), unit: unit.to_owned() });
        };
        // Exact decimal arithmetic: digits * factor / 10^places.
        let too_large = || SizeError::TooLarge(text.to_owned());
        let digits: u128 = format!("{whole}{fraction}").parse().map_err(|_overflow| too_large())?;
        let places = u32::try_from(fraction.len()).map_err(|_overflow| too_large())?;
        let scale = 10_u128.checked_pow(places).ok_or_else(too_large)?;
        let scaled = digits.checked_mul(u128::from(factor)).ok_or_else(too_large)?;
        if scaled % scale != 0 {
            return Err(SizeError::Fraction(text.to_owned()));
        }
        match u64::try_from(scaled / scale) {
            Ok(bytes) if i64::try_from(bytes).is_ok() => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(too_large()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        self.0.fmt(f)
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

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_bytes_and_both_kinds_of_units_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("8192", 8192),
            ("1B", 1),
            ("64KiB", 65_536),
            ("64 KiB", 65_536),
            ("64kB", 64_000),
            ("1.5MiB", 1_572_864),
            ("2GB", 2_000_000_000),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn a_bare_letter_is_refused_and_both_meanings_are_named() {
        let error = "64k".parse::<Size>().unwrap_err().to_string();
        assert!(error.contains("64KiB") && error.contains("64kB"), "{error}");
        assert!(matches!("1M".parse::<Size>(), Err(SizeError::Ambiguous { .. })));
    }

    #[test]
    fn what_is_no_whole_number_of_bytes_is_refused() {
        assert!(matches!("".parse::<Size>(), Err(SizeError::NotANumber(_))));
        assert!(matches!("-1".parse::<Size>(), Err(SizeError::NotANumber(_))));
        assert!(matches!("KiB".parse::<Size>(), Err(SizeError::NotANumber(_))));
        assert!(matches!("1.2.3MiB".parse::<Size>(), Err(SizeError::NotANumber(_))));
        assert!(matches!("0.3B".parse::<Size>(), Err(SizeError::Fraction(_))));
        assert!(matches!("1KB".parse::<Size>(), Err(SizeError::Unit { .. })));
        assert!(matches!("9223372036854775808".parse::<Size>(), Err(SizeError::TooLarge(_))));
        assert!(matches!("99999999TiB".parse::<Size>(), Err(SizeError::TooLarge(_))));
    }

    #[test]
    fn display_is_read_back_as_the_same_size() {
        for bytes in [0, 1, 1023, 1024, 8192, 1_536 * 1024, 3 << 30, i64::MAX.unsigned_abs()] {
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
        assert_eq!(Size(8192).to_string(), "8KiB");
    }
}
