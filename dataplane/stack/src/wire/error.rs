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
    /// A fragment of an IP packet for which there was no room, or that contradicts its packet.
    #[error("an IP fragment without room")]
    Fragment,
    /// The captured bytes end within the headers.
    #[error("truncated headers")]
    Truncated,
    /// The checksum of the IPv4 header or of TCP is wrong.
    #[error("wrong checksum")]
    Checksum,
    /// The headers contradict themselves, or each other.
    #[error("malformed headers")]
    Malformed,
}
