//! What a policy takes, as alternatives: each a set of values for every field.

use core::net::{IpAddr, SocketAddr};

use super::ranges::Ranges;
use crate::{FlowTuple, Sides};

/// One way to fit a policy: every field has one of these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// The client's and the server's address and port.
    pub ends: Sides<EndRanges>,
    /// VLAN ids, among them perhaps [`Alternative::UNTAGGED`].
    pub vlans: Ranges<u16>,
}

/// Addresses and ports of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndRanges {
    /// Its addresses.
    pub addresses: AddressRanges,
    /// Its ports.
    pub ports: Ranges<u16>,
}

/// Addresses of both IP versions, as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRanges {
    /// Addresses of IPv4.
    pub v4: Ranges<u32>,
    /// Addresses of IPv6.
    pub v6: Ranges<u128>,
}

impl AddressRanges {
    /// Every address.
    #[must_use]
    pub fn all() -> Self {
        Self { v4: Ranges::all(), v6: Ranges::all() }
    }

    /// The addresses that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self { v4: self.v4.complement(), v6: self.v6.complement() }
    }

    fn union(&self, other: &Self) -> Self {
        Self { v4: self.v4.union(&other.v4), v6: self.v6.union(&other.v6) }
    }

    fn intersection(&self, other: &Self) -> Self {
        Self { v4: self.v4.intersection(&other.v4), v6: self.v6.intersection(&other.v6) }
    }

    fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }
}

impl EndRanges {
    fn all() -> Self {
        Self { addresses: AddressRanges::all(), ports: Ranges::all() }
    }

    fn contains(&self, end: SocketAddr) -> bool {
        self.addresses.contains(end.ip()) && self.ports.contains(end.port())
    }
}

impl Alternative {
    /// Stands for "no VLAN" among the ids, which end at 4095.
    pub const UNTAGGED: u16 = u16::MAX;

    /// Takes every flow.
    #[must_use]
    pub fn all() -> Self {
        Self { ends: Sides::both(EndRanges::all()), vlans: Ranges::all() }
    }

    /// Whether a flow with this tuple fits.
    #[must_use]
    pub fn contains(&self, tuple: &FlowTuple) -> bool {
        let Sides { client, server } = &self.ends;
        client.contains(tuple.client)
            && server.contains(tuple.server)
            && self.vlans.contains(tuple.vlan.unwrap_or(Self::UNTAGGED))
    }

    /// What fits both; `None` if nothing does.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let end = |one: &EndRanges, other: &EndRanges| EndRanges {
            addresses: one.addresses.intersection(&other.addresses),
            ports: one.ports.intersection(&other.ports),
        };
        let both = Self {
            ends: Sides {
                client: end(&self.ends.client, &other.ends.client),
                server: end(&self.ends.server, &other.ends.server),
            },
            vlans: self.vlans.intersection(&other.vlans),
        };
        Some(both).filter(|both| !both.is_empty())
    }

    /// The one alternative that takes what either of the two does, where they differ in one field.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Option<Self> {
        if self.differences(other) > 1 {
            return None;
        }
        let mut merged = self.clone();
        for side in crate::Side::BOTH {
            let (own, others) = (&self.ends[side], &other.ends[side]);
            merged.ends[side] = EndRanges {
                addresses: own.addresses.union(&others.addresses),
                ports: own.ports.union(&others.ports),
            };
        }
        merged.vlans = self.vlans.union(&other.vlans);
        Some(merged)
    }

    /// Whether no flow fits. Both addresses of a flow have the same version.
    fn is_empty(&self) -> bool {
        let Sides { client, server } = &self.ends;
        let no_v4 = client.addresses.v4.is_empty() || server.addresses.v4.is_empty();
        let no_v6 = client.addresses.v6.is_empty() || server.addresses.v6.is_empty();
        let no_port = client.ports.is_empty() || server.ports.is_empty();
        (no_v4 && no_v6) || no_port || self.vlans.is_empty()
    }

    /// How many fields have other values.
    fn differences(&self, other: &Self) -> usize {
        let (own, others) = (&self.ends, &other.ends);
        let differ = [
            own.client.addresses != others.client.addresses,
            own.client.ports != others.client.ports,
            own.server.addresses != others.server.addresses,
            own.server.ports != others.server.ports,
            self.vlans != other.vlans,
        ];
        differ.into_iter().filter(|differs| *differs).count()
    }
}
