//! One received frame as a packet source hands it over.

use crate::{Instant, limits::BURST};

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
    /// PPP with or without framing, or Cisco's HDLC: the first bytes tell them apart.
    /// `LINKTYPE_PPP`, `LINKTYPE_PPP_HDLC`, `LINKTYPE_C_HDLC`.
    Hdlc,
    /// A session of PPP over Ethernet. `LINKTYPE_PPP_ETHER`.
    PppOverEthernet,
    /// Frame Relay. `LINKTYPE_FRELAY`.
    FrameRelay,
    /// FDDI. `LINKTYPE_FDDI`.
    Fddi,
    /// A header of LLC. `LINKTYPE_ATM_RFC1483`.
    Llc,
    /// Wireless LAN. `LINKTYPE_IEEE802_11`.
    Wireless,
    /// Wireless LAN with a radiotap header. `LINKTYPE_IEEE802_11_RADIOTAP`.
    Radiotap,
    /// A header that says which link type follows. `LINKTYPE_PPI`.
    Ppi,
    /// A packet as the firewall of Linux logs it. `LINKTYPE_NFLOG`.
    Nflog,
    /// IP over InfiniBand. `LINKTYPE_IPOIB`.
    Infiniband,
    /// Something that is not read: the frame counts as received, and as no IP.
    Unread,
}

impl Link {
    /// The link with this number in the registry of tcpdump.org; `None` where it is not read.
    #[must_use]
    pub const fn of_number(number: u32) -> Option<Self> {
        match number {
            0 | 108 => Some(Self::Loopback),
            1 => Some(Self::Ethernet),
            9 | 50 | 104 => Some(Self::Hdlc),
            10 => Some(Self::Fddi),
            // 11, 12 and 14 are in files whose writers used their own system's numbers.
            11 | 100 => Some(Self::Llc),
            12 | 14 | 101 | 228 | 229 => Some(Self::RawIp),
            51 => Some(Self::PppOverEthernet),
            105 => Some(Self::Wireless),
            107 => Some(Self::FrameRelay),
            113 => Some(Self::LinuxSll),
            127 => Some(Self::Radiotap),
            192 => Some(Self::Ppi),
            239 => Some(Self::Nflog),
            242 => Some(Self::Infiniband),
            276 => Some(Self::LinuxSll2),
            _ => None,
        }
    }
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

/// A set of frames of one burst, by their index in it: bit n is frame n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameSet(u32);

const _: () = assert!(BURST == u32::BITS as usize, "a bit for each frame of a burst");

impl FrameSet {
    /// No frame.
    pub const NONE: Self = Self(0);

    /// The same set with the frame at this index, which is below [`BURST`]; larger ones are left
    /// out.
    #[must_use]
    pub const fn with(self, frame: usize) -> Self {
        Self(self.0 | Self::bit(frame))
    }

    /// Whether the frame at this index is in the set.
    #[must_use]
    pub const fn contains(self, frame: usize) -> bool {
        self.0 & Self::bit(frame) != 0
    }

    /// The frames of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set of a part of a burst as a set of the whole: `before` frames come before the part.
    #[must_use]
    pub const fn behind(self, before: usize) -> Self {
        Self(if before < BURST { self.0 << before } else { 0 })
    }

    const fn bit(frame: usize) -> u32 {
        if frame < BURST { 1 << frame } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_of_the_parts_of_a_burst_make_that_of_the_whole() {
        let (first, second) = (FrameSet::NONE.with(0).with(2), FrameSet::NONE.with(1).with(28));
        let whole = first.union(second.behind(3));
        let frames = |set: FrameSet| (0..2 * BURST).filter(move |frame| set.contains(*frame));
        assert!(frames(whole).eq([0, 2, 4, 31]));
        assert!(frames(second.behind(4)).eq([5]), "a burst ends after {BURST} frames");
        assert_eq!(second.behind(BURST), FrameSet::NONE);
        assert_eq!(FrameSet::NONE.with(BURST), FrameSet::NONE);
    }
}
