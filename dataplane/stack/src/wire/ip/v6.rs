//! The header of IPv6 and the extension headers behind it, RFC 8200 sections 3 and 4.
//!
//! With a routing header or a home address, the endpoints of the connection, which the checksum of
//! TCP covers (RFC 8200 section 8.1), are not those in the header.

use core::net::{IpAddr, Ipv6Addr};

use super::{
    super::{ParseError, span::Span, tunnel::Tunnels},
    FragmentPart, HeaderChecksum, Packet, TCP, is_followed, length_before_cutting, too_long,
    v6_options::{self, Place},
};

mod next_header {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const NONE: u8 = 59;
    pub(super) const DESTINATION: u8 = 60;
}

mod routing_type {
    /// RFC 6275: to a mobile host.
    pub(super) const MOBILE: u8 = 2;
    /// RFC 6554: within a network of small devices. Hosts discard it.
    pub(super) const LOW_POWER: u8 = 3;
    /// RFC 8754: segment routing.
    pub(super) const SEGMENTS: u8 = 4;
}

/// Bytes of the header that are always there.
const HEADER: usize = 40;

/// Bytes of the smallest TCP header.
const TCP_HEADER_MIN: usize = 20;

/// Parses a packet.
pub(in super::super) fn parse<'a>(
    bytes: Span<'a>,
    tunnels: &Tunnels,
) -> Result<Packet<'a>, ParseError> {
    let mut behind = bytes;
    let header = behind.take::<HEADER>()?;
    let ([version, class, _, _, l0, l1, next, _], addresses) =
        header.split_first_chunk::<8>().ok_or(ParseError::Truncated)?;
    let (source, destination) = addresses.split_first_chunk::<16>().ok_or(ParseError::Truncated)?;
    let destination = destination.first_chunk::<16>().ok_or(ParseError::Truncated)?;
    if version >> 4 != 6 {
        return Err(ParseError::Malformed);
    }
    let payload_length = u16::from_be_bytes([*l0, *l1]);
    let (length, checksums) = match payload_length {
        0 => (length_before_cutting(&bytes)?.saturating_sub(HEADER), HeaderChecksum::Offloaded),
        length => (usize::from(length), HeaderChecksum::Valid),
    };
    let bytes = behind.cut(length).map_err(|reason| too_long(*next, tunnels, reason))?;
    let mut chain = Chain {
        next: *next,
        bytes,
        source: IpAddr::from(*source),
        destination: IpAddr::from(*destination),
        home: None,
        has_fragment: false,
    };
    if *next == next_header::HOP_BY_HOP {
        chain.take_hop_by_hop(payload_length)?;
    }
    let mut fragment = chain.follow(tunnels)?;
    if let Some(part) = &mut fragment {
        if payload_length == 0 {
            return Err(ParseError::LengthZero);
        }
        part.congestion = class >> 4 & 3;
        // What lies between the header and the Fragment header.
        let headers =
            usize::from(payload_length).saturating_sub(chain.bytes.length).saturating_sub(8);
        part.headers = u32::try_from(headers).unwrap_or_default();
        let Span { captured, length, .. } = chain.bytes;
        let is_whole = captured.len() == length;
        if part.offset == 0 && is_whole && ends_within_headers(chain.next, captured) {
            return Err(ParseError::FragmentHeaders);
        }
    }
    let source = chain.endpoint();
    let Chain { destination, next: protocol, bytes: payload, .. } = chain;
    Ok(Packet { source, destination, fragment, protocol, payload, checksums })
}

/// A packet that was put together from its fragments.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Whole<'a> {
    pub(in super::super) source: IpAddr,
    pub(in super::super) destination: IpAddr,
    pub(in super::super) protocol: u8,
    pub(in super::super) payload: Span<'a>,
}

impl<'a> Whole<'a> {
    /// Follows the extension headers that lie within the fragments; `next` is the first. IPv4 has
    /// none.
    pub(in super::super) fn new(
        (source, destination): (IpAddr, IpAddr),
        next: u8,
        payload: &'a [u8],
        tunnels: &Tunnels,
    ) -> Result<Self, ParseError> {
        let bytes = Span::new(payload, payload.len());
        let mut chain = Chain { next, bytes, source, destination, home: None, has_fragment: true };
        chain.follow(tunnels)?;
        Ok(Self {
            source: chain.endpoint(),
            destination: chain.destination,
            protocol: chain.next,
            payload: chain.bytes,
        })
    }
}

/// A place in the chain of extension headers, and what those before it have said.
#[derive(Debug)]
struct Chain<'a> {
    /// What `bytes` begin with.
    next: u8,
    /// What follows, as long as the header says.
    bytes: Span<'a>,
    source: IpAddr,
    destination: IpAddr,
    /// The address of the source at home.
    home: Option<IpAddr>,
    /// Whether a Fragment header lies behind: there is one at the most.
    has_fragment: bool,
}

impl<'a> Chain<'a> {
    /// The endpoint that sent the packet.
    fn endpoint(&self) -> IpAddr {
        self.home.unwrap_or(self.source)
    }

