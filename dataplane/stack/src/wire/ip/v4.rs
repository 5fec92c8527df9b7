//! The header of IPv4 and its options, RFC 791 section 3.1 and RFC 1122 section 3.2.1.8.

use core::{mem, net::IpAddr};

use super::{
    super::{ParseError, checksum::Sum, span::Span, tunnel::Tunnels},
    FragmentPart, HeaderChecksum, Packet, is_followed, length_before_cutting, too_long,
};

mod option {
    pub(super) const END: u8 = 0;
    pub(super) const NO_OPERATION: u8 = 1;
    pub(super) const RECORD_ROUTE: u8 = 7;
    pub(super) const TIMESTAMP: u8 = 68;
    pub(super) const LOOSE_SOURCE_ROUTE: u8 = 131;
    pub(super) const COMMERCIAL_SECURITY: u8 = 134;
    pub(super) const STRICT_SOURCE_ROUTE: u8 = 137;
    pub(super) const ROUTER_ALERT: u8 = 148;
}

/// Parses a packet.
pub(in super::super) fn parse<'a>(
    bytes: Span<'a>,
    tunnels: &Tunnels,
) -> Result<Packet<'a>, ParseError> {
    let header = bytes.captured.first_chunk::<20>().ok_or(ParseError::Truncated)?;
    let [version_length, service, l0, l1, i0, i1, f0, f1, _, protocol, _, _, addresses @ ..] =
        *header;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
    let header_length = usize::from(version_length & 0x0f).saturating_mul(4);
    if version_length >> 4 != 4 || header_length < header.len() {
        return Err(ParseError::Malformed);
    }
    if !is_followed(protocol, tunnels) {
        return Err(ParseError::NotTcp);
    }
    let flags = u16::from_be_bytes([f0, f1]);
    let fragment = (flags & 0x3fff != 0).then_some(FragmentPart {
        identification: u32::from(u16::from_be_bytes([i0, i1])),
        offset: (flags & 0x1fff).wrapping_shl(3),
        is_last: flags & 0x2000 == 0,
        next: protocol,
        headers: u32::try_from(header_length).unwrap_or_default(),
        congestion: service & 3,
    });
    let (total_length, is_offloaded) = match u16::from_be_bytes([l0, l1]) {
        0 if fragment.is_some() => return Err(ParseError::LengthZero),
        0 => (length_before_cutting(&bytes)?, true),
        length => (usize::from(length), false),
    };
    let length = total_length.checked_sub(header_length).ok_or(ParseError::Malformed)?;
    let header = bytes.captured.get(..header_length).ok_or(ParseError::Truncated)?;
    let mut payload = bytes;
    payload.skip(header_length)?;
    let payload = payload.cut(length).map_err(|reason| too_long(protocol, tunnels, reason))?;
    check_options(header.get(20..).unwrap_or_default())?;
    let checksums = if is_offloaded {
        HeaderChecksum::Offloaded
    } else if Sum::default().add(header).is_valid() {
        HeaderChecksum::Valid
    } else {
        HeaderChecksum::Invalid
    };
    Ok(Packet {
        source: IpAddr::from([s0, s1, s2, s3]),
        destination: IpAddr::from([d0, d1, d2, d3]),
        fragment,
        protocol,
        payload,
        checksums,
    })
}

/// Refuses the options for which a host discards a packet: malformed ones, two that must be one,
/// and those that hosts take only where somebody has configured it: source routes (RFC 7126
/// section 4.3) and the labels of a domain.
fn check_options(mut options: &[u8]) -> Result<(), ParseError> {
    let (mut has_route, mut has_time) = (false, false);
    loop {
        let length = match *options {
            [] | [option::END, ..] => return Ok(()),
            [option::NO_OPERATION, ..] => 1,
            [_, length, ..] if length >= 2 => usize::from(length),
            _ => return Err(ParseError::IpOptions),
        };
        let (option, rest) = options.split_at_checked(length).ok_or(ParseError::IpOptions)?;
        let is_refused = match *option {
            [option::LOOSE_SOURCE_ROUTE | option::STRICT_SOURCE_ROUTE, ..]
            | [option::COMMERCIAL_SECURITY, ..] => true,
            [option::RECORD_ROUTE, ..] => {
                mem::replace(&mut has_route, true) || !is_route_record(option)
            }
            [option::TIMESTAMP, ..] => mem::replace(&mut has_time, true) || !is_timestamp(option),
            [option::ROUTER_ALERT, ..] => length < 4,
            _ => false,
        };
        if is_refused {
            return Err(ParseError::IpOptions);
        }
        options = rest;
    }
}

/// Whether an option is a right Record Route: its pointer, counted from 1, is behind it or has room
/// for an address.
fn is_route_record(option: &[u8]) -> bool {
    let &[_, length, pointer, ..] = option else { return false };
    pointer >= 4 && (pointer > length || has_room(length, pointer, 4))
}

/// Whether an option is a right Timestamp: there is room for what it asks for, or the count of
/// hosts without room is not at its end. The prescribed addresses of flag 3 need none.
fn is_timestamp(option: &[u8]) -> bool {
    let &[_, length, pointer, overflow_flag, ..] = option else { return false };
    let (overflow, flag) = (overflow_flag >> 4, overflow_flag & 0x0f);
    let needed = if matches!(flag, 1 | 3) { 8 } else { 4 };
    if pointer > length {
        overflow < 15 || flag == 3
    } else {
        pointer >= 5 && has_room(length, pointer, needed)
    }
}

/// Whether `needed` bytes from `pointer` on lie within an option.
const fn has_room(length: u8, pointer: u8, needed: u8) -> bool {
    pointer.saturating_sub(1).saturating_add(needed) <= length
}
