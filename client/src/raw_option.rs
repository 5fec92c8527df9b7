//! The arguments of `mtcp_setsockopt()` as the command line takes them: numbers or mOS names.
//!
//! Numbers are decimal or hexadecimal (`0x09`). The names are those of mOS's `mos_api.h`; whether
//! an option is implemented is for the server to say.

/// mOS: `SOL_MONSOCKET`, the level of monitoring sockets.
pub const SOL_MONSOCKET: i32 = 0xfffe;

/// mOS: `MOS_FRAGINFO_CLIBUF`.
pub const MOS_FRAGINFO_CLIBUF: i32 = 0x01;
/// mOS: `MOS_FRAGINFO_SVRBUF`.
pub const MOS_FRAGINFO_SVRBUF: i32 = 0x02;
/// mOS: `MOS_INFO_CLIBUF`.
pub const MOS_INFO_CLIBUF: i32 = 0x03;
/// mOS: `MOS_INFO_SVRBUF`.
pub const MOS_INFO_SVRBUF: i32 = 0x04;
/// mOS: `MOS_CLIBUF`.
pub const MOS_CLIBUF: i32 = 0x09;
/// mOS: `MOS_SVRBUF`.
pub const MOS_SVRBUF: i32 = 0x0a;
/// mOS: `MOS_STOP_MON`.
pub const MOS_STOP_MON: i32 = 0x0c;

const LEVELS: [(&str, i32); 2] = [("SOL_MONSOCKET", SOL_MONSOCKET), ("SOL_SOCKET", 0xffff)];

const OPTIONS: [(&str, i32); 15] = [
    ("MOS_FRAGINFO_CLIBUF", MOS_FRAGINFO_CLIBUF),
    ("MOS_FRAGINFO_SVRBUF", MOS_FRAGINFO_SVRBUF),
    ("MOS_INFO_CLIBUF", MOS_INFO_CLIBUF),
    ("MOS_INFO_SVRBUF", MOS_INFO_SVRBUF),
    ("MOS_TCP_STATE_CLI", 0x05),
    ("MOS_TCP_STATE_SVR", 0x06),
    ("MOS_TIMESTAMP", 0x07),
    ("MOS_CLIBUF", MOS_CLIBUF),
    ("MOS_SVRBUF", MOS_SVRBUF),
    ("MOS_SEQ_REMAP", 0x0b),
    ("MOS_STOP_MON", MOS_STOP_MON),
    ("MOS_FRAG_CLIBUF", 0x0d),
    ("MOS_FRAG_SVRBUF", 0x0e),
    ("MOS_CLIOVERLAP", 0x0f),
    ("MOS_SVROVERLAP", 0x10),
];

const VALUES: [(&str, i32); 5] = [
    ("MOS_SIDE_CLI", 0),
    ("MOS_SIDE_SVR", 1),
    ("MOS_SIDE_BOTH", 2),
    ("MOS_OVERLAP_POLICY_FIRST", 0),
    ("MOS_OVERLAP_POLICY_LAST", 1),
];

/// Reads the level: a number or `SOL_MONSOCKET`.
///
/// # Errors
///
/// A message with the known names.
pub fn parse_level(text: &str) -> Result<i32, String> {
    named(text, &LEVELS).or_else(|| integer(text)).ok_or_else(|| unknown("level", text, &LEVELS))
}

/// Reads the option's name: a number or a name such as `MOS_CLIBUF`.
///
/// # Errors
///
/// A message with the known names.
pub fn parse_optname(text: &str) -> Result<i32, String> {
    named(text, &OPTIONS).or_else(|| integer(text)).ok_or_else(|| unknown("option", text, &OPTIONS))
}

