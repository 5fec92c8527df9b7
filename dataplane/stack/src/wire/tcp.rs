//! The TCP header, RFC 9293 section 3.1: flags, and the options that a SYN negotiates.

use core::num::NonZeroU8;

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

/// The shift count of the window scale option, 0 to 14 (RFC 7323 section 2.3). Stored plus one, so
/// that an `Option` of it takes one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowScale(NonZeroU8);

impl WindowScale {
    /// No scaling.
    pub(crate) const NONE: Self = Self::clamped(0);

    /// The largest shift count.
    pub(crate) const MAX: u8 = 14;

    /// RFC 7323 2.3:
    ///   If a Window Scale option is received with a shift.cnt value larger than 14, the TCP
    ///   SHOULD log the error but MUST use 14 instead of the specified value.
    #[must_use]
    pub(crate) const fn clamped(shift: u8) -> Self {
        let shift = if shift > Self::MAX { Self::MAX } else { shift };
        Self(NonZeroU8::MIN.saturating_add(shift))
    }

    /// The size of a window, in bytes, from its header field.
    #[must_use]
    pub(crate) fn apply(self, window: u16) -> u32 {
        u32::from(window) << (self.0.get() - 1)
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
    /// Of a SYN: the option, if it is there.
    pub(super) window_scale: Option<WindowScale>,
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
    let flags = Flags::from_bits(flags);
    Ok(Header {
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        seq: SeqNum(u32::from_be_bytes([q0, q1, q2, q3])),
        ack: SeqNum(u32::from_be_bytes([a0, a1, a2, a3])),
        flags,
        window: u16::from_be_bytes([w0, w1]),
        window_scale: if flags.is_syn() { find_window_scale(options) } else { None },
        payload: bytes.get(header_length..).unwrap_or_default(),
        payload_length,
    })
}

/// Looks for the window scale option. A length of 0 or beyond the header ends the search, so
/// every turn of the loop consumes at least one byte.
pub(super) fn find_window_scale(mut options: &[u8]) -> Option<WindowScale> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const WINDOW_SCALE: u8 = 3;
    loop {
        match *options {
            [] | [END, ..] => return None,
            [NO_OPERATION, ref rest @ ..] => options = rest,
            [WINDOW_SCALE, 3, shift, ..] => return Some(WindowScale::clamped(shift)),
            [_, length, ..] if length >= 2 => options = options.get(usize::from(length)..)?,
            _ => return None,
        }
    }
}
