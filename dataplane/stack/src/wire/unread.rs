//! What a frame is that holds no segment: told, so that nobody wonders where the flows are.

use super::{
    ether_type,
    link::{self, Network},
    span::Span,
};
use crate::{Frame, Link};

/// What a frame is that is not followed to TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unread {
    /// Of this `EtherType`.
    EtherType(u16),
    /// Of this protocol of IP.
    Protocol(u8),
    /// UDP to this port.
    Udp(u16),
    /// UDP to this port, with what looks like VXLAN.
    Vxlan(u16),
}

impl Unread {
    /// As a number; 0 is none of them.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        let (kind, number) = match self {
            Self::EtherType(number) => (1, number),
            Self::Protocol(number) => (2, number as u16),
            Self::Udp(port) => (3, port),
            Self::Vxlan(port) => (4, port),
        };
        kind << 16 | number as u64
    }

    /// The inverse of [`Self::to_bits`].
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        let [.., kind, n0, n1] = bits.to_be_bytes();
        let number = u16::from_be_bytes([n0, n1]);
        match kind {
            1 => Some(Self::EtherType(number)),
            2 => Some(Self::Protocol(n1)),
            3 => Some(Self::Udp(number)),
            4 => Some(Self::Vxlan(number)),
            _ => None,
        }
    }

    /// What a frame is, as far as its outermost packet says.
    pub(crate) fn of(frame: &Frame<'_>) -> Option<Self> {
        let Ok(header) = link::parse(frame) else {
            return ether_type_of(frame).map(Self::EtherType);
        };
        let packet = header.payload.captured;
        let (protocol, rest) = match header.network {
            Network::Ipv4 => {
                let words = usize::from(packet.first()? & 0x0f);
                (*packet.get(9)?, packet.get(words.saturating_mul(4)..))
            }
            Network::Ipv6 => (*packet.get(6)?, packet.get(40..)),
            Network::Mpls => return Some(Self::EtherType(ether_type::MPLS)),
            Network::Pppoe | Network::Nsh => return ether_type_of(frame).map(Self::EtherType),
        };
        const UDP: u8 = 17;
        let port = rest.and_then(|rest| rest.get(2..)?.first_chunk()).copied();
        match port.map(u16::from_be_bytes).filter(|_| protocol == UDP) {
            Some(port) if rest.and_then(|rest| rest.get(8..)).is_some_and(looks_like_vxlan) => {
                Some(Self::Vxlan(port))
            }
            Some(port) => Some(Self::Udp(port)),
            None => Some(Self::Protocol(protocol)),
        }
    }
}

/// Whether bytes begin with a header of VXLAN, and behind it with a frame of a usual type.
fn looks_like_vxlan(bytes: &[u8]) -> bool {
    let is_header = matches!(*bytes, [0x08, 0, 0, 0, _, _, _, 0, ..]);
    let kind = bytes.get(20..).and_then(|rest| rest.first_chunk()).copied();
    is_header && matches!(kind, Some([0x08, 0 | 6] | [0x86, 0xdd] | [0x81, 0] | [0x88, 0xa8]))
}

/// The `EtherType` of a frame, behind its tags, where its link has one.
fn ether_type_of(frame: &Frame<'_>) -> Option<u16> {
    const BEFORE: [(Link, usize); 3] =
        [(Link::Ethernet, 12), (Link::LinuxSll, 14), (Link::LinuxSll2, 0)];
    let before = BEFORE.into_iter().find(|(link, _)| *link == frame.link);
    let mut bytes = Span::new(frame.bytes, frame.bytes.len());
    bytes.skip(before?.1).ok()?;
    let mut number = u16::from_be_bytes(*bytes.take().ok()?);
    while ether_type::TAGS.contains(&number) {
        let [_, _, t0, t1] = *bytes.take().ok()?;
        number = u16::from_be_bytes([t0, t1]);
    }
    Some(number).filter(|number| *number >= ether_type::MIN)
}

