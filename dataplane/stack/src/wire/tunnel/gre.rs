//! GRE, RFC 2784 and RFC 2890, and the mirrors that use it: ERSPAN types I to III, as the drafts
//! draft-foschiano-erspan describe them.

use super::{Inside, Next, ParseError, Span, TunnelKind, Tunnels, Vlans};

/// Protocol types that no other layer has.
mod protocol_type {
    pub(super) const ERSPAN_I_II: u16 = 0x88be;
    pub(super) const ERSPAN_III: u16 = 0x22eb;
}

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const VERSION: u16 = 0x0007;

/// What the payload of GRE version 0 is. Version 1 carries PPP.
pub(super) fn open<'a>(mut bytes: Span<'a>, tunnels: &Tunnels) -> Result<Inside<'a>, ParseError> {
    let [f0, f1, p0, p1] = *bytes.take::<4>()?;
    let flags = u16::from_be_bytes([f0, f1]);
    if flags & (VERSION | ROUTING) != 0 {
        return Err(ParseError::NotTcp);
    }
    for option in [CHECKSUM, KEY, SEQUENCE] {
        if flags & option != 0 {
            bytes.take::<4>()?;
        }
    }
    let protocol_type = u16::from_be_bytes([p0, p1]);
    let kind = match protocol_type {
        protocol_type::ERSPAN_I_II | protocol_type::ERSPAN_III => TunnelKind::Erspan,
        _ => TunnelKind::Gre,
    };
    if !tunnels.opens(kind) {
        return Err(ParseError::NotTcp);
    }
    match protocol_type {
        protocol_type::ERSPAN_I_II if flags & SEQUENCE == 0 => {
            Ok(Inside::new(Next::Ethernet, bytes).mirrored())
        }
        protocol_type::ERSPAN_I_II => open_erspan_2(bytes),
        protocol_type::ERSPAN_III => open_erspan_3(bytes),
        ether_type => Ok(Inside::new(Next::Type(ether_type), bytes)),
    }
}

/// Type II: version 1, the VLAN and the session, and 4 bytes more.
fn open_erspan_2(mut bytes: Span<'_>) -> Result<Inside<'_>, ParseError> {
    let [v0, v1, ..] = *bytes.take::<8>()?;
    if v0 >> 4 != 1 {
        return Err(ParseError::NotTcp);
    }
    let inside = Inside { vlans: vlans(v0, v1), ..Inside::new(Next::Ethernet, bytes) };
    Ok(inside.mirrored())
}

/// Type III: version 2, times, the type of what was mirrored, and 8 bytes more if the last bit says
/// so.
fn open_erspan_3(mut bytes: Span<'_>) -> Result<Inside<'_>, ParseError> {
    const FRAME_TYPE: u8 = 0x7c;
    const ETHERNET: u8 = 0;
    const IP: u8 = 2 << 2;
    const SUBHEADER: u8 = 1;
    let [v0, v1, _, _, _, _, _, _, _, _, kind, last] = *bytes.take::<12>()?;
    if v0 >> 4 != 2 {
        return Err(ParseError::NotTcp);
    }
    if last & SUBHEADER != 0 {
        bytes.take::<8>()?;
    }
    let next = match kind & FRAME_TYPE {
        ETHERNET => Next::Ethernet,
        IP => Next::Ip,
        _ => return Err(ParseError::NotIp),
    };
    Ok(Inside { vlans: vlans(v0, v1), ..Inside::new(next, bytes) }.mirrored())
}

/// The VLAN id in the first bytes of a header of ERSPAN; 0 is none.
const fn vlans(v0: u8, v1: u8) -> Vlans {
    Vlans::one(u16::from_be_bytes([v0, v1]))
}
