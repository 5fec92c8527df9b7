//! Changes: what makes a segment strange, one field at a time.

use std::net::IpAddr;

use super::{extension, fragments};
use crate::ends::peer::Peer;
use crate::ends::setup::Version;
use crate::wire::packet::{Checksum, LengthField, Packet, flags};

/// A place in the sequence numbers of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The next number.
    Next,
    /// The initial number.
    Iss,
    /// The right edge of the window; of an acknowledgement, the last one sent.
    Edge,
    /// Zero.
    Zero,
}

/// What the timestamps option says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// `TSval`: the distance from the right one.
    Value(i32),
    /// `TSval` 0.
    ValueZero,
    /// `TSecr`: the distance from the right one.
    Echo(i32),
    /// `TSecr` 0.
    EchoZero,
    /// The option is missing where it was agreed on; it is there where it was not.
    Contrary,
    /// Two options, the first one old.
    FirstOld,
    /// Two options, the second one old.
    SecondOld,
    /// An old one, not aligned.
    UnalignedOld,
    /// An old one behind the end of the options.
    BehindEndOld,
    /// An old one of length 8.
    ShortOld,
    /// An old one of length 12.
    LongOld,
}

/// How the IP length differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// It is 0.
    Zero,
    /// Another one: the distance from the right one, in bytes.
    By(i16),
    /// The header alone.
    HeaderOnly,
}

/// Who seems to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A multicast group.
    Multicast,
    /// Broadcast; in IPv6 a mapped address.
    Broadcast,
    /// Loopback.
    Loopback,
    /// The unspecified address.
    Unspecified,
    /// The receiver itself.
    Receiver,
}

/// One change of a segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// The sequence number: a place, and a distance from it.
    Seq(Place, i32),
    /// The acknowledgement number.
    Ack(Place, i32),
    /// These flags in place of its own.
    Flags(u16),
    /// These flags besides its own.
    Besides(u16),
    /// Its own without ACK.
    NoAck,
    /// Timestamps.
    Stamp(Stamp),
    /// One more option, by its bytes.
    Option(&'static [u8]),
    /// The checksum.
    Checksum(Checksum),
    /// The data offset, in words.
    Words(u8),
    /// URG with this pointer.
    Urgent(u16),
    /// The window field.
    Window(u16),
    /// The length of the IP packet.
    IpLength(Length),
    /// The version of IP.
    IpVersion(u8),
    /// Time to live.
    Ttl(u8),
    /// The source address.
    Source(Source),
    /// IHL, in words.
    Ihl(u8),
    /// The header's checksum of IPv4.
    IpChecksum(Checksum),
    /// Bits of the field with the fragment offset of IPv4.
    IpBits(u16),
    /// Options of IPv4.
    IpOption(&'static [u8]),
    /// Extension headers of IPv6, by the number in the table.
    Extension(usize),
    /// Fragments, by the number in the table.
    Fragments(usize),
}

impl Change {
    /// Whether it can be made to packets of a version of IP.
    #[must_use]
    pub fn suits(self, version: Version) -> bool {
        match self {
            Self::Ihl(_) | Self::IpChecksum(_) | Self::IpBits(_) | Self::IpOption(_) => {
                version == Version::V4
            }
            Self::Extension(_) => version == Version::V6,
            Self::Seq(..)
            | Self::Ack(..)
            | Self::Flags(_)
            | Self::Besides(_)
            | Self::NoAck
            | Self::Stamp(_)
            | Self::Option(_)
            | Self::Checksum(_)
            | Self::Words(_)
            | Self::Urgent(_)
            | Self::Window(_)
            | Self::IpLength(_)
            | Self::IpVersion(_)
            | Self::Ttl(_)
            | Self::Source(_)
            | Self::Fragments(_) => true,
        }
    }

    /// The group of the table of strategies that it belongs to.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Seq(..) => "sequence",
            Self::Ack(..) => "acknowledgement",
            Self::Flags(_) | Self::Besides(_) | Self::NoAck => "flags",
            Self::Stamp(_) => "timestamps",
            Self::Option(_) => "options",
            Self::Checksum(_) | Self::Words(_) | Self::Urgent(_) | Self::Window(_) => "header",
            Self::IpLength(_) | Self::IpVersion(_) | Self::Ttl(_) | Self::Source(_) => "ip",
            Self::Ihl(_) | Self::IpChecksum(_) | Self::IpBits(_) | Self::IpOption(_) => "ipv4",
            Self::Extension(_) => "ipv6",
            Self::Fragments(_) => "fragments",
        }
    }

    /// Makes the change.
    pub fn apply(self, packet: &mut Packet, peer: &Peer) {
        match self {
            Self::Seq(place, by) => {
                let from = match place {
                    Place::Next => packet.seq,
                    Place::Iss => peer.iss,
                    Place::Edge => peer.edge,
                    Place::Zero => 0,
                };
                packet.seq = from.wrapping_add_signed(by);
            }
            Self::Ack(place, by) => {
                let from = match place {
                    Place::Next => peer.kernel_next,
                    Place::Iss => peer.kernel_iss,
                    Place::Edge => peer.acked,
                    Place::Zero => 0,
                };
                packet.ack = from.wrapping_add_signed(by);
            }
            Self::Flags(flags) => packet.flags = flags,
            Self::Besides(flags) => packet.flags |= flags,
            Self::NoAck => packet.flags &= !flags::ACK,
            Self::Stamp(stamp) => change_stamp(packet, peer, stamp),
            Self::Option(bytes) => packet.behind.extend_from_slice(bytes),
            Self::Checksum(kind) => packet.checksum = kind,
            Self::Words(words) => packet.words = Some(words),
            Self::Urgent(pointer) => {
                packet.flags |= flags::URG;
                packet.urgent = pointer;
            }
            Self::Window(window) => packet.window = window,
            Self::IpLength(length) => change_length(packet, length),
            Self::IpVersion(version) => packet.ip.version = Some(version),
            Self::Ttl(ttl) => packet.ip.ttl = Some(ttl),
            Self::Source(source) => change_source(packet, source),
            Self::Ihl(words) => packet.ip.words = Some(words),
            Self::IpChecksum(kind) => packet.ip.checksum = kind,
            Self::IpBits(bits) => packet.ip.bits = bits,
            Self::IpOption(bytes) => packet.ip.options = bytes.to_vec(),
            Self::Extension(number) => packet.ip.extensions = extension::headers(number),
            Self::Fragments(number) => packet.ip.pieces = fragments::pieces(number),
        }
    }
}

