//! TCP segments as Ethernet frames over IPv4, with correct lengths and checksums. Also repairs the
//! checksums of changed frames.

use std::net::SocketAddrV4;

/// TCP flag bits.
pub mod flags {
    /// FIN.
    pub const FIN: u8 = 0x01;
    /// SYN.
    pub const SYN: u8 = 0x02;
    /// RST.
    pub const RST: u8 = 0x04;
    /// ACK.
    pub const ACK: u8 = 0x10;
}

/// Offset of the IPv4 header in the frames of [`write()`].
pub const IP: usize = 14;

const ETHERTYPE_VLAN: [u8; 2] = [0x81, 0];
const ETHERTYPE_IPV4: [u8; 2] = [8, 0];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const PROTOCOL_TCP: u8 = 6;
const FRAME_MIN: usize = 60;

/// One TCP segment.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Sender.
    pub source: SocketAddrV4,
    /// Receiver.
    pub target: SocketAddrV4,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Bits of [`flags`].
    pub flags: u8,
    /// Bytes of options, at most 40; a multiple of 4.
    pub options: &'a [u8],
    /// Payload, at most 1400 bytes.
    pub payload: &'a [u8],
}

/// Writes a segment as a frame into `out`, which is emptied first.
pub fn write(out: &mut Vec<u8>, segment: &Segment<'_>) {
    let Segment { source, target, seq, ack, flags, options, payload } = *segment;
    let header = 20 + options.len();
    let length = u16::try_from(20 + header + payload.len()).unwrap_or(u16::MAX);
    let words = u8::try_from(header / 4).unwrap_or(15);
    out.clear();
    out.extend_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    out.extend_from_slice(&ETHERTYPE_IPV4);
    out.extend_from_slice(&[0x45, 0]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0, 64, PROTOCOL_TCP, 0, 0]);
    out.extend_from_slice(&source.ip().octets());
    out.extend_from_slice(&target.ip().octets());
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&target.port().to_be_bytes());
    out.extend_from_slice(&seq.to_be_bytes());
    out.extend_from_slice(&ack.to_be_bytes());
    out.extend_from_slice(&[words << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend_from_slice(options);
    out.extend_from_slice(payload);
    if out.len() < FRAME_MIN {
        out.resize(FRAME_MIN, 0);
    }
    repair(out);
}

/// Offset of the IP header of a frame, after at most one VLAN tag; and whether it is IPv6.
#[must_use]
pub fn ip_header(frame: &[u8]) -> Option<(usize, bool)> {
    let at = if frame.get(12..14)? == ETHERTYPE_VLAN { 16 } else { 12 };
    let ethertype = frame.get(at..at + 2)?;
    let is_ipv6 = ethertype == ETHERTYPE_IPV6;
    (is_ipv6 || ethertype == ETHERTYPE_IPV4).then_some((at + 2, is_ipv6))
}

/// Corrects the checksums of IPv4 and TCP, as far as the headers can be parsed.
pub fn repair(frame: &mut [u8]) {
    let Some((ip, is_ipv6)) = ip_header(frame) else { return };
    let Some(header) = frame.get_mut(ip..) else { return };
    if is_ipv6 { repair_ipv6(header) } else { repair_ipv4(header) }.unwrap_or_default();
}

fn repair_ipv4(packet: &mut [u8]) -> Option<()> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    packet.get_mut(10..12)?.fill(0);
    let checksum = finish(sum(packet.get(..header)?));
    packet.get_mut(10..12)?.copy_from_slice(&checksum);
    let is_fragment = packet.get(6)? & 0x3f != 0 || *packet.get(7)? != 0;
    if *packet.get(9)? != PROTOCOL_TCP || is_fragment {
        return None;
    }
    let pseudo = sum(packet.get(12..20)?);
    repair_tcp(packet.get_mut(header..total)?, pseudo)
}

fn repair_ipv6(packet: &mut [u8]) -> Option<()> {
    let length = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
    if *packet.get(6)? != PROTOCOL_TCP {
        return None;
    }
    let pseudo = sum(packet.get(8..40)?);
    repair_tcp(packet.get_mut(40..40 + length)?, pseudo)
}

fn repair_tcp(segment: &mut [u8], addresses: u64) -> Option<()> {
    segment.get_mut(16..18)?.fill(0);
    let pseudo = addresses + u64::from(PROTOCOL_TCP) + segment.len() as u64;
    let checksum = finish(pseudo + sum(segment));
    segment.get_mut(16..18)?.copy_from_slice(&checksum);
    Some(())
}

/// The sum of the 16-bit words, RFC 1071; an odd last byte is padded with 0.
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(2);
    let last = words.remainder().first().map_or(0, |byte| u64::from(*byte) << 8);
    words.map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum::<u64>() + last
}

/// Folds the carries back and complements.
fn finish(mut sum: u64) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [.., high, low] = (!sum).to_be_bytes();
    [high, low]
}
