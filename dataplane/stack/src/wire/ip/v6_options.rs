//! The options in the Hop-by-Hop and Destination Options headers, RFC 8200 section 4.2, with the
//! limits for hosts of RFC 8504 section 5.3.

use core::net::IpAddr;

use super::super::ParseError;

/// Most options of one header, padding not counted.
const OPTIONS_MAX: usize = 8;

/// Longest run of padding, in bytes: more than 7 align nothing.
const PADDING_MAX: usize = 7;

/// The bits of an option's type that say what to do with an unknown one: 0 to skip it, all others
/// to discard the packet.
const ACTION: u8 = 0xc0;

mod option {
    pub(super) const PAD_1: u8 = 0;
    pub(super) const PAD_N: u8 = 1;
    pub(super) const ROUTER_ALERT: u8 = 5;
    /// RFC 5570.
    pub(super) const SECURITY_LABEL: u8 = 7;
    /// RFC 9486.
    pub(super) const TRACE: u8 = 0x31;
    /// RFC 2675.
    pub(super) const JUMBO: u8 = 0xc2;
    /// RFC 6275.
    pub(super) const HOME_ADDRESS: u8 = 0xc9;
}

/// Which of the two headers it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    HopByHop,
    Destination,
}

/// What options say of the packet.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// The length of the packet behind its header, at least 65,536.
    pub(super) jumbo: Option<u32>,
    /// The address of the sender at home, which is its endpoint.
    pub(super) home: Option<IpAddr>,
}

/// Reads the options of a header, whose length is a multiple of 8.
///
/// # Errors
///
/// One of them obliges the receiver to discard the packet.
pub(super) fn read(place: Place, header: &[u8]) -> Result<Options, ParseError> {
    let mut found = Options::default();
    let (mut options, mut padding) = (0_usize, 0_usize);
    let mut rest = header.get(2..).unwrap_or_default();
    loop {
        let at = header.len().wrapping_sub(rest.len());
        let length = match *rest {
            [] => return Ok(found),
            [option::PAD_1, ..] => 1,
            [_, length, ..] => usize::from(length).saturating_add(2),
            [_] => return Err(ParseError::IpOptions),
        };
        let (option, following) = rest.split_at_checked(length).ok_or(ParseError::IpOptions)?;
        let is_padding = matches!(*option, [option::PAD_1 | option::PAD_N, ..]);
        (padding, options) = if is_padding {
            (padding.saturating_add(length), options)
        } else {
            (0, options.saturating_add(1))
        };
        let is_right = options <= OPTIONS_MAX
            && padding <= PADDING_MAX
            && if is_padding { is_zero_padding(option) } else { found.take(place, at, option) };
        if !is_right {
            return Err(ParseError::IpOptions);
        }
        rest = following;
    }
}

/// Whether padding holds nothing. RFC 4942 section 2.1.9.5: it would be a covert channel.
fn is_zero_padding(option: &[u8]) -> bool {
    option.get(2..).unwrap_or_default().iter().all(|byte| *byte == 0)
}

impl Options {
    /// Takes an option at this offset of its header. Returns false for one that obliges the
    /// receiver to discard the packet: those that it must know and that are malformed, and unknown
    /// ones by their type.
    fn take(&mut self, place: Place, at: usize, option: &[u8]) -> bool {
        match (place, option) {
            (Place::HopByHop, [option::ROUTER_ALERT, length, ..]) => *length == 2,
            // Valid only with a label that the receiver was configured for.
            (Place::HopByHop, [option::SECURITY_LABEL, ..]) => false,
            (Place::HopByHop, [option::TRACE, ..]) => at.is_multiple_of(4),
            (Place::HopByHop, &[option::JUMBO, 4, a, b, c, d]) => {
                let length = u32::from_be_bytes([a, b, c, d]);
                self.jumbo = Some(length);
                at % 4 == 2 && length > u32::from(u16::MAX)
            }
            (Place::Destination, [option::HOME_ADDRESS, 16, address @ ..]) => {
                let Some(address) = address.first_chunk::<16>() else { return false };
                self.home.replace(IpAddr::from(*address)).is_none()
            }
            (_, [kind, ..]) => kind & ACTION == 0,
            (_, []) => false,
        }
    }
}
