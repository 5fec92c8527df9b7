//! What makes packets belong to one flow: the unordered pair of addresses and ports.

use core::{
    hash::{Hash, Hasher},
    hint::select_unpredictable,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::Vlans;
use crate::offset::lower_half;

/// Which end of a [`FlowKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum End {
    /// The end with the smaller address and port.
    Low,
    /// The other end.
    High,
}

impl End {
    /// The opposite end.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// The canonical key of a flow, the same for both directions. Five words, compared and hashed as
/// such; two of them suffice for IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowKey {
    pub(super) head: KeyHead,
    pub(super) tail: KeyTail,
}

/// The part of a key that every packet needs: the whole key of IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyHead {
    /// IPv4: both addresses, that of the low end in the upper half. IPv6: the lower half of the
    /// address of the low end.
    address: u64,
    /// From the lowest bit on: port of the high end, port of the low end, the VLAN ids, and whether
    /// the addresses are IPv6.
    ends: u64,
}

/// The rest of the addresses of IPv6: the upper half of the low one, and the high one, upper half
/// first. Zeros for IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyTail([u64; 3]);

impl KeyHead {
    const fn is_v6(&self) -> bool {
        self.ends & FlowKey::IS_V6 != 0
    }
}

impl FlowKey {
    const VLAN_SHIFT: u32 = 32;
    const IS_V6: u64 = 1 << 56;

    /// The key of a packet between two endpoints of the same IP version, and which end sent it.
    #[must_use]
    pub(crate) fn new(source: SocketAddr, destination: SocketAddr) -> (Self, End) {
        match (source, destination) {
            (SocketAddr::V4(source), SocketAddr::V4(destination)) => {
                let [a, b, c, d] = source.ip().octets();
                let [e, f, g, h] = destination.ip().octets();
                let ([i, j], [k, l]) =
                    (source.port().to_be_bytes(), destination.port().to_be_bytes());
                Self::v4([a, b, c, d, e, f, g, h], [i, j, k, l])
            }
            (source, destination) => {
                let source = (bits(source.ip()), source.port());
                Self::v6(source, (bits(destination.ip()), destination.port()))
            }
        }
    }

    /// [`Self::new`] for IPv4, from the addresses and the ports of a packet, source first.
    #[inline]
    #[must_use]
    pub(crate) fn v4(addresses: [u8; 8], ports: [u8; 4]) -> (Self, End) {
        // Read as one number, the other direction has the halves exchanged.
        let (address, ports) = (u64::from_be_bytes(addresses), u32::from_be_bytes(ports));
        let (other_address, other_ports) = (address.rotate_left(32), ports.rotate_left(16));
        // Which end sends is not predictable: no branch here.
        let is_low =
            (address < other_address) | ((address == other_address) & (ports <= other_ports));
        let address = select_unpredictable(is_low, address, other_address);
        let ports = select_unpredictable(is_low, ports, other_ports);
        let from = select_unpredictable(is_low, End::Low, End::High);
        let ends = u64::from(ports);
        (Self { head: KeyHead { address, ends }, tail: KeyTail([0; 3]) }, from)
    }

    /// [`Self::new`] for IPv6, from addresses as numbers and ports.
    fn v6(source: (u128, u16), destination: (u128, u16)) -> (Self, End) {
        let (low, high, from) = if source <= destination {
            (source, destination, End::Low)
        } else {
            (destination, source, End::High)
        };
        let ends = u64::from(high.1) | (u64::from(low.1) << 16) | Self::IS_V6;
        let tail = KeyTail([upper(low.0), upper(high.0), lower(high.0)]);
        (Self { head: KeyHead { address: lower(low.0), ends }, tail }, from)
    }

    /// Whether the addresses are IPv6.
    pub(crate) const fn is_v6(&self) -> bool {
        self.head.is_v6()
    }

    /// Whether these are the parts of this key. The tail of an IPv4 key is not compared.
    #[inline]
    pub(super) fn consists_of(&self, head: &KeyHead, tail: &KeyTail) -> bool {
        self.head == *head && (!self.is_v6() || self.tail == *tail)
    }

    /// The key that consists of these parts.
    #[inline]
    pub(super) const fn from_parts(head: KeyHead, tail: &KeyTail) -> Self {
        Self { head, tail: if head.is_v6() { *tail } else { KeyTail([0; 3]) } }
    }

    const fn with_ends(self, ends: u64) -> Self {
        Self { head: KeyHead { ends, ..self.head }, ..self }
    }

    /// The key with these VLAN ids.
    #[must_use]
    pub(crate) const fn in_vlans(self, vlans: Vlans) -> Self {
        let ids = Vlans::ALL_BITS << Self::VLAN_SHIFT;
        let ends = self.head.ends & !ids;
        self.with_ends(ends | ((vlans.bits() as u64) << Self::VLAN_SHIFT))
    }

    /// The VLAN ids of the key.
    #[must_use]
    pub(crate) const fn vlans(&self) -> Vlans {
        Vlans::from_bits(self.head.ends >> Self::VLAN_SHIFT)
    }

