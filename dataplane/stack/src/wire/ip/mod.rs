//! IPv4 with options and IPv6 with extension headers, down to a TCP segment or a tunnel.
//!
//! What a header obliges a receiver to discard is refused here, each kind with its own reason:
//! otherwise one packet that nobody receives would be monitored as a part of a connection. The
//! length of the TCP segment comes from the IP header, never from the frame: short frames are
//! padded. RFC 791, RFC 1122, RFC 8200.

mod v4;
mod v6;
mod v6_options;

#[cfg(test)]
mod tests;

use core::net::IpAddr;

use super::{ParseError, span::Span, tunnel::Tunnels};

pub(super) use v4::parse as parse_v4;
pub(super) use v6::{Whole, parse as parse_v6};

/// `Protocol`, and `Next Header`, of TCP.
pub(super) const TCP: u8 = 6;

/// Longest IP packet that needs no cutting, in bytes: the MTU of Ethernet.
const UNCUT_MAX: usize = 1500;

/// The part of a packet that a fragment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FragmentPart {
    pub(crate) identification: u32,
    /// Where its bytes belong, a multiple of 8.
    pub(crate) offset: u16,
    /// Whether it is the last one.
    pub(crate) is_last: bool,
    /// Of the first fragment: what the whole packet's payload begins with, the number of a
    /// protocol or of an IPv6 extension header.
    pub(crate) next: u8,
    /// Bytes in front of the payload that count in the packet's length: the header of IPv4, the
    /// extension headers of IPv6.
    pub(crate) headers: u32,
    /// The congestion mark of RFC 3168, 0 to 3.
    pub(crate) congestion: u8,
}

/// The payload of an IP packet that is TCP or may be a tunnel, or a fragment of it.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    /// The endpoint that sent it: with IPv6, not always the address in the header.
    pub(super) source: IpAddr,
    /// The endpoint that it is for; likewise.
    pub(super) destination: IpAddr,
    /// Which part it is, for a fragment.
    pub(super) fragment: Option<FragmentPart>,
    /// What the payload is: [`TCP`], or a protocol that may carry other packets.
    pub(super) protocol: u8,
    /// The payload, as long as the IP header says.
    pub(super) payload: Span<'a>,
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

/// Whether the payload of a packet of this protocol is of interest.
fn is_followed(protocol: u8, tunnels: &Tunnels) -> bool {
    protocol == TCP || tunnels.may_be(protocol)
}

/// Why a packet is longer than its frame: the frame of a tunnel was cut on its way, and every host
/// drops such a packet of TCP.
fn too_long(protocol: u8, tunnels: &Tunnels, reason: ParseError) -> ParseError {
    if tunnels.may_be(protocol) { ParseError::Truncated } else { reason }
}

/// The length of a packet that was captured where segmentation offload had yet to cut it: the rest
/// of the frame. Every receiver drops a packet with a length of 0, so one that needed no cutting
/// was not sent like this.
const fn length_before_cutting(bytes: &Span<'_>) -> Result<usize, ParseError> {
    if bytes.length > UNCUT_MAX && !bytes.may_be_cut {
        Ok(bytes.length)
    } else {
        Err(ParseError::LengthZero)
    }
}
