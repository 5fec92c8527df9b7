//! Which tunnels are opened.

use super::{DEPTH_MAX, protocol};

/// A kind of tunnel that says what it is, so that it can be switched off by name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TunnelKind {
    /// Labels, and pseudowires behind them.
    Mpls,
    /// PPP sessions over Ethernet.
    Pppoe,
    /// Service chains.
    Nsh,
    /// GRE version 0.
    Gre,
    /// Mirrors in GRE.
    Erspan,
    /// IP in IP, of either version.
    IpIp,
}

impl TunnelKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Mpls, Self::Pppoe, Self::Nsh, Self::Gre, Self::Erspan, Self::IpIp];

    /// The kind in lower case, as the configuration names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mpls => "mpls",
            Self::Pppoe => "pppoe",
            Self::Nsh => "nsh",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::IpIp => "ipip",
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TunnelKinds(u8);

impl TunnelKinds {
    /// No kind.
    pub const NONE: Self = Self(0);

    /// The same with one more.
    #[must_use]
    pub const fn with(self, kind: TunnelKind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    const fn contains(self, kind: TunnelKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

/// Most ports of one protocol.
pub const TUNNEL_PORTS_MAX: usize = 4;

/// UDP ports of one protocol, [`TUNNEL_PORTS_MAX`] at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TunnelPorts([u16; TUNNEL_PORTS_MAX]);

impl TunnelPorts {
    /// No port.
    pub const NONE: Self = Self([0; TUNNEL_PORTS_MAX]);

    /// One port.
    #[must_use]
    pub const fn one(port: u16) -> Self {
        Self([port, 0, 0, 0])
    }

    /// These and one more; `None` if there are as many as may be. A port that is there already, and
    /// 0, change nothing.
    #[must_use]
    pub fn with(self, port: u16) -> Option<Self> {
        let Self(mut ports) = self;
        if port == 0 || self.contains(port) {
            return Some(self);
        }
        *ports.iter_mut().find(|place| **place == 0)? = port;
        Some(Self(ports))
    }

    pub(super) fn contains(self, port: u16) -> bool {
        port != 0 && self.0.contains(&port)
    }

    fn is_empty(self) -> bool {
        self == Self::NONE
    }
}

/// Which tunnels are opened, and how many around each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunnels {
    /// Most tunnels of one frame, up to 4. 0: none is opened.
    pub depth_max: u8,
    /// UDP ports of VXLAN. Default 4789.
    pub vxlan: TunnelPorts,
    /// UDP ports of GENEVE. Default 6081.
    pub geneve: TunnelPorts,
    /// UDP ports of GTP-U. Default 2152.
    pub gtpu: TunnelPorts,
    /// Kinds that are not opened.
    pub off: TunnelKinds,
}

impl Default for Tunnels {
    fn default() -> Self {
        Self {
            depth_max: DEPTH_MAX,
            vxlan: TunnelPorts::one(4789),
            geneve: TunnelPorts::one(6081),
            gtpu: TunnelPorts::one(2152),
            off: TunnelKinds::NONE,
        }
    }
}

impl Tunnels {
    /// None is opened.
    pub const NONE: Self = Self {
        depth_max: 0,
        vxlan: TunnelPorts::NONE,
        geneve: TunnelPorts::NONE,
        gtpu: TunnelPorts::NONE,
        off: TunnelKinds::NONE,
    };

    /// The same without a kind.
    #[must_use]
    pub const fn without(self, kind: TunnelKind) -> Self {
        Self { off: self.off.with(kind), ..self }
    }

    /// Whether tunnels of a kind are opened.
    pub(in super::super) const fn opens(&self, kind: TunnelKind) -> bool {
        self.depth_max > 0 && !self.off.contains(kind)
    }

    /// Whether packets of an IP protocol may carry others.
    pub(in super::super) fn may_be(&self, protocol: u8) -> bool {
        match protocol {
            protocol::IPV4 | protocol::IPV6 => self.opens(TunnelKind::IpIp),
            protocol::MPLS => self.opens(TunnelKind::Mpls),
            protocol::GRE => self.opens(TunnelKind::Gre) || self.opens(TunnelKind::Erspan),
            protocol::UDP => {
                let ports = [self.vxlan, self.geneve, self.gtpu];
                self.depth_max > 0 && !ports.into_iter().all(TunnelPorts::is_empty)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_to_four_ports_are_told_apart_and_0_is_none() {
        let ports = [8472, 0, 4789, 8472, 1, 2]
            .iter()
            .try_fold(TunnelPorts::NONE, |ports, port| ports.with(*port));
        let ports = ports.expect("four");
        assert!([8472, 4789, 1, 2].iter().all(|port| ports.contains(*port)));
        assert!(!ports.contains(0) && !ports.contains(3));
        assert_eq!(ports.with(3), None);
        assert_eq!(ports.with(2), Some(ports));
    }

    #[test]
    fn what_is_off_is_not_opened() {
        let opened = |tunnels: Tunnels| TunnelKind::ALL.map(|kind| tunnels.opens(kind));
        assert_eq!(opened(Tunnels::default()), [true; 6]);
        assert_eq!(opened(Tunnels::NONE), [false; 6]);
        assert_eq!(opened(Tunnels { depth_max: 0, ..Tunnels::default() }), [false; 6]);
        for kind in TunnelKind::ALL {
            let tunnels = Tunnels::default().without(kind);
            assert!(TunnelKind::ALL.iter().all(|other| tunnels.opens(*other) != (*other == kind)));
        }
        let without_udp = Tunnels {
            vxlan: TunnelPorts::NONE,
            geneve: TunnelPorts::NONE,
            gtpu: TunnelPorts::NONE,
            ..Tunnels::default()
        };
        assert!(!without_udp.may_be(protocol::UDP) && without_udp.may_be(protocol::GRE));
        assert!((0..=255).all(|protocol| !Tunnels::NONE.may_be(protocol)));
    }
}