/// A `TSval` that every receiver must find too old.
const OLD: i32 = -5000;

fn change_stamp(packet: &mut Packet, peer: &Peer, stamp: Stamp) {
    let (value, echo) = (peer.clock, peer.kernel_clock);
    let option = |kind: &[u8], length: u8| {
        let mut option = kind.to_vec();
        option.extend_from_slice(&[8, length]);
        option.extend_from_slice(&value.wrapping_add_signed(OLD).to_be_bytes());
        option.extend_from_slice(&echo.to_be_bytes());
        option
    };
    let stamps = match stamp {
        Stamp::Value(by) => Some((value.wrapping_add_signed(by), echo)),
        Stamp::ValueZero => Some((0, echo)),
        Stamp::Echo(by) => Some((value, echo.wrapping_add_signed(by))),
        Stamp::EchoZero => Some((value, 0)),
        Stamp::Contrary if packet.timestamps.is_some() => None,
        Stamp::Contrary => Some((value, echo)),
        Stamp::FirstOld => {
            packet.before.extend(option(&[1, 1], 10));
            Some((value, echo))
        }
        Stamp::SecondOld => {
            packet.behind.extend(option(&[1, 1], 10));
            Some((value, echo))
        }
        Stamp::UnalignedOld => {
            packet.before.extend(option(&[1], 10));
            None
        }
        Stamp::BehindEndOld => {
            packet.before.extend(option(&[0, 1], 10));
            None
        }
        Stamp::ShortOld => {
            packet.before.extend(option(&[], 8));
            None
        }
        Stamp::LongOld => {
            packet.before.extend(option(&[], 12));
            packet.before.extend_from_slice(&[1, 1]);
            None
        }
    };
    packet.timestamps = stamps;
}

fn change_length(packet: &mut Packet, length: Length) {
    match length {
        Length::Zero => packet.ip.length = LengthField::Zero,
        Length::By(by) => packet.ip.length = LengthField::By(by.into()),
        Length::HeaderOnly => {
            let whole = packet.build().first().map_or(0, Vec::len).cast_signed();
            let header = if packet.source.is_ipv4() { 20 } else { 40 };
            packet.ip.length = LengthField::By(header - whole);
        }
    }
}

fn change_source(packet: &mut Packet, source: Source) {
    let texts = match source {
        Source::Multicast => ["224.0.0.1", "ff02::1"],
        Source::Broadcast => ["255.255.255.255", "::ffff:10.16.0.1"],
        Source::Loopback => ["127.0.0.1", "::1"],
        Source::Unspecified => ["0.0.0.0", "::"],
        Source::Receiver => return packet.source.set_ip(packet.target.ip()),
    };
    let text = texts[usize::from(packet.source.is_ipv6())];
    if let Ok(address) = text.parse::<IpAddr>() {
        packet.source.set_ip(address);
    }
}
