//! Parsing of untrusted bytes.
//!
//! `parse_frame` checks every length once; no use of what it returns can fail. A length in a header
//! is used only within the captured bytes. The variants of [`ParseError`] are the drop reasons that
//! are counted.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod checksum;
mod common;
mod error;
mod ether_type;
mod ip;
mod link;
mod nflog;
mod options;
mod serial;
mod span;
mod tcp;
mod tunnel;
mod unread;
mod wireless;

use core::net::{IpAddr, SocketAddr};

pub(crate) use common::parse as parse_common;
pub use error::ParseError;
pub(crate) use ip::FragmentPart;
pub(crate) use link::is_on_loopback;
pub(crate) use options::{Options, Signature, WindowScale};
pub(crate) use tcp::Flags;
pub use tunnel::{TUNNEL_PORTS_MAX, TunnelKind, TunnelKinds, TunnelPorts, Tunnels};
pub(crate) use unread::Majority;
pub use unread::Unread;

use crate::{
    Checksums, FlowTuple, Frame, SeqNum,
    flow::{End, FlowKey, Vlans},
};

/// One TCP segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    /// The flow it belongs to. The parser leaves the VLANs out; see [`Self::vlans`].
    pub(crate) key: FlowKey,
    /// Which end of the key sent it.
    pub(crate) from: End,
    /// Its VLAN ids.
    pub(crate) vlans: Vlans,
    /// Sequence number.
    pub(crate) seq: SeqNum,
    /// Acknowledgement number; means nothing unless the ACK flag is set.
    pub(crate) ack: SeqNum,
    /// Control bits.
    pub(crate) flags: Flags,
    /// The window field, unscaled.
    pub(crate) window: u16,
    /// The options of its header.
    pub(crate) options: &'a [u8],
    /// Captured payload.
    pub(crate) payload: &'a [u8],
    /// Length of the payload when it was sent; more than was captured where a capture cuts
    /// frames short.
    pub(crate) payload_length: u32,
}

impl Segment<'_> {
    /// Whether it is an ACK, with or without payload, whose payload was captured in full.
    #[inline]
    pub(crate) const fn is_plain(&self) -> bool {
        self.flags.is_plain_ack() && self.payload.len() as u64 == self.payload_length as u64
    }

    /// The segment without the first bytes of its payload.
    pub(crate) fn behind(&self, skipped: u32) -> Self {
        let captured = usize::try_from(skipped).unwrap_or(usize::MAX);
        Self {
            seq: self.seq.plus(skipped),
            payload: self.payload.get(captured..).unwrap_or_default(),
            payload_length: self.payload_length.saturating_sub(skipped),
            ..*self
        }
    }

    /// The end that is the client where a flow begins with the segment: a SYN/ACK comes from the
    /// server, and whoever sends anything else is taken for the client.
    pub(crate) const fn client(&self) -> End {
        let is_answer = self.flags.is_syn() && self.flags.is_ack();
        if is_answer { self.from.other() } else { self.from }
    }

    /// The addresses and ports, with the sender as the client.
    pub(crate) fn tuple(&self) -> FlowTuple {
        let client = self.key.endpoint(self.from);
        let server = self.key.endpoint(self.from.other());
        FlowTuple { client, server, vlan: self.vlans.outer() }
    }
}

/// Whether checksums are verified where the port has not done it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    Software,
    Never,
}

/// What a frame holds for the stack.
#[derive(Debug)]
pub(crate) enum Parsed<'a> {
    /// A TCP segment.
    Segment(Segment<'a>),
    /// A fragment of an IP packet, which may hold a part of one.
    Fragment(Fragment<'a>),
}

/// A fragment of an IP packet.
#[derive(Debug)]
pub(crate) struct Fragment<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) part: FragmentPart,
    pub(crate) vlans: Vlans,
    pub(crate) payload: &'a [u8],
    /// How many tunnels it was found in.
    depth: u8,
}

/// Parses a frame down to its TCP segment, or to a fragment, through the usual tunnels around it.
///
/// # Errors
///
/// The reason why the frame holds nothing to monitor.
pub(crate) fn parse_frame<'a>(frame: &Frame<'a>, verify: Verify) -> Result<Parsed<'a>, ParseError> {
    match parse_common(frame, verify) {
        Some(segment) => Ok(Parsed::Segment(segment)),
        None => parse_any(frame, verify, &Tunnels::default()),
    }
}

