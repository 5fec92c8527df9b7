//! IPv4 with options and IPv6 with extension headers, down to the TCP segment.
//!
//! The length of the TCP segment comes from the IP header, never from the frame: short frames are
//! padded. Only a length of 0, as captures with segmentation offload have it, means the rest of
//! the frame. RFC 791, RFC 8200.

use core::net::IpAddr;

use super::{ParseError, checksum::Sum};

/// `Protocol`, and `Next Header`, of TCP.
const TCP: u8 = 6;

/// Most extension headers of one packet that are followed.
const EXTENSIONS_MAX: usize = 8;

mod next_header {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// The part of a packet that a fragment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FragmentPart {
    pub(crate) identification: u32,
    /// Where its bytes belong, a multiple of 8.
    pub(crate) offset: u16,
    /// Whether it is the last one.
    pub(crate) is_last: bool,
    /// What the whole packet's payload begins with: TCP, or an IPv6 extension header.
    next: u8,
}

/// The TCP segment that an IP packet carries, or a fragment of it.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// Which part it is, for a fragment.
    pub(super) fragment: Option<FragmentPart>,
    /// Captured bytes of the TCP segment.
    pub(super) payload: &'a [u8],
    /// Length of the TCP segment by the IP header, at least that of `payload`.
    pub(super) length: usize,
    /// Whether the checksum of TCP can be verified, and that of the header is valid.
    pub(super) checksums: HeaderChecksum,
}

/// What the IP header says about checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderChecksum {
    /// The header has a valid checksum, or none, as in IPv6.
    Valid,
    Invalid,
    /// The length is missing, as in captures with segmentation offload: the checksum of TCP was
    /// not computed yet.
    Offloaded,
}

/// Cuts `captured` to `length`. A header that claims more than was on the wire is malformed.
fn cut(captured: &[u8], length: usize, on_wire: usize) -> Result<(&[u8], usize), ParseError> {
    if length > on_wire {
        return Err(ParseError::Malformed);
    }
    Ok((captured.get(..length).unwrap_or(captured), length))
}

/// Parses an IPv4 packet: `bytes` were captured, and `on_wire` bytes were sent.
pub(super) fn parse_v4(bytes: &[u8], on_wire: usize) -> Result<Packet<'_>, ParseError> {
    let (header, _options) = bytes.split_first_chunk::<20>().ok_or(ParseError::Truncated)?;
    let [version_length, _, l0, l1, i0, i1, f0, f1, _, protocol, _, _, addresses @ ..] = *header;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
    let header_length = usize::from(version_length & 0x0f).saturating_mul(4);
    if version_length >> 4 != 4 || header_length < header.len() {
        return Err(ParseError::Malformed);
    }
    let (total_length, is_offloaded) = match u16::from_be_bytes([l0, l1]) {
        0 => (on_wire, true),
        length => (usize::from(length), false),
    };
    let length = total_length.checked_sub(header_length).ok_or(ParseError::Malformed)?;
    if protocol != TCP {
        return Err(ParseError::NotTcp);
    }
    let flags = u16::from_be_bytes([f0, f1]);
    let fragment = (flags & 0x3fff != 0).then_some(FragmentPart {
        identification: u32::from(u16::from_be_bytes([i0, i1])),
        offset: (flags & 0x1fff).wrapping_shl(3),
        is_last: flags & 0x2000 == 0,
        next: TCP,
    });
    let captured = bytes.get(header_length..).ok_or(ParseError::Truncated)?;
    let (payload, length) = cut(captured, length, on_wire.saturating_sub(header_length))?;
    let checksums = if is_offloaded {
        HeaderChecksum::Offloaded
    } else if Sum::default().add(bytes.get(..header_length).unwrap_or_default()).is_valid() {
        HeaderChecksum::Valid
    } else {
        HeaderChecksum::Invalid
    };
    Ok(Packet {
        source: IpAddr::from([s0, s1, s2, s3]),
        destination: IpAddr::from([d0, d1, d2, d3]),
        fragment,
        payload,
        length,
        checksums,
    })
}

