//! IP packets with a TCP segment, in which every field can be wrong.

use std::net::{IpAddr, SocketAddr};

/// Bits of TCP flags.
pub mod flags {
    /// FIN.
    pub const FIN: u16 = 0x001;
    /// SYN.
    pub const SYN: u16 = 0x002;
    /// RST.
    pub const RST: u16 = 0x004;
    /// PSH.
    pub const PSH: u16 = 0x008;
    /// ACK.
    pub const ACK: u16 = 0x010;
    /// URG.
    pub const URG: u16 = 0x020;
}

const TCP: u8 = 6;
const FRAGMENT: u8 = 44;

/// What a length field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LengthField {
    /// The right length.
    #[default]
    Right,
    /// Another one: the distance from the right one, in bytes.
    By(isize),
    /// Zero.
    Zero,
}

/// What a checksum field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// The right checksum.
    #[default]
    Right,
    /// The right one with one bit flipped.
    Wrong,
    /// Zero.
    Zero,
}

/// The letters of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letters {
    /// Those of the packet.
    Same,
    /// Others.
    Other,
}

/// One fragment of a packet.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    /// First byte behind the IP header, in units of 8.
    pub from: usize,
    /// End, in units of 8; that of the last piece may lie behind the packet's.
    pub to: usize,
    /// More fragments follow.
    pub more: bool,
    /// Which letters it has.
    pub letters: Letters,
}

/// How the IP header differs from an ordinary one.
#[derive(Debug, Clone, Default)]
pub struct Ip {
    /// Another version.
    pub version: Option<u8>,
    /// Another header length, in words of 4 bytes; IPv4 only.
    pub words: Option<u8>,
    /// The length field.
    pub length: LengthField,
    /// Time to live, or hop limit; 64 by default.
    pub ttl: Option<u8>,
    /// Bits of the field with the fragment's offset; IPv4 only.
    pub bits: u16,
    /// The header's checksum; IPv4 only.
    pub checksum: Checksum,
    /// Options, filled up to words; IPv4 only.
    pub options: Vec<u8>,
    /// Extension headers as their type, and their bytes behind "next header"; IPv6 only.
    pub extensions: Vec<(u8, Vec<u8>)>,
    /// Fragments in place of the whole packet.
    pub pieces: Vec<Piece>,
}

/// A TCP segment in an IP packet.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub target: SocketAddr,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Twelve bits: four reserved ones, then CWR to FIN.
    pub flags: u16,
    /// Window field.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options before the timestamps.
    pub before: Vec<u8>,
    /// `TSval` and `TSecr`.
    pub timestamps: Option<(u32, u32)>,
    /// Options behind the timestamps.
    pub behind: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
    /// Another data offset, in words of 4 bytes.
    pub words: Option<u8>,
    /// The segment's checksum.
    pub checksum: Checksum,
    /// The IP header.
    pub ip: Ip,
}

impl Packet {
    /// The segment in an ordinary IP packet.
    #[must_use]
    pub fn plain(&self) -> Vec<u8> {
        Self { ip: Ip::default(), ..self.clone() }.wrap(&self.segment(), None)
    }

    /// The packets as bytes: one, or a fragment for each piece.
    #[must_use]
    pub fn build(&self) -> Vec<Vec<u8>> {
        let segment = self.segment();
        if self.ip.pieces.is_empty() {
            return vec![self.wrap(&segment, None)];
        }
        let piece = |piece: &Piece| {
            let end = (piece.to * 8).min(segment.len());
            let mut bytes = segment.get(piece.from * 8..end).unwrap_or_default().to_vec();
            if piece.letters == Letters::Other {
                other_letters(&mut bytes);
            }
            self.wrap(&bytes, Some(*piece))
        };
        self.ip.pieces.iter().map(piece).collect()
    }

    fn options(&self) -> Vec<u8> {
        let mut options = self.before.clone();
        if let Some((value, echo)) = self.timestamps {
            options.extend_from_slice(&[1, 1, 8, 10]);
            options.extend_from_slice(&value.to_be_bytes());
            options.extend_from_slice(&echo.to_be_bytes());
        }
        options.extend_from_slice(&self.behind);
        options.truncate(40);
        options.resize(options.len().next_multiple_of(4), 0);
        options
    }

