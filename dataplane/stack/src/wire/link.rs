//! The link layers: Ethernet with any stack of 802.1Q and 802.1ad tags, in the form of Ethernet II
//! or of 802.3 with LLC; cooked captures of Linux, raw IP, loopback, and what else captures have.

use super::{ParseError, ether_type, nflog, serial, span::Span, tunnel::Next, wireless};
use crate::{Frame, Link, flow::Vlans};

/// Most tags in a row: more than any network uses, and few enough to bound the work.
const TAGS_MAX: usize = 8;

/// What a cooked capture of Linux says in the place of an `EtherType` where LLC follows.
const COOKED_LLC: u16 = 4;

/// What a link layer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    Ipv4,
    Ipv6,
    Mpls,
    Pppoe,
    Nsh,
}

/// What the link layer says.
#[derive(Debug)]
pub(super) struct LinkHeader<'a> {
    pub(super) vlans: Vlans,
    pub(super) network: Network,
    pub(super) payload: Span<'a>,
}

/// Follows the link layer of a frame.
pub(super) fn parse<'a>(frame: &Frame<'a>) -> Result<LinkHeader<'a>, ParseError> {
    let captured = frame.bytes;
    let on_wire = usize::try_from(frame.wire_length).unwrap_or(usize::MAX).max(captured.len());
    let mut bytes = Span::new(captured, on_wire);
    // What the header of PPI says is a link, but not this one again.
    let link = if frame.link == Link::Ppi { open_ppi(&mut bytes)? } else { frame.link };
    let next = open(link, &mut bytes)?;
    follow(next, bytes)
}

/// Takes the header of a link up to what says what it carries.
fn open(link: Link, bytes: &mut Span<'_>) -> Result<Next, ParseError> {
    Ok(match link {
        Link::Ethernet => Next::Ethernet,
        // Packet type, address type, address length and address, then the protocol.
        Link::LinuxSll => {
            bytes.take::<14>()?;
            cooked(u16::from_be_bytes(*bytes.take()?))
        }
        // The protocol, then 18 bytes of interface and addresses.
        Link::LinuxSll2 => {
            let protocol = u16::from_be_bytes(*bytes.take()?);
            bytes.take::<18>()?;
            cooked(protocol)
        }
        Link::RawIp => Next::Ip,
        // The numbers of the families differ between systems; the IP header has the version, too.
        Link::Loopback => {
            bytes.take::<4>()?;
            Next::Ip
        }
        Link::Hdlc => serial::open_hdlc(bytes)?,
        Link::PppOverEthernet => Next::Type(ether_type::PPPOE_SESSION),
        Link::FrameRelay => serial::open_frame_relay(bytes)?,
        Link::Fddi => open_fddi(bytes)?,
        Link::Llc => Next::Llc,
        Link::Wireless => wireless::open(bytes, wireless::Padding::None)?,
        Link::Radiotap => {
            let padding = wireless::open_radiotap(bytes)?;
            wireless::open(bytes, padding)?
        }
        Link::Nflog => nflog::open(bytes)?,
        // The address of the receiver, then the `EtherType` and two bytes of nothing.
        Link::Infiniband => {
            bytes.take::<40>()?;
            let [t0, t1, _, _] = *bytes.take()?;
            Next::Type(u16::from_be_bytes([t0, t1]))
        }
        Link::Ppi | Link::Unread => return Err(ParseError::NotIp),
    })
}

/// Takes a header of PPI, and returns the link that follows. Its fields are of no interest.
fn open_ppi(bytes: &mut Span<'_>) -> Result<Link, ParseError> {
    let [version, _, l0, l1, n0, n1, n2, n3] = *bytes.take()?;
    if version != 0 {
        return Err(ParseError::NotIp);
    }
    let fields = usize::from(u16::from_le_bytes([l0, l1])).checked_sub(8);
    bytes.skip(fields.ok_or(ParseError::Malformed)?)?;
    Link::of_number(u32::from_le_bytes([n0, n1, n2, n3])).ok_or(ParseError::NotIp)
}

/// Takes the header of FDDI: frame control and addresses. Frames of data have LLC behind it.
fn open_fddi(bytes: &mut Span<'_>) -> Result<Next, ParseError> {
    const KIND: u8 = 0x70;
    const DATA: u8 = 0x50;
    let [control, ..] = *bytes.take::<13>()?;
    if control & KIND == DATA { Ok(Next::Llc) } else { Err(ParseError::NotIp) }
}