/// Parses an IPv6 packet: `bytes` were captured, and `on_wire` bytes were sent.
pub(super) fn parse_v6(bytes: &[u8], on_wire: usize) -> Result<Packet<'_>, ParseError> {
    let (header, captured) = bytes.split_first_chunk::<40>().ok_or(ParseError::Truncated)?;
    let ([version, _, _, _, l0, l1, next, _], addresses) =
        header.split_first_chunk::<8>().ok_or(ParseError::Truncated)?;
    let (source, destination) = addresses.split_first_chunk::<16>().ok_or(ParseError::Truncated)?;
    let destination = destination.first_chunk::<16>().ok_or(ParseError::Truncated)?;
    if version >> 4 != 6 {
        return Err(ParseError::Malformed);
    }
    let on_wire = on_wire.saturating_sub(header.len());
    let (payload_length, checksums) = match u16::from_be_bytes([*l0, *l1]) {
        0 => (on_wire, HeaderChecksum::Offloaded),
        length => (usize::from(length), HeaderChecksum::Valid),
    };
    let (payload, length) = cut(captured, payload_length, on_wire)?;
    let (fragment, payload, length) = skip_extensions(*next, payload, length)?;
    Ok(Packet {
        source: IpAddr::from(*source),
        destination: IpAddr::from(*destination),
        fragment,
        payload,
        length,
        checksums,
    })
}

/// The TCP segment in the payload of a packet that was reassembled from fragments.
pub(super) fn of_assembled(part: FragmentPart, payload: &[u8]) -> Result<&[u8], ParseError> {
    match skip_extensions(part.next, payload, payload.len())? {
        (None, payload, _) => Ok(payload),
        // A fragment in a fragment: RFC 8200 section 4.5 does not allow it.
        (Some(_), ..) => Err(ParseError::Malformed),
    }
}

/// Follows the extension headers to the TCP segment, or to a fragment.
fn skip_extensions(
    mut next: u8,
    mut payload: &[u8],
    mut length: usize,
) -> Result<(Option<FragmentPart>, &[u8], usize), ParseError> {
    for _ in 0..=EXTENSIONS_MAX {
        if next == TCP {
            return Ok((None, payload, length));
        }
        let &[following, units, o0, o1, i0, i1, i2, i3] =
            payload.first_chunk::<8>().ok_or(match next {
                next_header::HOP_BY_HOP
                | next_header::ROUTING
                | next_header::FRAGMENT
                | next_header::AUTHENTICATION
                | next_header::DESTINATION => ParseError::Truncated,
                _ => ParseError::NotTcp,
            })?;
        let size = match next {
            next_header::HOP_BY_HOP
            | next_header::ROUTING
            | next_header::DESTINATION
            | next_header::MOBILITY
            | next_header::HIP
            | next_header::SHIM6 => usize::from(units).saturating_add(1).saturating_mul(8),
            next_header::AUTHENTICATION => usize::from(units).saturating_add(2).saturating_mul(4),
            // An atomic fragment, RFC 6946, is a whole packet.
            next_header::FRAGMENT if u16::from_be_bytes([o0, o1]) & 0xfff9 == 0 => 8,
            next_header::FRAGMENT => {
                let flags = u16::from_be_bytes([o0, o1]);
                let part = FragmentPart {
                    identification: u32::from_be_bytes([i0, i1, i2, i3]),
                    offset: flags & 0xfff8,
                    is_last: flags & 1 == 0,
                    next: following,
                };
                let payload = payload.get(8..).ok_or(ParseError::Truncated)?;
                let length = length.checked_sub(8).ok_or(ParseError::Malformed)?;
                return Ok((Some(part), payload, length));
            }
            _ => return Err(ParseError::NotTcp),
        };
        length = length.checked_sub(size).ok_or(ParseError::Malformed)?;
        payload = payload.get(size..).ok_or(ParseError::Truncated)?;
        next = following;
    }
    Err(ParseError::Malformed)
}
