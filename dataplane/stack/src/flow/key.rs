//! What makes packets belong to one flow: the unordered pair of addresses and ports.

use core::{
    hash::{Hash, Hasher},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

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

/// The canonical key of a flow: both directions have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowKey {
    /// Low end, high end; IPv4 addresses in the last four bytes.
    addresses: [[u8; 16]; 2],
    ports: [u16; 2],
    /// [`Self::NO_VLAN`] unless VLANs tell flows apart.
    vlan: u16,
    is_v6: bool,
}

impl FlowKey {
    const NO_VLAN: u16 = u16::MAX;

    /// The key of a packet between two endpoints of the same IP version, and which end sent it.
    #[must_use]
    pub(crate) fn new(source: SocketAddr, destination: SocketAddr) -> (Self, End) {
        let is_v6 = source.is_ipv6();
        let source = (bytes(source.ip()), source.port());
        let destination = (bytes(destination.ip()), destination.port());
        let (low, high, from) = if source <= destination {
            (source, destination, End::Low)
        } else {
            (destination, source, End::High)
        };
        let key =
            Self { addresses: [low.0, high.0], ports: [low.1, high.1], vlan: Self::NO_VLAN, is_v6 };
        (key, from)
    }

    /// The key that holds for this VLAN alone.
    #[must_use]
    pub(crate) const fn in_vlan(self, vlan: Option<u16>) -> Self {
        match vlan {
            Some(vlan) => Self { vlan, ..self },
            None => self,
        }
    }

    /// The address and port of one end.
    #[must_use]
    pub(crate) fn endpoint(&self, end: End) -> SocketAddr {
        let ([low, high], [low_port, high_port]) = (self.addresses, self.ports);
        let (address, port) = match end {
            End::Low => (low, low_port),
            End::High => (high, high_port),
        };
        let address = if self.is_v6 {
            IpAddr::V6(Ipv6Addr::from(address))
        } else {
            let [.., a, b, c, d] = address;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        };
        SocketAddr::new(address, port)
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
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [low, high] = self.addresses;
        let [low_port, high_port] = self.ports;
        state.write_u128(u128::from_ne_bytes(low));
        state.write_u128(u128::from_ne_bytes(high));
        state.write_u64(
            u64::from(low_port)
                | (u64::from(high_port) << 16)
                | (u64::from(self.vlan) << 32)
                | (u64::from(self.is_v6) << 48),
        );
    }
}

/// An address as 16 bytes; the IP version is kept apart, so a mapped address stays distinct.
fn bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
        }
        IpAddr::V6(address) => address.octets(),
    }
}