    /// The address and port of one end.
    #[must_use]
    pub(crate) fn endpoint(&self, end: End) -> SocketAddr {
        let (KeyHead { address: first, ends }, KeyTail([l0, h0, h1])) = (self.head, self.tail);
        let [a, b, c, d, e, f, g, h] = first.to_be_bytes();
        let (upper, lower, v4, port) = match end {
            End::Low => (l0, first, [a, b, c, d], ends >> 16),
            End::High => (h0, h1, [e, f, g, h], ends),
        };
        let address = if self.is_v6() {
            IpAddr::V6(Ipv6Addr::from_bits((u128::from(upper) << 64) | u128::from(lower)))
        } else {
            IpAddr::V4(Ipv4Addr::from(v4))
        };
        let [.., p0, p1] = port.to_be_bytes();
        SocketAddr::new(address, u16::from_be_bytes([p0, p1]))
    }

    /// Whether endpoints of TCP can have both addresses: RFC 1122 section 3.2.1.3, RFC 4291
    /// sections 2.5 and 2.7. A loopback address never leaves its host, so the other one is a
    /// loopback address, too.
    #[inline]
    pub(crate) fn is_possible(&self) -> bool {
        if self.is_v6() { self.is_possible_v6() } else { is_possible_v4(self.head.address) }
    }

    /// Whether both ends have one address, other than a loopback address: only the loopback
    /// interface of that host carries such packets.
    #[inline]
    pub(crate) fn is_within_host(&self) -> bool {
        let KeyTail([l0, h0, h1]) = self.tail;
        if self.is_v6() {
            let low = u128::from(l0) << 64 | u128::from(self.head.address);
            let high = u128::from(h0) << 64 | u128::from(h1);
            low == high && !Ipv6Addr::from_bits(low).is_loopback()
        } else {
            let [low, high] = [self.head.address >> 32, self.head.address].map(lower_half);
            low == high && low >> 24 != 127
        }
    }

    fn is_possible_v6(&self) -> bool {
        let KeyTail([l0, h0, h1]) = self.tail;
        let ends = [(l0, self.head.address), (h0, h1)]
            .map(|(upper, lower)| Ipv6Addr::from_bits(u128::from(upper) << 64 | u128::from(lower)));
        let [is_loopback, other_is_loopback] = ends.map(|address| address.is_loopback());
        is_loopback == other_is_loopback && ends.into_iter().all(is_unicast)
    }

    /// The key of all flows between the same two hosts.
    #[must_use]
    pub(crate) const fn hosts(self) -> Self {
        const PORTS: u64 = 0xffff_ffff;
        self.with_ends(self.head.ends & !PORTS)
    }

    /// A hash that is the same on every worker, for spreading frames over them.
    #[must_use]
    pub(crate) fn spread(&self) -> u32 {
        const SEEDS: [u64; 4] = [
            0x243f_6a88_85a3_08d3,
            0x1319_8a2e_0370_7344,
            0xa409_3822_299f_31d0,
            0x082e_fa98_ec4e_6c89,
        ];
        let [a, b, c, d] = SEEDS;
        let hash = ahash::RandomState::with_seeds(a, b, c, d).hash_one(self);
        // The upper half is as good as the lower one.
        u32::try_from(hash >> 32).unwrap_or_default()
    }
}

impl Hash for FlowKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let KeyHead { address, ends } = self.head;
        state.write_u64(address);
        if self.is_v6() {
            // The tail of an IPv4 key is zero, and need not be hashed.
            let KeyTail(words) = self.tail;
            for word in words {
                state.write_u64(word);
            }
        }
        state.write_u64(ends);
    }
}

/// An address as a number. Used in IPv6 keys only, so an IPv4-mapped address stays distinct.
const fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits() as u128,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// [`FlowKey::is_possible`] of both addresses of IPv4, side by side. Their first octets tell them
/// apart in few steps: every unknown packet of a flood comes here.
fn is_possible_v4(addresses: u64) -> bool {
    let ends = [addresses >> 32, addresses].map(lower_half);
    let [is_loopback, other_is_loopback] = ends.map(|address| address >> 24 == 127);
    let names_one_host = |address: u32| {
        let is_multicast = address >> 28 == 0xe;
        let is_anyone = address.wrapping_add(1) <= 1; // 0.0.0.0 and 255.255.255.255
        !(is_multicast | is_anyone)
    };
    is_loopback == other_is_loopback && ends.into_iter().all(names_one_host)
}

/// Whether an address names one host. An IPv4-mapped one names a host of IPv4: hosts drop a packet
/// of IPv6 with it.
fn is_unicast(address: Ipv6Addr) -> bool {
    let is_mapped = address.to_ipv4_mapped().is_some();
    !(address.is_multicast() || address.is_unspecified() || is_mapped)
}

const fn upper(address: u128) -> u64 {
    (address >> 64) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
const fn lower(address: u128) -> u64 {
    address as u64
}
