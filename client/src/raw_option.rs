//! Values of raw options in words, by the C structures that `mtcp_getsockopt(3)` fills.

use mos_text::mos::{MOS_FRAGINFO_CLIBUF, MOS_FRAGINFO_SVRBUF, MOS_INFO_CLIBUF, MOS_INFO_SVRBUF};

/// The value as a C int, if it has the length of one.
#[must_use]
pub fn as_int(optval: &[u8]) -> Option<i32> {
    <[u8; 4]>::try_from(optval).ok().map(i32::from_le_bytes)
}

/// The value of an option in words; `None` if its length does not fit the type of the option.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bytes_are_an_int() {
        assert_eq!(as_int(&[0, 0, 1, 0]), Some(65_536));
        assert_eq!(as_int(&[1, 2]), None);
    }

    #[test]
    fn structures_are_told_by_their_numbers() {
        let fragment = [7, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        let told = meaning(MOS_FRAGINFO_CLIBUF, &fragment);
        assert_eq!(told.as_deref(), Some("tcp_ring_fragment 7+3"));
        let positions = [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0];
        assert_eq!(meaning(MOS_INFO_SVRBUF, &positions).as_deref(), Some("tcp_buf_info 1 2 3 4"));
        assert_eq!(meaning(MOS_INFO_SVRBUF, &positions[1..]), None);
        assert_eq!(meaning(0x09, &[0, 0, 1, 0]).as_deref(), Some("int 65536"));
    }
}
