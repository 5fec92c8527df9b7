//! What happens to a receive buffer and becomes an event.

use super::overlap::OverlapRule;

/// One of them; offsets are those of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BufferFact {
    Gap { offset: u64, length: u64 },
    Overrun { offset: u64, length: u64 },
    Conflict { offset: u64, length: u64, held: Head, arrived: Head, rule: OverlapRule },
}

/// Bytes of each copy that an overlap conflict shows, at most.
pub const HEAD_BYTES: usize = 32;

/// The first bytes of one copy of a stretch of stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    bytes: [u8; HEAD_BYTES],
    length: usize,
}

impl Head {
    /// The first bytes of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let length = bytes.len().min(HEAD_BYTES);
        let mut head = [0; HEAD_BYTES];
        head[..length].copy_from_slice(&bytes[..length]);
        Self { bytes: head, length }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
