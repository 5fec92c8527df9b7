//! Packets as the firewall of Linux logs them: a header, and attributes in the byte order of the
//! machine, one of which is the packet.

use super::{ParseError, span::Span, tunnel::Next};

/// Most attributes of a packet: there are kinds for fewer.
const ATTRIBUTES_MAX: usize = 64;

/// Moves to the packet.
pub(super) fn open(bytes: &mut Span<'_>) -> Result<Next, ParseError> {
    const HEAD: usize = 4;
    const PACKET: u16 = 9;
    let [_, version, _, _] = *bytes.take()?;
    if version != 0 {
        return Err(ParseError::NotIp);
    }
    for _ in 0..ATTRIBUTES_MAX {
        let [l0, l1, k0, k1] = *bytes.take::<HEAD>()?;
        // No kind of attribute has as high a number: it is in the other order.
        let (length, kind) = match u16::from_le_bytes([k0, k1]) {
            kind @ 0..256 => (u16::from_le_bytes([l0, l1]), kind),
            _ => (u16::from_be_bytes([l0, l1]), u16::from_be_bytes([k0, k1])),
        };
        let length = usize::from(length).checked_sub(HEAD).ok_or(ParseError::Malformed)?;
        if kind == PACKET {
            *bytes = bytes.cut(length)?;
            return Ok(Next::Ip);
        }
        bytes.skip(length.next_multiple_of(4))?;
    }
    Err(ParseError::Malformed)
}
