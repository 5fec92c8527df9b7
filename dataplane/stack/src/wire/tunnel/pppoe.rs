//! PPP sessions over Ethernet, RFC 2516.

use super::{Inside, Next, ParseError, Span, ether_type};

/// Numbers of PPP.
mod protocol {
    pub(super) const IPV4: u16 = 0x0021;
    pub(super) const IPV6: u16 = 0x0057;
    pub(super) const MPLS: u16 = 0x0281;
}

pub(in super::super) fn open(mut bytes: Span<'_>) -> Result<Inside<'_>, ParseError> {
    const VERSION_AND_TYPE: u8 = 0x11;
    const SESSION: u8 = 0;
    let [version, code, _, _, l0, l1] = *bytes.take::<6>()?;
    if version != VERSION_AND_TYPE || code != SESSION {
        return Err(ParseError::NotIp);
    }
    let mut bytes = bytes.cut(usize::from(u16::from_be_bytes([l0, l1])))?;
    let ether_type = match u16::from_be_bytes(*bytes.take::<2>()?) {
        protocol::IPV4 => ether_type::IPV4,
        protocol::IPV6 => ether_type::IPV6,
        protocol::MPLS => ether_type::MPLS,
        _ => return Err(ParseError::NotIp),
    };
    Ok(Inside::new(Next::Type(ether_type), bytes))
}
