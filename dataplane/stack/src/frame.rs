//! One received frame as a packet source hands it over.

use crate::Instant;

/// One Ethernet frame, borrowed from whoever received it.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// When it was received.
    pub arrival: Instant,
    /// The captured bytes, from the destination address on.
    pub bytes: &'a [u8],
    /// Length on the wire, in bytes; larger than `bytes` where a capture cut the frame short.
    pub wire_length: u32,
}
