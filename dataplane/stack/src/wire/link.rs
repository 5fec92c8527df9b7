//! The link layers: Ethernet II with any stack of 802.1Q and 802.1ad tags, Linux cooked captures,
//! raw IP and loopback.

use super::ParseError;
use crate::{Frame, Link};

/// Most tags of one frame: more than any network uses, and few enough to bound the work.
const TAGS_MAX: usize = 8;

mod ether_type {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    /// 802.1Q, 802.1ad and their common private forerunners.
    pub(super) const TAGS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
}

/// The version of an IP packet, as the link layer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    Ipv4,
    Ipv6,
}

/// What the link layer says.
#[derive(Debug)]
pub(super) struct LinkHeader<'a> {
    /// Outermost VLAN id.
    pub(super) vlan: Option<u16>,
    pub(super) network: Network,
    pub(super) payload: &'a [u8],
}

pub(super) fn parse(link: Link, frame: &[u8]) -> Result<LinkHeader<'_>, ParseError> {
    match link {
        Link::Ethernet => from_ether_type(skip(frame, 12)?),
        // Packet type, address type, address length and address, then the protocol.
        Link::LinuxSll => from_ether_type(skip(frame, 14)?),
        // The protocol, then 18 bytes of interface and addresses.
        Link::LinuxSll2 => {
            let (protocol, rest) = frame.split_first_chunk::<2>().ok_or(ParseError::Truncated)?;
            let network = network(u16::from_be_bytes(*protocol)).ok_or(ParseError::NotIp)?;
            Ok(LinkHeader { vlan: None, network, payload: skip(rest, 18)? })
        }
        Link::RawIp => from_version(frame),
        // The numbers of the families differ between systems; the IP header has the version, too.
        Link::Loopback => from_version(skip(frame, 4)?),
    }
}

/// Whether a frame was captured on a loopback interface. That of Linux has addresses of Ethernet
/// that are zero, and a type of its own in cooked captures.
pub(crate) fn is_on_loopback(frame: &Frame<'_>) -> bool {
    const ARPHRD_LOOPBACK: [u8; 2] = 772_u16.to_be_bytes();
    match frame.link {
        Link::Ethernet => frame.bytes.starts_with(&[0; 12]),
        Link::LinuxSll => frame.bytes.get(2..4) == Some(&ARPHRD_LOOPBACK),
        Link::LinuxSll2 => frame.bytes.get(8..10) == Some(&ARPHRD_LOOPBACK),
        Link::RawIp => false,
        Link::Loopback => true,
    }
}

fn skip(bytes: &[u8], count: usize) -> Result<&[u8], ParseError> {
    bytes.get(count..).ok_or(ParseError::Truncated)
}

const fn network(ether_type: u16) -> Option<Network> {
    match ether_type {
        ether_type::IPV4 => Some(Network::Ipv4),
        ether_type::IPV6 => Some(Network::Ipv6),
        _ => None,
    }
}

/// Follows the tags to IP.
fn from_ether_type(mut rest: &[u8]) -> Result<LinkHeader<'_>, ParseError> {
    let mut vlan = None;
    for _ in 0..=TAGS_MAX {
        let (ether_type, after) = rest.split_first_chunk::<2>().ok_or(ParseError::Truncated)?;
        let ether_type = u16::from_be_bytes(*ether_type);
        if let Some(network) = network(ether_type) {
            return Ok(LinkHeader { vlan, network, payload: after });
        }
        if !ether_type::TAGS.contains(&ether_type) {
            return Err(ParseError::NotIp);
        }
        let (control, after) = after.split_first_chunk::<2>().ok_or(ParseError::Truncated)?;
        vlan = vlan.or_else(|| Some(u16::from_be_bytes(*control) & 0x0fff));
        rest = after;
    }
    Err(ParseError::Malformed)
}

fn from_version(packet: &[u8]) -> Result<LinkHeader<'_>, ParseError> {
    let network = match packet.first().ok_or(ParseError::Truncated)? >> 4 {
        4 => Network::Ipv4,
        6 => Network::Ipv6,
        _ => return Err(ParseError::NotIp),
    };
    Ok(LinkHeader { vlan: None, network, payload: packet })
}