/// The general parser: takes every frame, and says why one cannot be monitored.
///
/// # Errors
///
/// The reason why the frame holds nothing to monitor.
#[inline(never)]
pub(crate) fn parse_any<'a>(
    frame: &Frame<'a>,
    verify: Verify,
    tunnels: &Tunnels,
) -> Result<Parsed<'a>, ParseError> {
    let link = link::parse(frame)?;
    Descent { depth: 0, vlans: link.vlans, checksums: frame.checksums, verify, tunnels }.parse(link)
}

/// Parses the payload of a reassembled packet; `last` is the fragment that completed it, and `next`
/// what the first one says that the payload begins with.
///
/// # Errors
///
/// The reason why it holds nothing to monitor.
pub(crate) fn parse_assembled<'a>(
    last: &Fragment<'_>,
    next: u8,
    payload: &'a [u8],
    verify: Verify,
    tunnels: &Tunnels,
) -> Result<Parsed<'a>, ParseError> {
    let Fragment { source, destination, vlans, depth, .. } = *last;
    let ip::Whole { source, destination, protocol, payload } =
        ip::Whole::new((source, destination), next, payload, tunnels)?;
    let checksums = ip::HeaderChecksum::Valid;
    let packet = ip::Packet { source, destination, fragment: None, protocol, payload, checksums };
    // What the port knows of the last fragment's checksums says nothing of the whole.
    let mut descent = Descent { depth, vlans, checksums: Checksums::Unknown, verify, tunnels };
    match descent.segment_or_inside(&packet)? {
        Found::Parsed(parsed) => Ok(parsed),
        Found::Inside(inside) => {
            let link = descent.enter(inside)?;
            descent.parse(link)
        }
    }
}

/// The way down through the tunnels of a frame.
#[derive(Debug, Clone, Copy)]
struct Descent<'t> {
    /// How many tunnels lie behind.
    depth: u8,
    /// The VLAN ids of the innermost layer that has any.
    vlans: Vlans,
    /// What the port knows of the checksums: of the outermost packet.
    checksums: Checksums,
    verify: Verify,
    /// Which are opened.
    tunnels: &'t Tunnels,
}

/// What a packet holds.
enum Found<'a> {
    Parsed(Parsed<'a>),
    Inside(tunnel::Inside<'a>),
}

impl Descent<'_> {
    /// Follows what a link layer carries. Each turn enters a tunnel.
    fn parse<'a>(mut self, mut link: link::LinkHeader<'a>) -> Result<Parsed<'a>, ParseError> {
        loop {
            let (opens, tunnels) = (|kind| self.tunnels.opens(kind), self.tunnels);
            let found = match link.network {
                link::Network::Ipv4 => {
                    self.segment_or_inside(&ip::parse_v4(link.payload, tunnels)?)?
                }
                link::Network::Ipv6 => {
                    self.segment_or_inside(&ip::parse_v6(link.payload, tunnels)?)?
                }
                link::Network::Mpls if opens(TunnelKind::Mpls) => {
                    Found::Inside(tunnel::open_mpls(link.payload)?)
                }
                link::Network::Pppoe if opens(TunnelKind::Pppoe) => {
                    Found::Inside(tunnel::open_pppoe(link.payload)?)
                }
                link::Network::Nsh if opens(TunnelKind::Nsh) => {
                    Found::Inside(tunnel::open_nsh(link.payload)?)
                }
                link::Network::Mpls | link::Network::Pppoe | link::Network::Nsh => {
                    return Err(ParseError::NotIp);
                }
            };
            link = match found {
                Found::Parsed(parsed) => return Ok(parsed),
                Found::Inside(inside) => self.enter(inside)?,
            };
        }
    }

    /// Goes into a tunnel, and follows the link layer there.
    fn enter<'a>(
        &mut self,
        inside: tunnel::Inside<'a>,
    ) -> Result<link::LinkHeader<'a>, ParseError> {
        if self.depth >= self.tunnels.depth_max {
            return Err(ParseError::TooDeep);
        }
        let link = link::follow(inside.next, inside.bytes)?;
        let vlans = link.vlans.or(inside.vlans).or(self.vlans);
        *self = Self {
            depth: self.depth.saturating_add(1),
            vlans,
            checksums: Checksums::Unknown,
            ..*self
        };
        Ok(link)
    }

    /// The segment or the fragment in a packet, or what the tunnel carries that it is.
    fn segment_or_inside<'a>(self, packet: &ip::Packet<'a>) -> Result<Found<'a>, ParseError> {
        let Self { depth, vlans, checksums: known, verify, tunnels } = self;
        let ip::Packet { source, destination, protocol, payload, checksums, .. } = *packet;
        let is_header_wrong =
            verify == Verify::Software && checksums == ip::HeaderChecksum::Invalid;
        if let Some(part) = packet.fragment {
            if is_header_wrong {
                return Err(ParseError::Checksum);
            }
            if payload.captured.len() < payload.length {
                return Err(ParseError::Truncated);
            }
            let payload = payload.captured;
            let fragment = Fragment { source, destination, part, vlans, payload, depth };
            return Ok(Found::Parsed(Parsed::Fragment(fragment)));
        }
        if protocol != ip::TCP {
            let inside = tunnel::open(protocol, payload, tunnels)?;
            if is_header_wrong && known != Checksums::Good {
                return Err(ParseError::Checksum);
            }
            return Ok(Found::Inside(inside));
        }
        let segment = parse_segment(source, destination, payload.captured, payload.length)?;
        if verify == Verify::Software && !has_valid_checksums(known, packet) {
            return Err(ParseError::Checksum);
        }
        Ok(Found::Parsed(Parsed::Segment(Segment { vlans, ..segment })))
    }
}

