//! The options of a TCP header that decide what an endpoint makes of a segment.

use core::num::NonZeroU8;

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

    /// The shift count.
    pub(crate) const fn shift(self) -> u8 {
        self.0.get() - 1
    }

    /// The size of a window, in bytes, from its header field.
    #[must_use]
    pub(crate) fn apply(self, window: u16) -> u32 {
        u32::from(window) << self.shift()
    }
}

/// The timestamps option, RFC 7323 section 3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    /// The time of the sender: `TSval`.
    pub(crate) value: u32,
    /// The last time of the peer that it echoes: `TSecr`. Means nothing without the ACK flag.
    pub(crate) echo: u32,
}

/// How a segment is signed. Only those who have the key can tell whether it is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    /// The MD5 signature of RFC 2385.
    Md5,
    /// The authentication option of RFC 5925.
    Authentication,
}

/// What the options of a segment say. Of two of a kind the last one counts; one with a wrong
/// length is none; what follows an end of options, or a length below 2 or beyond the header, is
/// not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Options {
    /// Means nothing without the SYN flag.
    pub(crate) window_scale: Option<WindowScale>,
    pub(crate) stamp: Option<Stamp>,
    /// How the segment is signed.
    pub(crate) signature: Option<Signature>,
}

impl Options {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const WINDOW_SCALE: u8 = 3;
    const SACK: u8 = 5;
    const TIMESTAMPS: u8 = 8;
    const MD5: u8 = 19;
    const AUTHENTICATION: u8 = 29;

    /// Two bytes of padding, and kind and length of timestamps: the layout of RFC 7323 appendix A,
    /// which nearly all segments with timestamps have.
    const ALIGNED: [u8; 4] = [Self::NO_OPERATION, Self::NO_OPERATION, Self::TIMESTAMPS, 10];

    /// The time of the sender, and the other options, if the first ones are timestamps in the
    /// aligned layout.
    #[inline(always)]
    pub(crate) const fn split_stamp(options: &[u8]) -> Option<(u32, &[u8])> {
        match *options {
            [a, b, c, d, v0, v1, v2, v3, _, _, _, _, ref rest @ ..] => {
                let is_aligned =
                    u32::from_be_bytes([a, b, c, d]) == u32::from_be_bytes(Self::ALIGNED);
                let value = u32::from_be_bytes([v0, v1, v2, v3]);
                if is_aligned { Some((value, rest)) } else { None }
            }
            _ => None,
        }
    }

    /// Whether there are no options but the blocks of SACK (RFC 2018), which change nothing here,
    /// in the layout that all senders use.
    #[inline(always)]
    pub(crate) const fn is_only_sack(options: &[u8]) -> bool {
        options.is_empty() || Self::is_sack(options)
    }

    #[cold]
    const fn is_sack(options: &[u8]) -> bool {
        match *options {
            [Self::NO_OPERATION, Self::NO_OPERATION, Self::SACK, length, ref blocks @ ..] => {
                matches!((length as usize).checked_sub(2), Some(length) if length == blocks.len())
            }
            _ => false,
        }
    }

    /// Parses the options of a header.
    #[inline]
    pub(crate) fn parse(options: &[u8]) -> Self {
        if options.is_empty() { Self::default() } else { Self::parse_some(options) }
    }

    /// Each turn of the loop consumes at least two bytes.
    fn parse_some(mut options: &[u8]) -> Self {
        let mut parsed = Self::default();
        while let Some((kind, body, rest)) = Self::next(options) {
            options = rest;
            match (kind, body) {
                (Self::WINDOW_SCALE, &[shift]) => {
                    parsed.window_scale = Some(WindowScale::clamped(shift));
                }
                (Self::TIMESTAMPS, &[v0, v1, v2, v3, e0, e1, e2, e3]) => {
                    parsed.stamp = Some(Stamp {
                        value: u32::from_be_bytes([v0, v1, v2, v3]),
                        echo: u32::from_be_bytes([e0, e1, e2, e3]),
                    });
                }
                (Self::MD5, body) if body.len() == 16 => {
                    parsed.signature = Some(Signature::Md5);
                }
                // Two numbers of keys, and the code.
                (Self::AUTHENTICATION, [_, _, ..]) => {
                    parsed.signature = Some(Signature::Authentication);
                }
                _ => {}
            }
        }
        parsed
    }

    /// The kind and the body of the next option, and what follows it; `None` at the end.
    fn next(mut options: &[u8]) -> Option<(u8, &[u8], &[u8])> {
        while let [Self::NO_OPERATION, rest @ ..] = options {
            options = rest;
        }
        let [kind, length, rest @ ..] = options else { return None };
        let length = usize::from(*length).checked_sub(2).filter(|_| *kind != Self::END)?;
        let (body, rest) = rest.split_at_checked(length)?;
        Some((*kind, body, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_sack_are_the_only_options_that_change_nothing() {
        let blocks = [1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        assert!(Options::is_only_sack(&[]));
        assert!(Options::is_only_sack(&blocks));
        assert!(!Options::is_only_sack(&blocks[..8]), "cut off");
        assert!(!Options::is_only_sack(&[&blocks[..], &[19, 2, 1, 0]].concat()), "more behind");
        assert!(!Options::is_only_sack(&[1, 1, 19, 2]));
        assert!(!Options::is_only_sack(&[1, 1, 5]));
    }

    #[test]
    fn timestamps_come_first_and_are_aligned() {
        let stamps = [1, 1, 8, 10, 0, 0, 1, 2, 9, 9, 9, 9];
        assert_eq!(Options::split_stamp(&stamps), Some((0x0102, &[][..])));
        assert_eq!(
            Options::split_stamp(&[&stamps[..], &[1, 1, 5]].concat()),
            Some((0x0102, &[1, 1, 5][..]))
        );
        assert_eq!(Options::split_stamp(&stamps[2..]), None);
        assert_eq!(Options::split_stamp(&[]), None);
    }
}