/// Reads the option's value: `0x` or `hex:` starts bytes as they are; a decimal number or a name
/// such as `MOS_SIDE_BOTH` is a C int, four bytes little endian.
///
/// # Errors
///
/// A message saying what is accepted.
pub fn parse_optval(text: &str) -> Result<Vec<u8>, String> {
    if let Some(digits) = text.strip_prefix("hex:").or_else(|| text.strip_prefix("0x")) {
        return bytes(digits).ok_or_else(|| {
            format!("{text:?} is not whole bytes: write two hexadecimal digits for each")
        });
    }
    let value = named(text, &VALUES).or_else(|| text.parse::<i32>().ok());
    value.map(|int| int.to_le_bytes().to_vec()).ok_or_else(|| {
        format!("{text:?} is not an int, a mOS name, or bytes written as 0x00000100 or hex:")
    })
}

/// The value as a C int, if it has the length of one.
#[must_use]
pub fn as_int(optval: &[u8]) -> Option<i32> {
    <[u8; 4]>::try_from(optval).ok().map(i32::from_le_bytes)
}

/// What the bytes of an option's value mean, as far as the option is known.
#[must_use]
pub fn meaning(optname: i32, optval: &[u8]) -> Option<String> {
    match optname {
        MOS_FRAGINFO_CLIBUF | MOS_FRAGINFO_SVRBUF => {
            let fragments: Option<Vec<_>> = optval.chunks(16).map(fragment).collect();
            Some(format!("tcp_ring_fragment {}", fragments?.join(" ")))
        }
        MOS_INFO_CLIBUF | MOS_INFO_SVRBUF => {
            let (numbers, rest) = optval.as_chunks::<4>();
            let numbers: Vec<_> =
                numbers.iter().map(|bytes| u32::from_le_bytes(*bytes).to_string()).collect();
            let is_whole = numbers.len() == 4 && rest.is_empty();
            is_whole.then(|| format!("tcp_buf_info {}", numbers.join(" ")))
        }
        _ => as_int(optval).map(|int| format!("int {int}")),
    }
}

/// Offset and length of a fragment; 4 bytes of padding follow.
fn fragment(bytes: &[u8]) -> Option<String> {
    let (offset, rest) = bytes.split_first_chunk::<8>()?;
    let (length, _padding) = rest.split_first_chunk::<4>()?;
    Some(format!("{}+{}", u64::from_le_bytes(*offset), u32::from_le_bytes(*length)))
}

fn named(text: &str, names: &[(&str, i32)]) -> Option<i32> {
    names.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
}

fn integer(text: &str) -> Option<i32> {
    text.strip_prefix("0x")
        .map_or_else(|| text.parse().ok(), |digits| i32::from_str_radix(digits, 16).ok())
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

fn unknown(what: &str, text: &str, names: &[(&str, i32)]) -> String {
    let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
    format!("{text:?} is no {what}: write a number or one of {}", names.join(", "))
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
            assert_eq!(parse_optname(text), Ok(MOS_STOP_MON), "{text}");
        }
        assert!(parse_optname("MOS_NONE").unwrap_err().contains("MOS_CLIBUF"));
        parse_level("").unwrap_err();
    }

    #[test]
    fn a_decimal_value_is_a_c_int() {
        assert_eq!(parse_optval("65536"), Ok(vec![0, 0, 1, 0]));
        assert_eq!(parse_optval("-1"), Ok(vec![0xff; 4]));
        assert_eq!(parse_optval("MOS_SIDE_BOTH"), Ok(vec![2, 0, 0, 0]));
        assert_eq!(as_int(&[0, 0, 1, 0]), Some(65_536));
    }

    #[test]
    fn hexadecimal_digits_are_bytes_as_they_are() {
        assert_eq!(parse_optval("0x00000100"), Ok(vec![0, 0, 1, 0]));
        assert_eq!(parse_optval("hex:0102030405"), Ok(vec![1, 2, 3, 4, 5]));
        assert_eq!(parse_optval("hex:"), Ok(Vec::new()));
        assert_eq!(as_int(&[1, 2]), None);
        for text in ["0x1", "0xzz", "hex:é0", "3000000000", "many"] {
            assert!(parse_optval(text).is_err(), "{text}");
        }
    }
}
