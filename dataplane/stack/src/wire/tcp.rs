//! The TCP header, RFC 9293 section 3.1.

use super::ParseError;
use crate::SeqNum;

/// The control bits of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;
    const URG: u8 = 0x20;

    /// The flags in a byte of the header.
    #[must_use]
    pub(super) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// FIN is set.
    #[must_use]
    pub(crate) const fn is_fin(self) -> bool {
        self.0 & Self::FIN != 0
    }

    /// SYN is set.
    #[must_use]
    pub(crate) const fn is_syn(self) -> bool {
        self.0 & Self::SYN != 0
    }

    /// RST is set.
    #[must_use]
    pub(crate) const fn is_rst(self) -> bool {
        self.0 & Self::RST != 0
    }

    /// ACK is set.
    #[must_use]
    pub(crate) const fn is_ack(self) -> bool {
        self.0 & Self::ACK != 0
    }

    /// URG is set.
    #[must_use]
    pub(crate) const fn is_urg(self) -> bool {
        self.0 & Self::URG != 0
    }

    /// ACK without FIN, SYN, RST and URG; PSH is ignored.
    #[must_use]
    #[inline]
    pub(crate) const fn is_plain_ack(self) -> bool {
        self.0 & (Self::FIN | Self::SYN | Self::RST | Self::ACK | Self::URG) == Self::ACK
    }

    /// SYN without ACK: a connection is opened.
    #[must_use]
    pub(crate) const fn is_bare_syn(self) -> bool {
        self.is_syn() && !self.is_ack()
    }
}

/// A TCP header, and where it ends.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) seq: SeqNum,
    pub(super) ack: SeqNum,
    pub(super) flags: Flags,
    pub(super) window: u16,
    pub(super) options: &'a [u8],
    pub(super) payload: &'a [u8],
    pub(super) payload_length: usize,
}

/// Parses a segment of `length` bytes; `bytes` were captured.
pub(super) fn parse(bytes: &[u8], length: usize) -> Result<Header<'_>, ParseError> {
    let (header, _options) = bytes.split_first_chunk::<20>().ok_or(if length < 20 {
        ParseError::Malformed
    } else {
        ParseError::Truncated
    })?;
    let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, ..] = *header;
    let header_length = usize::from(offset >> 4).saturating_mul(4);
    let payload_length = length.checked_sub(header_length).ok_or(ParseError::Malformed)?;
    let options = match bytes.get(header.len()..header_length) {
        Some(options) => options,
        None if header_length < header.len() => return Err(ParseError::Malformed),
        None => return Err(ParseError::Truncated),
    };
    Ok(Header {
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        seq: SeqNum(u32::from_be_bytes([q0, q1, q2, q3])),
        ack: SeqNum(u32::from_be_bytes([a0, a1, a2, a3])),
        flags: Flags::from_bits(flags),
        window: u16::from_be_bytes([w0, w1]),
        options,
        payload: bytes.get(header_length..).unwrap_or_default(),
        payload_length,
    })
}