fn parse_segment(
    source: IpAddr,
    destination: IpAddr,
    payload: &[u8],
    length: usize,
) -> Result<Segment<'_>, ParseError> {
    let header = tcp::parse(payload, length)?;
    let (key, from) = FlowKey::new(
        SocketAddr::new(source, header.source_port),
        SocketAddr::new(destination, header.destination_port),
    );
    Ok(Segment {
        key,
        from,
        vlans: Vlans::NONE,
        seq: header.seq,
        ack: header.ack,
        flags: header.flags,
        window: header.window,
        options: header.options,
        payload: header.payload,
        payload_length: u32::try_from(header.payload_length).unwrap_or(u32::MAX),
    })
}

/// Whether the checksums are valid. Those of a segment that the capture has cut, or that was
/// captured before the sender's hardware computed them, count as valid.
fn has_valid_checksums(known: Checksums, packet: &ip::Packet<'_>) -> bool {
    match (known, packet.checksums) {
        (Checksums::Good, _) | (Checksums::Unknown, ip::HeaderChecksum::Offloaded) => true,
        (Checksums::Bad, _) | (Checksums::Unknown, ip::HeaderChecksum::Invalid) => false,
        (Checksums::Unknown, ip::HeaderChecksum::Valid) => {
            let ip::Packet { source, destination, payload, .. } = *packet;
            payload.captured.len() < payload.length
                || has_valid_tcp_checksum(source, destination, payload.captured)
        }
    }
}

fn has_valid_tcp_checksum(source: IpAddr, destination: IpAddr, segment: &[u8]) -> bool {
    checksum::Sum::default()
        .add_pseudo_header(source, destination, segment.len())
        .add(segment)
        .is_valid()
}

/// A symmetric hash of a frame's addresses and ports: both directions of a flow get the same
/// value. Fragments, which need not hold the ports, are hashed by their addresses alone, so that
/// those of one packet get the same value. Frames of neither kind get 0.
///
/// Spreads the frames of one queue over several workers.
#[must_use]
pub fn spread_hash(frame: &Frame<'_>) -> u32 {
    spread_key(frame).map_or(0, |key| key.spread())
}

/// [`spread_hash`] of a frame's addresses alone: fragments get the value of the rest of their flow.
/// All flows between two hosts get one value, so the spread is coarser.
#[must_use]
pub fn spread_hash_of_hosts(frame: &Frame<'_>) -> u32 {
    spread_key(frame).map_or(0, |key| key.hosts().spread())
}

/// The key that is hashed; that of a fragment has no ports.
fn spread_key(frame: &Frame<'_>) -> Option<FlowKey> {
    match parse_frame(frame, Verify::Never).ok()? {
        Parsed::Segment(segment) => Some(segment.key),
        Parsed::Fragment(Fragment { source, destination, .. }) => {
            Some(FlowKey::new(SocketAddr::new(source, 0), SocketAddr::new(destination, 0)).0)
        }
    }
}

#[cfg(test)]
mod tests;
