//! Ethernet II with any stack of 802.1Q and 802.1ad tags.

use super::ParseError;

/// Tags accepted on one frame: more than any network stacks, few enough to bound the work.
const TAGS_MAX: usize = 8;

mod ether_type {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    /// 802.1Q, 802.1ad and their common private forerunners.
    pub(super) const TAGS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
}

/// The version that the last `EtherType` announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    Ipv4,
    Ipv6,
}

/// What an Ethernet header says.
#[derive(Debug)]
pub(super) struct Ethernet<'a> {
    /// Outermost VLAN id.
    pub(super) vlan: Option<u16>,
    pub(super) network: Network,
    pub(super) payload: &'a [u8],
}

pub(super) fn parse(frame: &[u8]) -> Result<Ethernet<'_>, ParseError> {
    let (_addresses, mut rest) = frame.split_first_chunk::<12>().ok_or(ParseError::Truncated)?;
    let mut vlan = None;
    for _ in 0..=TAGS_MAX {
        let (ether_type, after) = rest.split_first_chunk::<2>().ok_or(ParseError::Truncated)?;
        let network = match u16::from_be_bytes(*ether_type) {
            ether_type::IPV4 => Network::Ipv4,
            ether_type::IPV6 => Network::Ipv6,
            tag if ether_type::TAGS.contains(&tag) => {
                let (control, after) =
                    after.split_first_chunk::<2>().ok_or(ParseError::Truncated)?;
                vlan = vlan.or_else(|| Some(u16::from_be_bytes(*control) & 0x0fff));
                rest = after;
                continue;
            }
            _ => return Err(ParseError::NotIp),
        };
        return Ok(Ethernet { vlan, network, payload: after });
    }
    Err(ParseError::Malformed)
}
