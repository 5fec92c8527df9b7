//! Why a frame is not monitored. The variants are the drop reasons that are counted.

/// Why a frame holds no segment for the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// Neither IPv4 nor IPv6.
    #[error("not IP")]
    NotIp,
    /// IP, but not TCP.
    #[error("not TCP")]
    NotTcp,
    /// In more than four tunnels.
    #[error("more than four tunnels")]
    TooDeep,
    /// A fragment of an IP packet for which there was no room, or that contradicts its packet: that
    /// is discarded then.
    #[error("an IP fragment without room, or a contradiction")]
    Fragment,
    /// A fragment that overlaps others of its packet, which is discarded.
    #[error("an overlapping IP fragment")]
    FragmentOverlap,
    /// A first fragment of an IPv6 packet that ends within the headers.
    #[error("a first fragment without all headers")]
    FragmentHeaders,
    /// The captured bytes end within the headers.
    #[error("truncated headers")]
    Truncated,
    /// The checksum of the IPv4 header or of TCP is wrong.
    #[error("wrong checksum")]
    Checksum,
    /// An option of IP obliges the receiver to discard the packet, or is malformed.
    #[error("refused IP options")]
    IpOptions,
    /// An extension header of IPv6 is not where it may be, or has segments left that cannot be.
    #[error("refused IPv6 extension headers")]
    ExtensionHeaders,
    /// From or to an address that no endpoint of TCP has.
    #[error("an impossible address")]
    Address,
    /// The IP header says a length of 0, and segmentation offload did not write it.
    #[error("an IP length of 0")]
    LengthZero,
    /// The headers contradict themselves, or each other.
    #[error("malformed headers")]
    Malformed,
}
