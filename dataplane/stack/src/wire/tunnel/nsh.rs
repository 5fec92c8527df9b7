//! The header of service chains, RFC 8300.

use super::{Inside, Next, ParseError, Span, ether_type};

/// Numbers of `Next Protocol`.
mod next_protocol {
    pub(super) const IPV4: u8 = 1;
    pub(super) const IPV6: u8 = 2;
    pub(super) const ETHERNET: u8 = 3;
    pub(super) const MPLS: u8 = 5;
}

/// Bytes of the base header.
const BASE: usize = 4;

/// Least bytes of the header: the base, and the service path.
const HEADER_MIN: usize = 8;

pub(in super::super) fn open(mut bytes: Span<'_>) -> Result<Inside<'_>, ParseError> {
    const VERSION: u8 = 0xc0;
    const MAINTENANCE: u8 = 0x20;
    let [flags, length, _, next] = *bytes.take::<BASE>()?;
    if flags & (VERSION | MAINTENANCE) != 0 {
        return Err(ParseError::NotIp);
    }
    let length = usize::from(length & 0x3f).saturating_mul(4);
    if length < HEADER_MIN {
        return Err(ParseError::Malformed);
    }
    bytes.skip(length.saturating_sub(BASE))?;
    let next = match next {
        next_protocol::IPV4 => Next::Type(ether_type::IPV4),
        next_protocol::IPV6 => Next::Type(ether_type::IPV6),
        next_protocol::ETHERNET => Next::Ethernet,
        next_protocol::MPLS => Next::Type(ether_type::MPLS),
        _ => return Err(ParseError::NotIp),
    };
    Ok(Inside::new(next, bytes))
}
