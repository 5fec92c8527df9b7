//! One received frame as a packet source hands it over.

use crate::Instant;

/// What the captured bytes of a frame begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Link {
    /// Ethernet II. `LINKTYPE_ETHERNET`.
    #[default]
    Ethernet,
    /// Linux "cooked" capture. `LINKTYPE_LINUX_SLL`.
    LinuxSll,
    /// Linux "cooked" capture, second version. `LINKTYPE_LINUX_SLL2`.
    LinuxSll2,
    /// IPv4 or IPv6. `LINKTYPE_RAW`, `LINKTYPE_IPV4`, `LINKTYPE_IPV6`.
    RawIp,
    /// A protocol family of 4 bytes, of either byte order. `LINKTYPE_NULL`, `LINKTYPE_LOOP`.
    Loopback,
}

/// What the port knows of the checksums of IP and TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Checksums {
    /// Nothing: they are verified in software, if at all.
    #[default]
    Unknown,
    /// They are right.
    Good,
    /// One of them is wrong.
    Bad,
}

/// One frame, borrowed from the packet source.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// When it was received.
    pub arrival: Instant,
    /// What the captured bytes begin with.
    pub link: Link,
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// Length on the wire, in bytes; larger than `bytes` where a capture cut the frame short.
    pub wire_length: u32,
    /// What the port knows of the checksums.
    pub checksums: Checksums,
}
