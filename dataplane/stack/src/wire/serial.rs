//! Serial lines: PPP (RFC 1661, RFC 1662), Cisco's HDLC, and Frame Relay (RFC 2427).

use super::{ParseError, ether_type, span::Span, tunnel::Next};

/// Numbers of PPP.
mod protocol {
    pub(super) const IPV4: u16 = 0x0021;
    pub(super) const IPV6: u16 = 0x0057;
    pub(super) const MPLS: u16 = 0x0281;
    pub(super) const MPLS_MULTICAST: u16 = 0x0283;
}

/// Takes the header of PPP or of Cisco's HDLC. PPP may leave its framing out.
pub(super) fn open_hdlc(bytes: &mut Span<'_>) -> Result<Next, ParseError> {
    match bytes.captured {
        [0x0f | 0x8f, ..] => {
            let [_, _, t0, t1] = *bytes.take()?;
            Ok(Next::Type(u16::from_be_bytes([t0, t1])))
        }
        [0xff, ..] => {
            bytes.take::<2>()?;
            open_ppp(bytes)
        }
        _ => open_ppp(bytes),
    }
}

/// Takes the number of what PPP carries: two bytes, or one that is odd.
pub(super) fn open_ppp(bytes: &mut Span<'_>) -> Result<Next, ParseError> {
    let [first] = *bytes.take()?;
    let number = if first & 1 == 1 {
        u16::from(first)
    } else {
        let [second] = *bytes.take()?;
        u16::from_be_bytes([first, second])
    };
    match number {
        protocol::IPV4 => Ok(Next::Type(ether_type::IPV4)),
        protocol::IPV6 => Ok(Next::Type(ether_type::IPV6)),
        protocol::MPLS | protocol::MPLS_MULTICAST => Ok(Next::Type(ether_type::MPLS)),
        _ => Err(ParseError::NotIp),
    }
}

/// Takes the address of Frame Relay, and what says what follows: an `EtherType` as Cisco has it, or
/// a header of its own.
pub(super) fn open_frame_relay(bytes: &mut Span<'_>) -> Result<Next, ParseError> {
    const IS_LAST: u8 = 1;
    const UNNUMBERED: u8 = 0x03;
    let [_, mut last] = *bytes.take()?;
    for _ in 0..2 {
        if last & IS_LAST == 0 {
            [last] = *bytes.take()?;
        }
    }
    if last & IS_LAST == 0 {
        return Err(ParseError::NotIp);
    }
    if *bytes.captured.first().ok_or(ParseError::Truncated)? != UNNUMBERED {
        return Ok(Next::Type(u16::from_be_bytes(*bytes.take()?)));
    }
    let [_, mut kind] = *bytes.take()?;
    if kind == 0 {
        // A byte that aligns what follows.
        [kind] = *bytes.take()?;
    }
    open_network_layer(kind, bytes)
}

/// What a network layer protocol id says, ISO/IEC TR 9577.
fn open_network_layer(kind: u8, bytes: &mut Span<'_>) -> Result<Next, ParseError> {
    const SNAP: u8 = 0x80;
    const IPV6: u8 = 0x8e;
    const IPV4: u8 = 0xcc;
    const PPP: u8 = 0xcf;
    match kind {
        IPV4 => Ok(Next::Type(ether_type::IPV4)),
        IPV6 => Ok(Next::Type(ether_type::IPV6)),
        PPP => open_ppp(bytes),
        SNAP => match *bytes.take()? {
            [0, 0, 0, t0, t1] => Ok(Next::Type(u16::from_be_bytes([t0, t1]))),
            // A frame of Ethernet, with and without its check sequence.
            [0, 0x80, 0xc2, 0, 1 | 7] => Ok(Next::Ethernet),
            _ => Err(ParseError::NotIp),
        },
        _ => Err(ParseError::NotIp),
    }
}
