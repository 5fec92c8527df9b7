//! The common frame, parsed with one look at its length: Ethernet II without tags, IPv4 without
//! options or fragmentation, TCP, everything captured and nothing wrong.
//!
//! Whatever differs is left to the general parser, which knows why. Both give the same answer, as a
//! property test asserts.

use core::ops::Range;

use super::{Flags, Segment, Verify, checksum::Sum, tcp};
use crate::{Checksums, Frame, Link, SeqNum, flow::FlowKey};

/// Where the headers of a common frame and the addresses begin, and where the fixed headers end.
const IP: usize = 14;
const ADDRESSES: usize = IP + 12;
const TCP: usize = IP + 20;
const HEADERS: usize = TCP + 20;

/// Bytes of the fixed TCP header.
const TCP_BYTES: usize = HEADERS - TCP;

/// The segment in a common frame; `None` where the frame is not one, or may be wrong.
#[inline]
pub(super) fn parse<'a>(frame: &Frame<'a>, verify: Verify) -> Option<Segment<'a>> {
    let h: &[u8; HEADERS] = frame.bytes.first_chunk()?;
    let u16_of = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    let is_common = frame.link == Link::Ethernet
        && (h[12], h[13]) == (0x08, 0x00)
        && h[IP] == 0x45
        && h[23] == 6
        && u16_of(h[20], h[21]) & 0x3fff == 0;
    if !is_common {
        return None;
    }
    let length = usize::from(u16_of(h[16], h[17]));
    let segment = frame.bytes.get(IP..)?.get(..length)?.get(TCP.wrapping_sub(IP)..)?;
    let header_length = usize::from(h[46] >> 4).wrapping_mul(4);
    let payload = segment.get(header_length..)?;
    if header_length < TCP_BYTES || !is_right(frame.checksums, verify, h, segment) {
        return None;
    }
    let flags = Flags::from_bits(h[47]);
    let options = if flags.is_syn() { segment.get(TCP_BYTES..header_length)? } else { &[] };
    let source = (u32::from_be_bytes([h[26], h[27], h[28], h[29]]), u16_of(h[34], h[35]));
    let destination = (u32::from_be_bytes([h[30], h[31], h[32], h[33]]), u16_of(h[36], h[37]));
    let (key, from) = FlowKey::v4(source, destination);
    Some(Segment {
        key,
        from,
        vlan: None,
        seq: SeqNum(u32::from_be_bytes([h[38], h[39], h[40], h[41]])),
        ack: SeqNum(u32::from_be_bytes([h[42], h[43], h[44], h[45]])),
        flags,
        window: u16_of(h[48], h[49]),
        window_scale: tcp::find_window_scale(options),
        payload,
        payload_length: u32::try_from(payload.len()).ok()?,
    })
}

/// Whether the checksums are known to be right, or need not be.
#[inline]
fn is_right(known: Checksums, verify: Verify, h: &[u8; HEADERS], segment: &[u8]) -> bool {
    match (verify, known) {
        (Verify::Never, _) | (Verify::Software, Checksums::Good) => true,
        (Verify::Software, Checksums::Bad) => false,
        (Verify::Software, Checksums::Unknown) => {
            // The words of the headers one by one: their number is fixed.
            let word = |at: usize| h.get(at..).and_then(|rest| rest.first_chunk()).copied();
            let sum_of = |bytes: Range<usize>| {
                bytes.step_by(4).filter_map(word).fold(Sum::default(), Sum::add_word)
            };
            let rest = segment.get(TCP_BYTES..).unwrap_or_default();
            sum_of(IP..TCP).is_right()
                && sum_of(ADDRESSES..HEADERS).add_length(segment.len()).add(rest).is_right()
        }
    }
}