/// What most of these frames are, if more than half are the same: a majority vote, in constant
/// space. Of many frames every sixteenth votes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Majority {
    leader: Option<Unread>,
    votes: u32,
    seen: u32,
}

impl Majority {
    /// Takes the vote of a frame.
    #[cold]
    pub(crate) fn note(&mut self, frame: &Frame<'_>) {
        const ALL_OF_FIRST: u32 = 64;
        const EVERY: u32 = 16;
        self.seen = self.seen.wrapping_add(1);
        if self.seen > ALL_OF_FIRST && !self.seen.is_multiple_of(EVERY) {
            return;
        }
        let vote = Unread::of(frame);
        if vote == self.leader {
            self.votes = self.votes.saturating_add(1);
        } else if self.votes == 0 {
            (self.leader, self.votes) = (vote, 1);
        } else {
            self.votes = self.votes.saturating_sub(1);
        }
    }

    pub(crate) const fn leader(&self) -> Option<Unread> {
        self.leader
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "the contract of the parser does not bind its tests")]
mod tests {
    use super::*;
    use crate::{Instant, testing::FrameBuilder};

    fn udp(port: u16, payload: &[u8]) -> std::vec::Vec<u8> {
        let mut bytes = FrameBuilder::new("10.0.0.1:1", "10.0.0.2:2").payload(payload).build();
        let (packet, segment) = bytes.split_at(34);
        let mut frame = packet.to_vec();
        frame[23] = 17;
        frame.extend(&segment[..2]);
        frame.extend(port.to_be_bytes());
        frame.extend([0, 0, 0, 0]);
        frame.extend(bytes.split_off(54));
        frame
    }

    #[test]
    fn frames_are_told_by_what_names_their_content() {
        let of = |bytes: &[u8]| Unread::of(&FrameBuilder::arriving(bytes, Instant::EPOCH));
        let inner = FrameBuilder::new("10.0.0.1:1", "10.0.0.2:2").build();
        let vxlan = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &inner].concat();
        assert_eq!(of(&udp(8472, &vxlan)), Some(Unread::Vxlan(8472)));
        assert_eq!(of(&udp(443, b"a question")), Some(Unread::Udp(443)));
        let mut icmp = inner.clone();
        icmp[23] = 1;
        assert_eq!(of(&icmp), Some(Unread::Protocol(1)));
        let arp = [&[2; 12][..], &[0x81, 0, 0, 5, 0x08, 0x06], &[0; 28]].concat();
        assert_eq!(of(&arp), Some(Unread::EtherType(0x0806)));
        let mpls = [&[2; 12][..], &[0x88, 0x47], &[0; 28]].concat();
        assert_eq!(of(&mpls), Some(Unread::EtherType(0x8847)));
        let bridges = [&[2; 12][..], &[0, 38], &[0x42, 0x42, 3], &[0; 35]].concat();
        assert_eq!(of(&bridges), None);
        for cut in 0..icmp.len() {
            let _no_panic = of(&icmp[..cut]);
        }
    }

    #[test]
    fn a_number_says_which_it_is() {
        for unread in [
            Unread::EtherType(0x88e5),
            Unread::Protocol(132),
            Unread::Udp(65_535),
            Unread::Vxlan(8472),
        ] {
            assert_eq!(Unread::from_bits(unread.to_bits()), Some(unread));
        }
        assert_eq!(Unread::from_bits(0), None);
    }

    #[test]
    fn what_more_than_half_of_the_frames_are_leads() {
        let mut majority = Majority::default();
        for n in 0..10_000_u16 {
            let bytes = udp(if n % 5 < 3 { 443 } else { n }, b"?");
            majority.note(&FrameBuilder::arriving(&bytes, Instant::EPOCH));
        }
        assert_eq!(majority.leader(), Some(Unread::Udp(443)));
    }
}
