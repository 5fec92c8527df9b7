//! What mirror ports, providers and overlays put around packets.
//!
//! Each protocol has a function that takes the bytes behind the header which names it, and says
//! what they carry. None has a state, and none reads beyond what the layer around it holds.

mod gre;
mod mpls;
mod nsh;
mod pppoe;
mod udp;
mod which;

#[cfg(test)]
mod tests;

pub(super) use mpls::open as open_mpls;
pub(super) use nsh::open as open_nsh;
pub(super) use pppoe::open as open_pppoe;
pub use which::{TUNNEL_PORTS_MAX, TunnelKind, TunnelKinds, TunnelPorts, Tunnels};

use super::{ParseError, ether_type, span::Span};
use crate::flow::Vlans;

/// Most encapsulations of one frame: Zeek's bound, and enough for VXLAN behind a GENEVE gateway.
pub(super) const DEPTH_MAX: u8 = 4;

/// Numbers of `Protocol`, and of `Next Header`.
mod protocol {
    pub(super) const IPV4: u8 = 4;
    pub(super) const UDP: u8 = 17;
    pub(super) const IPV6: u8 = 41;
    pub(super) const GRE: u8 = 47;
    pub(super) const MPLS: u8 = 137;
}

/// What a tunnel carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inside<'a> {
    pub(super) next: Next,
    pub(super) bytes: Span<'a>,
    /// The VLAN id that the tunnel's header tells.
    pub(super) vlans: Vlans,
}

/// What bytes begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The header of Ethernet.
    Ethernet,
    /// The header of LLC.
    Llc,
    /// What an `EtherType` says.
    Type(u16),
    /// A header of IP, which has its version.
    Ip,
}

impl<'a> Inside<'a> {
    const fn new(next: Next, bytes: Span<'a>) -> Self {
        Self { next, bytes, vlans: Vlans::NONE }
    }

    /// The same where a mirror may have cut what is inside.
    const fn mirrored(self) -> Self {
        Self { bytes: Span { may_be_cut: true, ..self.bytes }, ..self }
    }
}

/// What the payload of an IP packet carries, of a protocol for which [`Tunnels::may_be`] holds.
pub(super) fn open<'a>(
    protocol: u8,
    bytes: Span<'a>,
    tunnels: &Tunnels,
) -> Result<Inside<'a>, ParseError> {
    match protocol {
        protocol::IPV4 => Ok(Inside::new(Next::Type(ether_type::IPV4), bytes)),
        protocol::IPV6 => Ok(Inside::new(Next::Type(ether_type::IPV6), bytes)),
        protocol::MPLS => mpls::open(bytes),
        protocol::GRE => gre::open(bytes, tunnels),
        protocol::UDP => udp::open(bytes, tunnels),
        _ => Err(ParseError::NotTcp),
    }
}