    /// Moves behind a header, and returns it.
    fn take(&mut self) -> Result<&'a [u8], ParseError> {
        let &[next, units, ..] =
            self.bytes.captured.first_chunk::<8>().ok_or_else(|| self.too_short(8))?;
        let size = match self.next {
            next_header::FRAGMENT => 8,
            _ => usize::from(units).saturating_add(1).saturating_mul(8),
        };
        let too_short = self.too_short(size);
        let header = self.bytes.captured.get(..size).ok_or(too_short)?;
        self.bytes.skip(size)?;
        self.next = next;
        Ok(header)
    }

    /// Why `size` bytes are not there: the packet ends before, or the capture does.
    const fn too_short(&self, size: usize) -> ParseError {
        if self.bytes.length < size { ParseError::Malformed } else { ParseError::Truncated }
    }

    /// Takes the Hop-by-Hop Options, which are only ever the first header. The length of a larger
    /// packet than the header can say is among them.
    fn take_hop_by_hop(&mut self, payload_length: u16) -> Result<(), ParseError> {
        let all = self.bytes.length;
        let options = v6_options::read(Place::HopByHop, self.take()?)?;
        let Some(jumbo) = options.jumbo else { return Ok(()) };
        if payload_length != 0 {
            return Err(ParseError::IpOptions);
        }
        let jumbo = usize::try_from(jumbo).unwrap_or(usize::MAX);
        let beyond = all.checked_sub(jumbo).ok_or(ParseError::Malformed)?;
        self.bytes = self.bytes.cut(self.bytes.length.saturating_sub(beyond))?;
        Ok(())
    }

    /// Follows the headers to TCP or a tunnel, or to a fragment of a packet.
    ///
    /// Every header takes 8 bytes of the packet at least, so the packet bounds the work.
    fn follow(&mut self, tunnels: &Tunnels) -> Result<Option<FragmentPart>, ParseError> {
        loop {
            match self.next {
                next if is_followed(next, tunnels) => return Ok(None),
                next_header::DESTINATION => self.take_destination_options()?,
                next_header::ROUTING => self.take_routing()?,
                next_header::FRAGMENT if !self.has_fragment => match self.take_fragment()? {
                    None => self.has_fragment = true,
                    part => return Ok(part),
                },
                next_header::FRAGMENT | next_header::HOP_BY_HOP => {
                    return Err(ParseError::ExtensionHeaders);
                }
                // What the receiver makes of IPsec depends on keys that are not ours.
                _ => return Err(ParseError::NotTcp),
            }
        }
    }

    /// Takes Destination Options. A home address there is that of the sender, RFC 6275 section 6.3.
    fn take_destination_options(&mut self) -> Result<(), ParseError> {
        let options = v6_options::read(Place::Destination, self.take()?)?;
        let Some(home) = options.home else { return Ok(()) };
        match self.home.replace(home) {
            None => Ok(()),
            Some(_) => Err(ParseError::IpOptions),
        }
    }

    /// Takes a routing header.
    fn take_routing(&mut self) -> Result<(), ParseError> {
        let header = self.take()?;
        if self.destination.is_multicast() {
            return Err(ParseError::ExtensionHeaders);
        }
        if let Some(last) = last_stop(header)? {
            self.destination = IpAddr::from(last);
        }
        Ok(())
    }

    /// Takes a Fragment header. An atomic fragment, RFC 6946, is a whole packet.
    fn take_fragment(&mut self) -> Result<Option<FragmentPart>, ParseError> {
        let header = self.take()?.first_chunk::<8>().ok_or(ParseError::Truncated)?;
        let [_, _, o0, o1, i0, i1, i2, i3] = *header;
        let flags = u16::from_be_bytes([o0, o1]);
        let part = FragmentPart {
            identification: u32::from_be_bytes([i0, i1, i2, i3]),
            offset: flags & 0xfff8,
            is_last: flags & 1 == 0,
            next: self.next,
            headers: 0,
            congestion: 0,
        };
        Ok((flags & 0xfff9 != 0).then_some(part))
    }
}

/// Where a routing header leads in the end; `None` where the packet has got there.
///
/// # Errors
///
/// The receiver discards the packet: no host follows this type, or segments are left that cannot
/// be.
fn last_stop(header: &[u8]) -> Result<Option<Ipv6Addr>, ParseError> {
    let (&[_, units, kind, left, last_entry, ..], stops) =
        header.split_first_chunk::<8>().ok_or(ParseError::Truncated)?;
    let is_right = match (kind, left) {
        (routing_type::LOW_POWER, _) => false,
        (_, 0) => return Ok(None),
        (routing_type::MOBILE, 1) => units == 2,
        (routing_type::SEGMENTS, _) => {
            last_entry < units / 2 && left <= last_entry.saturating_add(1)
        }
        _ => false,
    };
    // The list of segments begins with the last one; a mobile host has one address at home.
    let last = stops.first_chunk::<16>().filter(|_| is_right);
    Ok(Some(Ipv6Addr::from(*last.ok_or(ParseError::ExtensionHeaders)?)))
}

/// Whether a first fragment ends before the end of the TCP header: its receiver discards it (RFC
/// 7112 section 5, RFC 8200 section 4.5). One that ends before an extension header begins is taken,
/// as Linux takes it.
fn ends_within_headers(mut next: u8, mut payload: &[u8]) -> bool {
    use next_header::{AUTHENTICATION, DESTINATION, FRAGMENT, HOP_BY_HOP, NONE, ROUTING};
    loop {
        let (after, size) = match (next, payload) {
            (TCP, _) => return payload.len() < TCP_HEADER_MIN,
            (AUTHENTICATION, &[after, units, ..]) => {
                (after, usize::from(units).saturating_add(2).saturating_mul(4))
            }
            (HOP_BY_HOP | ROUTING | DESTINATION, &[after, units, ..]) => {
                (after, usize::from(units).saturating_add(1).saturating_mul(8))
            }
            (FRAGMENT, &[after, _, 0, 0..8, ..]) => (after, 8),
            (AUTHENTICATION | HOP_BY_HOP | ROUTING | DESTINATION | FRAGMENT | NONE, _) => {
                return false;
            }
            _ => return payload.is_empty(),
        };
        (next, payload) = (after, payload.get(size..).unwrap_or_default());
    }
}
