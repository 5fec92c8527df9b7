//! Parses the common frame with one check of its length: Ethernet II without tags, IPv4 without
//! options or fragmentation, TCP, captured in full and valid.
//!
//! Other frames are left to the general parser, which returns the reason. For common frames both
//! give the same result, as a property test asserts.

use super::{Flags, Segment, Verify, checksum::Sum};
use crate::{
    Checksums, Frame, Link, SeqNum,
    flow::{FlowKey, Vlans},
};

/// Offsets of the headers of a common frame, and the end of their fixed parts.
const IP: usize = 14;
const TCP: usize = IP + 20;
const HEADERS: usize = TCP + 20;

/// The segment in a common frame; `None` if the frame is not common, or may be invalid.
#[inline(always)]
pub(crate) fn parse<'a>(frame: &Frame<'a>, verify: Verify) -> Option<Segment<'a>> {
    let h: &[u8; HEADERS] = frame.bytes.first_chunk()?;
    let u16_at = |at| u16::from_be_bytes(field(h, at));
    let u32_at = |at| u32::from_be_bytes(field(h, at));
    // EtherType, version and length of the IP header; fragmentation and protocol.
    let is_common = frame.link == Link::Ethernet
        && u32_at(12) >> 8 == 0x0008_0045
        && u32_at(20) & 0x3fff_00ff == 6;
    if !is_common {
        return None;
    }
    let end = IP.wrapping_add(usize::from(u16_at(16)));
    let header_end = TCP.wrapping_add(usize::from(h[46] >> 4).wrapping_mul(4));
    let packet = frame.bytes.get(..end)?;
    let payload = packet.get(header_end..)?;
    if header_end < HEADERS || !has_valid_checksums(frame.checksums, verify, h, packet) {
        return None;
    }
    let (key, from) = FlowKey::v4(field(h, 26), field(h, 34));
    Some(Segment {
        key,
        from,
        vlans: Vlans::NONE,
        seq: SeqNum(u32_at(38)),
        ack: SeqNum(u32_at(42)),
        flags: Flags::from_bits(h[47]),
        window: u16_at(48),
        options: packet.get(HEADERS..header_end)?,
        payload,
        payload_length: u32::try_from(payload.len()).ok()?,
    })
}

/// A field of the headers. `at` is constant at each call, so that no check is left.
#[inline(always)]
fn field<const N: usize>(h: &[u8; HEADERS], at: usize) -> [u8; N] {
    h.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// Whether the checksums are valid, or need no check. `h` is the beginning of `packet`.
#[inline(always)]
fn has_valid_checksums(known: Checksums, verify: Verify, h: &[u8; HEADERS], packet: &[u8]) -> bool {
    match (verify, known) {
        (Verify::Never, _) | (Verify::Software, Checksums::Good) => true,
        (Verify::Software, Checksums::Bad) => false,
        (Verify::Software, Checksums::Unknown) => {
            // IP without the addresses, the addresses, and TCP. Both sums share the addresses.
            let (_, headers) = h.split_at(IP);
            let (ip, tcp) = headers.split_at(TCP - IP);
            let (ip, addresses) = ip.split_at(12);
            let shared = Sum::default().add_fixed(addresses);
            let segment = shared.add_fixed(tcp).add_length(packet.len().wrapping_sub(TCP));
            let segment = segment.add_from(packet, HEADERS);
            shared.add_fixed(ip).is_valid() && segment.is_valid()
        }
    }
}
