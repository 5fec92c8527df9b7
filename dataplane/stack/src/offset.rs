//! Positions in one direction's byte stream.

use core::fmt;

/// A byte position in one direction's stream: the byte after the SYN has offset 0.
///
/// 64 bits wide, so streams longer than 4 GiB work. Never mixes with sequence numbers; the one
/// conversion is in `tcp/side.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamOffset(pub u64);

impl StreamOffset {
    /// The first byte of a stream.
    pub const ZERO: Self = Self(0);

    /// The position `bytes` further on.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }

    /// Bytes from `earlier` to `self`; 0 when `earlier` is later.
    #[must_use]
    pub const fn distance_from(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for StreamOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The lower half of an offset or a length: what is kept of it where the upper half is known.
#[expect(clippy::cast_possible_truncation, reason = "the upper half is dropped")]
pub(crate) const fn lower_half(bytes: u64) -> u32 {
    bytes as u32
}