/// What follows the header of a cooked capture with this protocol.
const fn cooked(protocol: u16) -> Next {
    match protocol {
        COOKED_LLC => Next::Llc,
        ether_type => Next::Type(ether_type),
    }
}

/// Follows what bytes begin with to IP, or to a tunnel.
pub(super) fn follow(next: Next, mut bytes: Span<'_>) -> Result<LinkHeader<'_>, ParseError> {
    match next {
        Next::Ethernet | Next::Type(ether_type::ETHERNET) => {
            bytes.take::<12>()?;
            let ether_type = u16::from_be_bytes(*bytes.take()?);
            follow_tags(ether_type, bytes)
        }
        Next::Type(ether_type) => follow_tags(ether_type, bytes),
        Next::Llc => {
            let ether_type = open_llc(&mut bytes)?;
            follow_tags(ether_type, bytes)
        }
        Next::Ip => {
            let network = match bytes.captured.first().ok_or(ParseError::Truncated)? >> 4 {
                4 => Network::Ipv4,
                6 => Network::Ipv6,
                _ => return Err(ParseError::NotIp),
            };
            Ok(LinkHeader { vlans: Vlans::NONE, network, payload: bytes })
        }
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
        Link::Loopback => true,
        Link::RawIp
        | Link::Hdlc
        | Link::PppOverEthernet
        | Link::FrameRelay
        | Link::Fddi
        | Link::Llc
        | Link::Wireless
        | Link::Radiotap
        | Link::Ppi
        | Link::Nflog
        | Link::Infiniband
        | Link::Unread => false,
    }
}

/// Follows the tags.
fn follow_tags(mut ether_type: u16, mut bytes: Span<'_>) -> Result<LinkHeader<'_>, ParseError> {
    let mut vlans = Vlans::NONE;
    for _ in 0..=TAGS_MAX {
        if let Some(network) = network(ether_type) {
            return Ok(LinkHeader { vlans, network, payload: bytes });
        }
        ether_type = if ether_type < ether_type::MIN {
            bytes = bytes.cut(usize::from(ether_type)).map_err(|_beyond| ParseError::NotIp)?;
            open_llc(&mut bytes)?
        } else if ether_type::TAGS.contains(&ether_type) {
            let [c0, c1, t0, t1] = *bytes.take::<4>()?;
            vlans = vlans.within(u16::from_be_bytes([c0, c1]));
            u16::from_be_bytes([t0, t1])
        } else {
            return Err(ParseError::NotIp);
        }
    }
    Err(ParseError::Malformed)
}

/// Takes a header of LLC (IEEE 802.2), and that of SNAP behind it (RFC 1042, and the tunnel of
/// bridges, IEEE 802.1H). Returns the `EtherType` of what follows.
fn open_llc(bytes: &mut Span<'_>) -> Result<u16, ParseError> {
    const UNNUMBERED: u8 = 0x03;
    const SNAP: [u8; 2] = [0xaa; 2];
    const IP: [u8; 2] = [0x06; 2];
    const SHORTEST: usize = 3;
    if bytes.length < SHORTEST {
        return Err(ParseError::NotIp);
    }
    let [destination, source, control] = *bytes.take()?;
    match ([destination, source], control) {
        (IP, UNNUMBERED) => Ok(ether_type::IPV4),
        (SNAP, UNNUMBERED) => match *bytes.take()? {
            [0, 0, 0 | 0xf8, t0, t1] => Ok(u16::from_be_bytes([t0, t1])),
            _ => Err(ParseError::NotIp),
        },
        _ => Err(ParseError::NotIp),
    }
}

const fn network(ether_type: u16) -> Option<Network> {
    match ether_type {
        ether_type::IPV4 => Some(Network::Ipv4),
        ether_type::IPV6 => Some(Network::Ipv6),
        ether_type::MPLS | ether_type::MPLS_UPSTREAM => Some(Network::Mpls),
        ether_type::PPPOE_SESSION => Some(Network::Pppoe),
        ether_type::NSH => Some(Network::Nsh),
        _ => None,
    }
}
