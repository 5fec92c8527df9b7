//! Tunnels over UDP, told by the port that a packet is for: VXLAN (RFC 7348), GENEVE (RFC 8926),
//! GTP-U (3GPP TS 29.281). A host's own port may be one of theirs by chance: then their flags must
//! fit, too.

use super::{Inside, Next, ParseError, Span, Tunnels};

/// Bytes of the header of UDP.
const HEADER: usize = 8;

/// Most extension headers of one GTP-U packet.
const EXTENSIONS_MAX: usize = 8;

pub(super) fn open<'a>(mut bytes: Span<'a>, tunnels: &Tunnels) -> Result<Inside<'a>, ParseError> {
    let [_, _, d0, d1, l0, l1, _, _] = *bytes.take::<HEADER>()?;
    let open = match u16::from_be_bytes([d0, d1]) {
        port if tunnels.vxlan.contains(port) => open_vxlan,
        port if tunnels.geneve.contains(port) => open_geneve,
        port if tunnels.gtpu.contains(port) => open_gtp,
        _ => return Err(ParseError::NotTcp),
    };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    open(bytes.cut(length.checked_sub(HEADER).ok_or(ParseError::Malformed)?)?)
}

/// Of its flags, one must be set; extensions and vendors use others.
fn open_vxlan(mut bytes: Span<'_>) -> Result<Inside<'_>, ParseError> {
    const HAS_NUMBER: u8 = 0x08;
    let [flags, ..] = *bytes.take::<8>()?;
    if flags & HAS_NUMBER == 0 {
        return Err(ParseError::NotTcp);
    }
    Ok(Inside::new(Next::Ethernet, bytes).mirrored())
}

fn open_geneve(mut bytes: Span<'_>) -> Result<Inside<'_>, ParseError> {
    const CONTROL: u8 = 0x80;
    let [version_length, flags, p0, p1, ..] = *bytes.take::<8>()?;
    if version_length >> 6 != 0 || flags & CONTROL != 0 {
        return Err(ParseError::NotTcp);
    }
    bytes.skip(usize::from(version_length & 0x3f).saturating_mul(4))?;
    Ok(Inside::new(Next::Type(u16::from_be_bytes([p0, p1])), bytes).mirrored())
}

/// Version 1, and packets of users alone.
fn open_gtp(mut bytes: Span<'_>) -> Result<Inside<'_>, ParseError> {
    const VERSION_AND_TYPE: u8 = 0xf0;
    const VERSION_1: u8 = 0x30;
    const HAS_EXTENSIONS: u8 = 0x04;
    const HAS_MORE: u8 = 0x07;
    const USER_PACKET: u8 = 255;
    let [flags, kind, l0, l1, _, _, _, _] = *bytes.take::<8>()?;
    if flags & VERSION_AND_TYPE != VERSION_1 || kind != USER_PACKET {
        return Err(ParseError::NotTcp);
    }
    let mut bytes = bytes.cut(usize::from(u16::from_be_bytes([l0, l1])))?;
    if flags & HAS_MORE != 0 {
        let [_, _, _, next] = *bytes.take::<4>()?;
        skip_extensions(&mut bytes, if flags & HAS_EXTENSIONS != 0 { next } else { 0 })?;
    }
    Ok(Inside::new(Next::Ip, bytes))
}

/// Each begins with its length in units of 4 bytes, and ends with the type of the next one, or 0.
fn skip_extensions(bytes: &mut Span<'_>, mut next: u8) -> Result<(), ParseError> {
    for _ in 0..EXTENSIONS_MAX {
        if next == 0 {
            return Ok(());
        }
        let units = bytes.captured.first().copied().ok_or(ParseError::Truncated)?;
        let length = usize::from(units).saturating_mul(4);
        let last = length.checked_sub(1).ok_or(ParseError::Malformed)?;
        bytes.skip(last)?;
        [next] = *bytes.take()?;
    }
    if next == 0 { Ok(()) } else { Err(ParseError::Malformed) }
}
