//! Numbers in ASCII digits, read without a sign and without rounding.

use crate::TextError;

/// Decimals of a number with a unit, at most. With these, no product overflows 128 bits.
const DECIMALS_MAX: usize = 20;

/// Why a number with a unit is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Not `DIGITS` or `DIGITS.DIGITS`.
    NotANumber,
    /// The product has a fraction, or the number more than [`DECIMALS_MAX`] decimals.
    Fraction,
    /// The product does not fit.
    TooLarge,
}

/// Whether the text is one or more ASCII digits.
pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `number` times `unit`, exactly. The number is `DIGITS` or `DIGITS.DIGITS`.
pub(crate) fn times(number: &str, unit: u64) -> Result<u64, Wrong> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    if !is_digits(whole) || !is_digits(decimals) {
        return Err(Wrong::NotANumber);
    }
    let whole: u64 = whole.parse().map_err(|_overflow| Wrong::TooLarge)?;
    let whole = whole.checked_mul(unit).ok_or(Wrong::TooLarge)?;
    let decimals = decimals.trim_end_matches('0');
    if decimals.is_empty() {
        return Ok(whole);
    }
    if decimals.len() > DECIMALS_MAX {
        return Err(Wrong::Fraction);
    }
    let scale = decimals.bytes().fold(1_u128, |scale, _| scale * 10);
    let product = decimals.parse().unwrap_or(0_u128) * u128::from(unit);
    if !product.is_multiple_of(scale) {
        return Err(Wrong::Fraction);
    }
    let part = u64::try_from(product / scale).map_err(|_overflow| Wrong::TooLarge)?;
    whole.checked_add(part).ok_or(Wrong::TooLarge)
}

/// Reads a TCP port.
///
/// # Errors
///
/// Not digits, or above 65535.
pub fn port(text: &str) -> Result<u16, TextError> {
    let port = if is_digits(text) { text.parse().ok() } else { None };
    port.ok_or_else(|| TextError::new(text, "is not a port: write 0 to 65535, such as 443"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_exact() {
        assert_eq!(times("3", 1 << 30), Ok(3 << 30));
        assert_eq!(times("1.5", 1 << 20), Ok(1_572_864));
        assert_eq!(times("0.1", 1_000), Ok(100));
        assert_eq!(times("0.000000000931322574615478515625", 1 << 30), Err(Wrong::Fraction));
        assert_eq!(times("2.50000000000000000000000000", 2), Ok(5));
        assert_eq!(times("18446744073709551615", 1), Ok(u64::MAX));
    }

    #[test]
    fn what_is_no_product_says_why() {
        for text in ["", ".", "1.", ".5", "+1", "-1", "1.2.3", "1_0", "٣", "1 "] {
            assert_eq!(times(text, 1), Err(Wrong::NotANumber), "{text}");
        }
        assert_eq!(times("0.1", 1), Err(Wrong::Fraction));
        assert_eq!(times("1.00000000000000000000001", 1 << 40), Err(Wrong::Fraction));
        for (text, unit) in [("18446744073709551616", 1), ("2", 1 << 63), ("1.5", 1 << 63)] {
            let expected = if text == "1.5" { Ok(3 << 62) } else { Err(Wrong::TooLarge) };
            assert_eq!(times(text, unit), expected, "{text}");
        }
    }

    #[test]
    fn a_port_is_digits_alone() {
        assert_eq!(port("0"), Ok(0));
        assert_eq!(port("65535"), Ok(65_535));
        for text in ["", "+443", "-1", "65536", " 443", "443 ", "0x50", "٤٤٣", "99999999999"] {
            let error = port(text).unwrap_err().to_string();
            assert!(error.contains("0 to 65535"), "{error}");
        }
    }
}
