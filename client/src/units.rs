//! Numbers of the API in words: bytes, and counts in groups of thousands.

use mos_text::Size;

/// Writes a number of bytes as the API carries it; the API never sends negative ones.
#[must_use]
pub fn format_bytes(bytes: i64) -> String {
    u64::try_from(bytes).map_or_else(|_negative| bytes.to_string(), |bytes| Size(bytes).rounded())
}

/// Writes a count with thousands separated: `812,440`.
#[must_use]
pub fn format_count(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if count < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (count, text) in [(0, "0"), (999, "999"), (812_440, "812,440"), (-1_000, "-1,000")] {
            assert_eq!(format_count(count), text);
        }
    }
}
