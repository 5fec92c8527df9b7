//! The numbers and names of mOS's `mos_api.h`, and the arguments of `mtcp_setsockopt(3)` as people
//! write them: `MOS_CLIBUF`, `9`, `0x09`.
//!
//! Every number of mOS that mosd knows stands here, implemented or not; what is implemented is for
//! the server to say.

use crate::{TextError, digits::is_digits};

/// A number and its name in mOS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The name, in capitals.
    pub name: &'static str,
    /// The number.
    pub number: i32,
}

macro_rules! numbers {
    ($(#[doc = $about:literal])* $table:ident:
     $($(#[doc = $doc:literal])* $name:ident = $number:literal;)*) => {
        $($(#[doc = $doc])* pub const $name: i32 = $number;)*

        $(#[doc = $about])*
        pub const $table: [Named; [$($number,)*].len()] =
            [$(Named { name: stringify!($name), number: $number },)*];
    };
}

numbers! {
    /// Levels.
    LEVELS:
    /// Options of monitoring sockets: the level of every option here.
    SOL_MONSOCKET = 0xfffe;
    /// Options of sockets: no option of this level is known.
    SOL_SOCKET = 0xffff;
}

numbers! {
    /// Options of [`SOL_MONSOCKET`].
    OPTIONS:
    /// What the client's receive buffer holds: `struct tcp_ring_fragment[]`. Read only.
    MOS_FRAGINFO_CLIBUF = 0x01;
    /// What the server's receive buffer holds.
    MOS_FRAGINFO_SVRBUF = 0x02;
    /// Where the client's receive buffer stands: `struct tcp_buf_info`. Read only.
    MOS_INFO_CLIBUF = 0x03;
    /// Where the server's receive buffer stands.
    MOS_INFO_SVRBUF = 0x04;
    /// TCP state of the client: `enum tcpstate`. Read only.
    MOS_TCP_STATE_CLI = 0x05;
    /// TCP state of the server.
    MOS_TCP_STATE_SVR = 0x06;
    /// Not used by mOS itself.
    MOS_TIMESTAMP = 0x07;
    /// Capacity of the client's receive buffer, in bytes: `int`.
    MOS_CLIBUF = 0x09;
    /// Capacity of the server's receive buffer, in bytes.
    MOS_SVRBUF = 0x0a;
    /// Not used by mOS itself.
    MOS_SEQ_REMAP = 0x0b;
    /// Sides that are no longer monitored: [`MOS_SIDE_CLI`], [`MOS_SIDE_SVR`], [`MOS_SIDE_BOTH`].
    MOS_STOP_MON = 0x0c;
    /// Not used by mOS itself.
    MOS_FRAG_CLIBUF = 0x0d;
    /// Not used by mOS itself.
    MOS_FRAG_SVRBUF = 0x0e;
    /// Overlap policy of the client's receive buffer: [`MOS_OVERLAP_POLICY_FIRST`], `_LAST`
    /// or `_LINUX`.
    MOS_CLIOVERLAP = 0x0f;
    /// Overlap policy of the server's receive buffer.
    MOS_SVROVERLAP = 0x10;
}

numbers! {
    /// Values of options.
    VALUES:
    /// The client's side.
    MOS_SIDE_CLI = 0;
    /// The server's side.
    MOS_SIDE_SVR = 1;
    /// Both sides.
    MOS_SIDE_BOTH = 2;
    /// The copy of a byte that came first is kept.
    MOS_OVERLAP_POLICY_FIRST = 0;
    /// The copy of a byte is kept that came last before one was acknowledged.
    MOS_OVERLAP_POLICY_LAST = 1;
    /// The copy of a byte that a Linux receiver delivers is kept. mOS has no such policy.
    MOS_OVERLAP_POLICY_LINUX = 2;
}

/// The name of the option with this number.
#[must_use]
pub fn option_name(number: i32) -> Option<&'static str> {
    OPTIONS.iter().find(|option| option.number == number).map(|option| option.name)
}

/// Reads a level: a number or a name.
///
/// # Errors
///
/// Neither; with the known names.
pub fn parse_level(text: &str) -> Result<i32, TextError> {
    number(text, &LEVELS).ok_or_else(|| unknown(text, "level", &LEVELS))
}

/// Reads an option: a number or a name.
///
/// # Errors
///
/// Neither; with the known names.
pub fn parse_option(text: &str) -> Result<i32, TextError> {
    number(text, &OPTIONS).ok_or_else(|| unknown(text, "option", &OPTIONS))
}

/// Reads the value of an option: `0x` or `hex:` begins bytes as they are; a decimal number or a
/// name such as `MOS_SIDE_BOTH` is a C `int`, four bytes, little endian.
///
/// # Errors
///
/// None of these.
pub fn parse_value(text: &str) -> Result<Vec<u8>, TextError> {
    if let Some(digits) = text.strip_prefix("hex:").or_else(|| text.strip_prefix("0x")) {
        return bytes(digits).ok_or_else(|| {
            TextError::new(text, "is not whole bytes: write two hexadecimal digits for each")
        });
    }
    let value = named(text, &VALUES).or_else(|| decimal(text));
    value.map(|int| int.to_le_bytes().to_vec()).ok_or_else(|| {
        let right = "is not an int, a mOS name, or bytes written as 0x00000100 or hex:00000100";
        TextError::new(text, right)
    })
}

fn number(text: &str, names: &[Named]) -> Option<i32> {
    named(text, names).or_else(|| match text.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            i32::from_str_radix(digits, 16).ok()
        }
        Some(_) => None,
        None => decimal(text),
    })
}

fn named(text: &str, names: &[Named]) -> Option<i32> {
    names.iter().find(|one| one.name.eq_ignore_ascii_case(text)).map(|one| one.number)
}

fn decimal(text: &str) -> Option<i32> {
    is_digits(text.strip_prefix('-').unwrap_or(text)).then(|| text.parse().ok()).flatten()
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(|pair| byte(pair)).collect()
}

fn unknown(text: &str, what: &str, names: &[Named]) -> TextError {
    let names: Vec<_> = names.iter().map(|one| one.name).collect();
    TextError::new(text, format!("is no {what}: write a number or one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_options_are_names_or_numbers_in_either_base() {
        for text in ["SOL_MONSOCKET", "sol_monsocket", "65534", "0xfffe"] {
            assert_eq!(parse_level(text), Ok(SOL_MONSOCKET), "{text}");
        }
        for text in ["MOS_STOP_MON", "12", "0x0c", "0xC"] {
            assert_eq!(parse_option(text), Ok(MOS_STOP_MON), "{text}");
        }
        assert_eq!(parse_option("-1"), Ok(-1));
        let error = parse_option("MOS_NONE").unwrap_err().to_string();
        assert!(error.contains("MOS_CLIBUF") && error.contains("MOS_SVROVERLAP"), "{error}");
        for text in ["", "+9", "0x", "0x+9", "0x-9", "--1", "٩", "9 ", "2147483648"] {
            assert!(parse_level(text).unwrap_err().to_string().contains("SOL_MONSOCKET"), "{text}");
        }
    }

    #[test]
    fn a_decimal_value_is_a_c_int() {
        assert_eq!(parse_value("65536"), Ok(vec![0, 0, 1, 0]));
        assert_eq!(parse_value("-1"), Ok(vec![0xff; 4]));
        assert_eq!(parse_value("MOS_SIDE_BOTH"), Ok(vec![2, 0, 0, 0]));
        assert_eq!(parse_value("mos_overlap_policy_last"), Ok(vec![1, 0, 0, 0]));
    }

    #[test]
    fn hexadecimal_digits_are_bytes_as_they_are() {
        assert_eq!(parse_value("0x00000100"), Ok(vec![0, 0, 1, 0]));
        assert_eq!(parse_value("hex:0102030405"), Ok(vec![1, 2, 3, 4, 5]));
        assert_eq!(parse_value("hex:"), Ok(Vec::new()));
        for text in ["0x1", "0xzz", "0x+1", "hex:é0", "3000000000", "+1", "many", ""] {
            assert!(parse_value(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_have_names() {
        assert_eq!(option_name(MOS_CLIBUF), Some("MOS_CLIBUF"));
        assert_eq!(option_name(0x08), None);
    }
}