    fn segment(&self) -> Vec<u8> {
        let options = self.options();
        let words = self.words.unwrap_or_else(|| low_byte(5 + options.len() / 4));
        let field = u16::from(words) << 12 | self.flags & 0xfff;
        let mut segment = Vec::with_capacity(60 + self.payload.len());
        segment.extend_from_slice(&self.source.port().to_be_bytes());
        segment.extend_from_slice(&self.target.port().to_be_bytes());
        segment.extend_from_slice(&self.seq.to_be_bytes());
        segment.extend_from_slice(&self.ack.to_be_bytes());
        segment.extend_from_slice(&field.to_be_bytes());
        segment.extend_from_slice(&self.window.to_be_bytes());
        segment.extend_from_slice(&[0, 0]);
        segment.extend_from_slice(&self.urgent.to_be_bytes());
        segment.extend_from_slice(&options);
        segment.extend_from_slice(&self.payload);
        let mut pseudo = octets(self.source.ip());
        pseudo.extend_from_slice(&octets(self.target.ip()));
        pseudo.extend_from_slice(&[0, TCP]);
        pseudo.extend_from_slice(&low_half(segment.len()).to_be_bytes());
        let right = finish(sum(&pseudo) + sum(&segment));
        put_checksum(&mut segment, 16, self.checksum, right);
        segment
    }

    fn wrap(&self, bytes: &[u8], piece: Option<Piece>) -> Vec<u8> {
        match self.source.ip() {
            IpAddr::V4(_) => self.wrap_ipv4(bytes, piece),
            IpAddr::V6(_) => self.wrap_ipv6(bytes, piece),
        }
    }

    fn wrap_ipv4(&self, bytes: &[u8], piece: Option<Piece>) -> Vec<u8> {
        let mut options = self.ip.options.clone();
        options.resize(options.len().next_multiple_of(4), 0);
        let words = self.ip.words.unwrap_or_else(|| low_byte(5 + options.len() / 4));
        let length = self.length_field(20 + options.len() + bytes.len());
        let bits =
            piece.map_or(self.ip.bits, |piece| low_half(piece.from) | u16::from(piece.more) << 13);
        let mut packet = vec![self.ip.version.unwrap_or(4) << 4 | words & 0xf, 0];
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(&low_half_of(self.seq).to_be_bytes());
        packet.extend_from_slice(&bits.to_be_bytes());
        packet.extend_from_slice(&[self.ip.ttl.unwrap_or(64), TCP, 0, 0]);
        packet.extend_from_slice(&octets(self.source.ip()));
        packet.extend_from_slice(&octets(self.target.ip()));
        packet.extend_from_slice(&options);
        let right = finish(sum(&packet));
        put_checksum(&mut packet, 10, self.ip.checksum, right);
        packet.extend_from_slice(bytes);
        packet
    }

    fn wrap_ipv6(&self, bytes: &[u8], piece: Option<Piece>) -> Vec<u8> {
        let mut headers = self.ip.extensions.clone();
        if let Some(piece) = piece {
            let field = low_half(piece.from) << 3 | u16::from(piece.more);
            let mut header = vec![0];
            header.extend_from_slice(&field.to_be_bytes());
            header.extend_from_slice(&self.seq.to_be_bytes());
            headers.push((FRAGMENT, header));
        }
        let mut behind = Vec::new();
        for (at, (_, header)) in headers.iter().enumerate() {
            behind.push(headers.get(at + 1).map_or(TCP, |(next, _)| *next));
            behind.extend_from_slice(header);
        }
        behind.extend_from_slice(bytes);
        let length = self.length_field(behind.len());
        let mut packet = vec![self.ip.version.unwrap_or(6) << 4, 0, 0, 0];
        packet.extend_from_slice(&length.to_be_bytes());
        packet.push(headers.first().map_or(TCP, |(first, _)| *first));
        packet.push(self.ip.ttl.unwrap_or(64));
        packet.extend_from_slice(&octets(self.source.ip()));
        packet.extend_from_slice(&octets(self.target.ip()));
        packet.extend_from_slice(&behind);
        packet
    }

    fn length_field(&self, length: usize) -> u16 {
        match self.ip.length {
            LengthField::Right => low_half(length),
            LengthField::By(by) => low_half(length.saturating_add_signed(by)),
            LengthField::Zero => 0,
        }
    }
}

/// What a segment of the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: u16,
    /// Window field.
    pub window: u16,
    /// `TSval`.
    pub timestamp: Option<u32>,
    /// Shift count of a window scale option.
    pub scale: Option<u8>,
    /// Length of the payload.
    pub payload: usize,
    /// Where the payload begins.
    pub at: usize,
}

/// The addresses of a packet; `None` if it is no packet of IP.
#[must_use]
pub fn addresses(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let v4 = |at: usize| <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok().map(IpAddr::from);
    let v6 = |at: usize| <[u8; 16]>::try_from(packet.get(at..at + 16)?).ok().map(IpAddr::from);
    match packet.first()? >> 4 {
        4 => Some((v4(12)?, v4(16)?)),
        6 => Some((v6(8)?, v6(24)?)),
        _ => None,
    }
}

