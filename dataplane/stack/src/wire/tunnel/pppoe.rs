//! PPP sessions over Ethernet, RFC 2516.

use super::{super::serial, Inside, ParseError, Span};

pub(in super::super) fn open(mut bytes: Span<'_>) -> Result<Inside<'_>, ParseError> {
    const VERSION_AND_TYPE: u8 = 0x11;
    const SESSION: u8 = 0;
    let [version, code, _, _, l0, l1] = *bytes.take::<6>()?;
    if version != VERSION_AND_TYPE || code != SESSION {
        return Err(ParseError::NotIp);
    }
    let mut bytes = bytes.cut(usize::from(u16::from_be_bytes([l0, l1])))?;
    let next = serial::open_ppp(&mut bytes)?;
    Ok(Inside::new(next, bytes))
}
