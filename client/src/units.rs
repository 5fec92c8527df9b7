//! Numbers as people write and read them: sizes, durations, grouped counts.

use std::time::Duration;

/// Bytes of each accepted suffix; the IEC ones first.
const SIZE_UNITS: [(&str, u64); 9] = [
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

/// Reads a size in bytes: `65536`, `64KiB`, `64kB`.
///
/// # Errors
///
/// A message naming both readings where the suffix is ambiguous (`64k`), and what is accepted
/// where it is unknown or the number is too large.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let suffix = suffix.trim_start();
    let too_large = || format!("{text} is too large");
    if number.is_empty() {
        return Err(format!("{text:?} is not a size: write bytes, or 64KiB, 1MiB, 64kB"));
    }
    let number: u64 = number.parse().map_err(|_overflow| too_large())?;
    if suffix.is_empty() {
        return Ok(number);
    }
    if let Some((_, unit)) = SIZE_UNITS.iter().find(|(name, _)| *name == suffix) {
        return number.checked_mul(*unit).ok_or_else(too_large);
    }
    Err(match ambiguous_suffix(suffix) {
        Some((binary, decimal)) => format!(
            "{text} is ambiguous: write {number}{binary} (powers of 1024) or {number}{decimal} \
             (powers of 1000)"
        ),
        None => format!("{suffix:?} is not a unit: use B, KiB, MiB, GiB, TiB, kB, MB, GB or TB"),
    })
}

/// The two spellings that a suffix without a clear base could mean.
fn ambiguous_suffix(suffix: &str) -> Option<(&'static str, &'static str)> {
    match suffix {
        "k" | "K" | "KB" | "ki" | "Ki" | "kib" => Some(("KiB", "kB")),
        "m" | "M" | "mb" | "Mi" | "mib" => Some(("MiB", "MB")),
        "g" | "G" | "gb" | "Gi" | "gib" => Some(("GiB", "GB")),
        "t" | "T" | "tb" | "Ti" | "tib" => Some(("TiB", "TB")),
        _ => None,
    }
}

/// Writes a size for people: `1420 B`, `64 KiB`, `7.9 KiB`. Whole units are exact.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    let (mut unit, mut name) = (1, "B");
    for (candidate, size) in &SIZE_UNITS[1..5] {
        // Up to 10 KiB an odd number of bytes says more than a rounded one.
        if bytes >= *size && (bytes.is_multiple_of(*size) || bytes >= 4 * size) {
            (unit, name) = (*size, *candidate);
        }
    }
    let (whole, tenths) = (bytes / unit, (bytes % unit) * 10 / unit);
    if bytes.is_multiple_of(unit) {
        format!("{whole} {name}")
    } else {
        format!("{whole}.{tenths} {name}")
    }
}

/// Writes a number of bytes as the API carries it; the API never sends negative ones.
#[must_use]
pub fn format_bytes(bytes: i64) -> String {
    u64::try_from(bytes).map_or_else(|_negative| bytes.to_string(), format_size)
}

/// Reads a duration: `10s`, `1.5s`, `250ms`, `5m`, `2h`, `1d`, or terms joined as in `1h30m`.
///
/// # Errors
///
/// A message with the accepted forms.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse = || format!("{text:?} is not a duration: write 250ms, 10s, 5m, 2h, 1d or 1h30m");
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refuse)?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let seconds: f64 = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(refuse()),
        };
        let number: f64 = number.parse().map_err(|_not_a_number| refuse())?;
        let term = Duration::try_from_secs_f64(number * seconds).map_err(|_too_large| refuse())?;
        total = total.checked_add(term).ok_or_else(refuse)?;
        rest = tail;
    }
    if text.is_empty() { Err(refuse()) } else { Ok(total) }
}

/// Writes a duration for people, two units at most: `41s`, `3m12s`, `2h04m`, `5d03h`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if seconds == 0 {
        format!("{}ms", duration.as_millis())
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
    fn sizes_take_iec_and_si_suffixes() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65_536),
            ("64KiB", 65_536),
            ("64 KiB", 65_536),
            ("64kB", 64_000),
            ("16MiB", 16 << 20),
            ("2GB", 2_000_000_000),
            ("7B", 7),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_bare_k_is_ambiguous_and_both_readings_are_named() {
        for (text, binary, decimal) in [("64k", "64KiB", "64kB"), ("2M", "2MiB", "2MB")] {
            let message = parse_size(text).unwrap_err();
            assert!(message.contains(binary) && message.contains(decimal), "{message}");
        }
    }

    #[test]
    fn sizes_that_are_none_are_refused() {
        for text in ["", "KiB", "-1", "1.5MiB", "12parsec", "99999999999999999999", "99999999TiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_written_in_the_largest_unit_that_says_enough() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_420, "1420 B"),
            (8_192, "8 KiB"),
            (8_090, "7.9 KiB"),
            (66_560, "65 KiB"),
            (1 << 24, "16 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(format_size(bytes), text);
        }
    }

    #[test]
    fn durations_are_read_in_every_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("1.5s", 1_500),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "s", "10 parsec", "-1s", "1..5s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_with_two_units_at_most() {
        for (seconds, text) in
            [(41, "41s"), (192, "3m12s"), (7_440, "2h04m"), (12 * 86_400 + 3_600, "12d01h")]
        {
            assert_eq!(format_duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(format_duration(Duration::from_millis(50)), "50ms");
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (count, text) in [(0, "0"), (999, "999"), (812_440, "812,440"), (-1_000, "-1,000")] {
            assert_eq!(format_count(count), text);
        }
    }
}