/// Reads a segment of the kernel, which builds right ones only; `None` if it is none of TCP.
#[must_use]
pub fn hear(packet: &[u8]) -> Option<Heard> {
    let (protocol, header) = match packet.first()? >> 4 {
        4 => (*packet.get(9)?, usize::from(packet.first()? & 0xf) * 4),
        _ => (*packet.get(6)?, 40),
    };
    let tcp = packet.get(header..).filter(|_| protocol == TCP)?;
    let half = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    let word = |at: usize| Some(u32::from(half(at)?) << 16 | u32::from(half(at + 2)?));
    let end = usize::from(tcp.get(12)? >> 4) * 4;
    let mut heard = Heard {
        seq: word(4)?,
        ack: word(8)?,
        flags: half(12)? & 0xfff,
        window: half(14)?,
        timestamp: None,
        scale: None,
        payload: tcp.len().checked_sub(end)?,
        at: header + end,
    };
    let mut at = 20;
    while at < end {
        match *tcp.get(at)? {
            0 => break,
            1 => at += 1,
            kind => {
                let value = at + 2;
                match kind {
                    3 => heard.scale = tcp.get(value).copied(),
                    8 => heard.timestamp = word(value),
                    _ => {}
                }
                at += usize::from(*tcp.get(at + 1)?).max(2);
            }
        }
    }
    Some(heard)
}

/// Whether a packet is one whole segment of TCP without options of IP, its lengths and checksums
/// right.
#[must_use]
pub fn is_sound(packet: &[u8]) -> bool {
    let is_ipv6 = packet.first().is_some_and(|first| first >> 4 == 6);
    let half =
        |at: usize| packet.get(at..at + 2).map(|half| u16::from_be_bytes([half[0], half[1]]));
    let (header, length, addresses) = if is_ipv6 {
        (40, half(4).map(|length| usize::from(length) + 40), packet.get(8..40))
    } else {
        (20, half(2).map(usize::from), packet.get(12..20))
    };
    let is_plain = if is_ipv6 {
        packet.get(6) == Some(&TCP)
    } else {
        let whole = half(6).is_some_and(|bits| bits & 0x3fff == 0);
        let sound = packet.get(..20).is_some_and(|header| finish(sum(header)) == 0);
        packet.first() == Some(&0x45) && packet.get(9) == Some(&TCP) && whole && sound
    };
    let (Some(segment), Some(addresses)) = (packet.get(header..), addresses) else { return false };
    let pseudo = sum(addresses) + u64::from(TCP) + segment.len() as u64;
    is_plain && length == Some(packet.len()) && finish(pseudo + sum(segment)) == 0
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Replaces the letters of a strange packet by other ones.
fn other_letters(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| byte.is_ascii_uppercase()) {
        *byte = b'A' + (*byte - b'A' + 13) % 26;
    }
}

fn put_checksum(bytes: &mut [u8], at: usize, kind: Checksum, right: u16) {
    let value = match kind {
        Checksum::Right => right,
        Checksum::Wrong => right ^ 0x0100,
        Checksum::Zero => 0,
    };
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// The sum of the 16-bit words, RFC 1071; an odd last byte is padded with 0.
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2);
    words.map(|word| u64::from(word[0]) << 8 | word.get(1).map_or(0, |low| u64::from(*low))).sum()
}

/// Folds the carries back and complements.
fn finish(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [.., high, low] = (!sum).to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn low_half(value: usize) -> u16 {
    let [.., high, low] = value.to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn low_half_of(value: u32) -> u16 {
    let [.., high, low] = value.to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn low_byte(value: usize) -> u8 {
    let [.., low] = value.to_be_bytes();
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ends::peer::Peer;
    use crate::ends::setup::{Offer, Role, Setup, Version};

    /// A segment with data, of either version of IP.
    fn segment(version: Version) -> Packet {
        let texts = match version {
            Version::V4 => ["10.0.0.1:1", "10.0.0.2:80"],
            Version::V6 => ["[fd77::1]:1", "[fd77::2]:80"],
        };
        let [raw, kernel] = texts.map(|text| text.parse().expect("an address"));
        Peer::new(Setup::of(Role::Server, version, Offer::All), raw, kernel).data(11)
    }

    #[test]
    fn an_ordinary_packet_is_sound_and_heard_as_it_was_built() {
        for version in [Version::V4, Version::V6] {
            let packet = segment(version);
            let bytes = packet.build().remove(0);
            assert!(is_sound(&bytes), "{bytes:02x?}");
            let heard = hear(&bytes).expect("a segment");
            assert_eq!((heard.seq, heard.ack, heard.flags), (packet.seq, packet.ack, packet.flags));
            assert_eq!(heard.timestamp, packet.timestamps.map(|(value, _)| value));
            assert_eq!(bytes[heard.at..], packet.payload);
        }
    }

    #[test]
    fn one_wrong_byte_makes_a_packet_unsound() {
        for version in [Version::V4, Version::V6] {
            let bytes = segment(version).build().remove(0);
            let last = bytes.len() - 1;
            for at in [0, 5, 20, 45, last] {
                let mut wrong = bytes.clone();
                wrong[at] ^= 0x40;
                assert!(!is_sound(&wrong), "byte {at} of {version:?}");
            }
        }
    }
}
