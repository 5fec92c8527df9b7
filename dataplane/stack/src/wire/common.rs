//! The common frame, parsed with one look at its length: Ethernet II without tags, IPv4 without
//! options or fragmentation, TCP, everything captured and nothing wrong.
//!
//! Whatever differs is left to the general parser, which knows why. Both give the same answer, as a
//! property test asserts.

use super::{Flags, Segment, Verify, checksum::Sum, tcp};
use crate::{Checksums, Frame, Link, SeqNum, flow::FlowKey};

/// Bytes up to the end of the fixed TCP header.
const HEADERS: usize = ETHERNET + IPV4 + TCP;
const ETHERNET: usize = 14;
const IPV4: usize = 20;
const TCP: usize = 20;

/// The segment in a common frame; `None` where the frame is not one, or may be wrong.
#[inline]
pub(super) fn parse<'a>(frame: &Frame<'a>, verify: Verify) -> Option<Segment<'a>> {
    let bytes = frame.bytes;
    let headers: &[u8; HEADERS] = bytes.first_chunk()?;
    let (ethernet, rest) = headers.split_first_chunk::<ETHERNET>()?;
    let (ip, tcp) = rest.split_first_chunk::<IPV4>()?;
    let tcp: &[u8; TCP] = tcp.first_chunk()?;
    let [version, _, l0, l1, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *ip;
    let [p0, p1, q0, q1, n0, n1, n2, n3, a0, a1, a2, a3, offset, flags, w0, w1, ..] = *tcp;
    let is_common = frame.link == Link::Ethernet
        && ethernet.ends_with(&[0x08, 0x00])
        && version == 0x45
        && protocol == 6
        && u16::from_be_bytes([f0, f1]) & 0x3fff == 0;
    if !is_common {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(IPV4)?;
    let segment = bytes.get(ETHERNET.wrapping_add(IPV4)..)?.get(..length)?;
    let header_length = usize::from(offset >> 4).wrapping_mul(4);
    let payload = segment.get(header_length.max(TCP)..)?;
    if header_length < TCP || !is_right(frame.checksums, verify, ip, segment) {
        return None;
    }
    let flags = Flags::from_bits(flags);
    let options = if flags.is_syn() { segment.get(TCP..header_length)? } else { &[] };
    let source = (u32::from_be_bytes([s0, s1, s2, s3]), u16::from_be_bytes([p0, p1]));
    let destination = (u32::from_be_bytes([d0, d1, d2, d3]), u16::from_be_bytes([q0, q1]));
    let (key, from) = FlowKey::v4(source, destination);
    Some(Segment {
        key,
        from,
        vlan: None,
        seq: SeqNum(u32::from_be_bytes([n0, n1, n2, n3])),
        ack: SeqNum(u32::from_be_bytes([a0, a1, a2, a3])),
        flags,
        window: u16::from_be_bytes([w0, w1]),
        window_scale: tcp::find_window_scale(options),
        payload,
        payload_length: u32::try_from(payload.len()).ok()?,
    })
}

/// Whether the checksums are known to be right, or need not be.
#[inline]
fn is_right(known: Checksums, verify: Verify, ip: &[u8; IPV4], segment: &[u8]) -> bool {
    match (verify, known) {
        (Verify::Never, _) | (Verify::Software, Checksums::Good) => true,
        (Verify::Software, Checksums::Bad) => false,
        (Verify::Software, Checksums::Unknown) => {
            let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *ip;
            let addresses = Sum::default().add(&[s0, s1, s2, s3, d0, d1, d2, d3]);
            Sum::default().add(ip).is_right()
                && addresses.add_length(segment.len()).add(segment).is_right()
        }
    }
}
