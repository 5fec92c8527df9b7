//! Each tunnel around each other one, and what is cut or too deep.

#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the contract of the parser does not bind its tests"
)]

use proptest::prelude::*;
use std::{vec, vec::Vec};

use super::{super::*, DEPTH_MAX};
use crate::{Instant, testing::FrameBuilder, wire::parse_frame};

const ETHERNET: usize = 14;

/// A way to put a frame into a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrap {
    /// IP in IPv4, and in IPv6.
    InV4,
    InV6,
    Gre,
    GreWithAll,
    Erspan1,
    Erspan2,
    Erspan3,
    Erspan3Subheader,
    Vxlan,
    Geneve,
    Gtp,
    Mpls,
    MplsInIp,
    Pseudowire,
    Pppoe,
    Nsh,
    NshEthernet,
}

const WRAPS: [Wrap; 17] = [
    Wrap::InV4,
    Wrap::InV6,
    Wrap::Gre,
    Wrap::GreWithAll,
    Wrap::Erspan1,
    Wrap::Erspan2,
    Wrap::Erspan3,
    Wrap::Erspan3Subheader,
    Wrap::Vxlan,
    Wrap::Geneve,
    Wrap::Gtp,
    Wrap::Mpls,
    Wrap::MplsInIp,
    Wrap::Pseudowire,
    Wrap::Pppoe,
    Wrap::Nsh,
    Wrap::NshEthernet,
];

/// A frame of Ethernet with a payload.
fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &ether_type.to_be_bytes(), payload].concat()
}

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).expect("short").to_be_bytes()
}

/// A frame with a packet of IPv4.
fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = u16::try_from(payload.len() + 20).expect("short").to_be_bytes();
    let mut header = [0x45, 0, l0, l1, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 9, 9, 1, 10, 9, 9, 2];
    let words = header.as_chunks::<2>().0;
    let mut sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    sum = (sum & 0xffff) + (sum >> 16);
    let [_, _, high, low] = (!sum).to_be_bytes();
    [header[10], header[11]] = [high, low];
    ethernet(0x0800, &[&header[..], payload].concat())
}

/// A frame with a packet of IPv6.
fn v6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let addresses = [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]; 2].concat();
    let header = [&[0x60, 0, 0, 0][..], &length(payload), &[protocol, 64], &addresses].concat();
    ethernet(0x86dd, &[&header[..], payload].concat())
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).expect("short").to_be_bytes();
    [&[0x99, 0x99][..], &port.to_be_bytes(), &length, &[0, 0], payload].concat()
}

impl Wrap {
    fn around(self, frame: &[u8]) -> Vec<u8> {
        let ether_type = [frame[12], frame[13]];
        let packet = &frame[ETHERNET..];
        let is_v4 = ether_type == [0x08, 0];
        let is_ip = is_v4 || ether_type == [0x86, 0xdd];
        let protocol = if is_v4 { 4 } else { 41 };
        let with = |header: &[u8], rest: &[u8]| [header, rest].concat();
        match self {
            Self::InV4 if is_ip => v4(protocol, packet),
            Self::InV6 if is_ip => v6(protocol, packet),
            Self::Gre => v4(47, &with(&[&[0, 0][..], &ether_type].concat(), packet)),
            Self::GreWithAll => {
                let options = [7; 12];
                v6(47, &with(&[&[0xb0, 0, 0x65, 0x58][..], &options].concat(), frame))
            }
            Self::Erspan1 => v4(47, &with(&[0, 0, 0x88, 0xbe], frame)),
            Self::Erspan2 => {
                v4(47, &with(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 5, 0, 0, 0, 0], frame))
            }
            Self::Erspan3 | Self::Erspan3Subheader => {
                let has_more = u8::from(self == Self::Erspan3Subheader);
                let header = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0];
                let more = vec![3; usize::from(has_more) * 8];
                v4(47, &[&header[..], &[has_more], &more, frame].concat())
            }
            Self::Vxlan => v4(17, &udp(4789, &with(&[0x08, 0, 0, 0, 0, 0, 77, 0], frame))),
            Self::Geneve => {
                let header = [&[0x02, 0, 0x65, 0x58, 0, 0, 99, 0][..], &[1; 8]].concat();
                v6(17, &udp(6081, &with(&header, frame)))
            }
            Self::Gtp if is_ip => {
                // A sequence number, and an extension of 4 bytes.
                let more = [&[0, 1, 0, 0x85, 1, 0, 0, 0][..], packet].concat();
                let header = [&[0x36, 255][..], &length(&more), &[0, 0, 0, 1]].concat();
                v4(17, &udp(2152, &with(&header, &more)))
            }
            Self::Mpls if is_ip => ethernet(0x8847, &with(&[0, 1, 0, 64, 0, 2, 1, 64], packet)),
            Self::MplsInIp if is_ip => v4(137, &with(&[0, 2, 1, 64], packet)),
            Self::Pseudowire => ethernet(0x8847, &with(&[0, 1, 1, 64, 0, 0, 0, 0], frame)),
            Self::Pppoe if is_ip => {
                let ppp = with(&[0, if is_v4 { 0x21 } else { 0x57 }], packet);
                let header = [&[0x11, 0, 0, 17][..], &length(&ppp)].concat();
                ethernet(0x8864, &with(&header, &ppp))
            }
            Self::Nsh if is_ip => {
                let next = if is_v4 { 1 } else { 2 };
                ethernet(0x894f, &with(&[0x0f, 0xc2, 2, next, 0, 0, 33, 255], packet))
            }
            // What carries IP alone has a layer that carries frames in its place.
            Self::NshEthernet
            | Self::InV4
            | Self::InV6
            | Self::Gtp
            | Self::Mpls
            | Self::MplsInIp
            | Self::Pppoe
            | Self::Nsh => ethernet(0x894f, &with(&[0x0f, 0xc2, 2, 3, 0, 0, 33, 255], frame)),
        }
    }
}

/// What is off is what it was before tunnels were opened.
#[test]
fn a_tunnel_that_is_off_is_not_opened() {
    let frame = inner(ENDS[0]);
    let opened = |bytes: &[u8], tunnels: &Tunnels| {
        parse_any(&FrameBuilder::arriving(bytes, Instant::EPOCH), Verify::Software, tunnels).err()
    };
    let off = Tunnels::default();
    let ports = Tunnels { vxlan: TunnelPorts::one(8472), geneve: TunnelPorts::NONE, ..off };
    for (wrap, tunnels, reason) in [
        (Wrap::InV4, off.without(TunnelKind::IpIp), ParseError::NotTcp),
        (Wrap::InV6, off.without(TunnelKind::IpIp), ParseError::NotTcp),
        (Wrap::Gre, off.without(TunnelKind::Gre), ParseError::NotTcp),
        (Wrap::Erspan2, off.without(TunnelKind::Erspan), ParseError::NotTcp),
        (Wrap::Vxlan, ports, ParseError::NotTcp),
        (Wrap::Geneve, ports, ParseError::NotTcp),
        (Wrap::Mpls, off.without(TunnelKind::Mpls), ParseError::NotIp),
        (Wrap::MplsInIp, off.without(TunnelKind::Mpls), ParseError::NotTcp),
        (Wrap::Pppoe, off.without(TunnelKind::Pppoe), ParseError::NotIp),
        (Wrap::Nsh, off.without(TunnelKind::Nsh), ParseError::NotIp),
    ] {
        let bytes = wrap.around(&frame);
        assert_eq!(opened(&bytes, &off), None, "{wrap:?}");
        assert_eq!(opened(&bytes, &tunnels), Some(reason), "{wrap:?}");
        assert_eq!(opened(&bytes, &Tunnels::NONE), Some(reason), "{wrap:?}");
    }
    let gre = Wrap::Gre.around(&frame);
    assert_eq!(opened(&gre, &off.without(TunnelKind::Erspan)), None);
    let mut vxlan = Wrap::Vxlan.around(&frame);
    vxlan[ETHERNET + 22..ETHERNET + 24].copy_from_slice(&8472_u16.to_be_bytes());
    assert_eq!(opened(&vxlan, &ports), None);
    let twice = Wrap::Gre.around(&gre);
    assert_eq!(opened(&twice, &Tunnels { depth_max: 1, ..off }), Some(ParseError::TooDeep));
    assert_eq!(opened(&twice, &Tunnels { depth_max: 2, ..off }), None);
}

fn parse(bytes: &[u8]) -> Result<Parsed<'_>, ParseError> {
    parse_frame(&FrameBuilder::arriving(bytes, Instant::EPOCH), Verify::Software)
}

/// The ends of a flow, by the version of IP.
const ENDS: [[&str; 2]; 2] =
    [["10.0.0.1:4000", "192.0.2.1:80"], ["[2001:db8::1]:4000", "[2001:db8::2]:80"]];

fn inner([client, server]: [&str; 2]) -> Vec<u8> {
    FrameBuilder::new(client, server).flags("P.").seq(7, 9).payload(b"within").build()
}

#[test]
fn the_vlan_is_that_of_the_innermost_layer_which_has_one() {
    let tagged = FrameBuilder::new("10.0.0.1:1", "10.0.0.2:2").flags(".").vlan(5).build();
    let plain = FrameBuilder::new("10.0.0.1:1", "10.0.0.2:2").flags(".").build();
    let mut erspan = Wrap::Erspan2.around(&plain);
    erspan[ETHERNET + 20 + 8 + 1] = 100;
    let of = |bytes: &[u8]| match parse(bytes) {
        Ok(Parsed::Segment(segment)) => segment.vlans.outer(),
        other => panic!("{other:?}"),
    };
    assert_eq!(of(&Wrap::Vxlan.around(&tagged)), Some(5));
    assert_eq!(of(&Wrap::Vxlan.around(&plain)), None);
    assert_eq!(of(&erspan), Some(100));
    let mut in_vlan = Wrap::Vxlan.around(&plain);
    in_vlan.splice(12..12, [0x81, 0, 0, 9]);
    assert_eq!(of(&in_vlan), Some(9));
}

#[test]
fn what_is_no_tunnel_is_not_tcp() {
    let frame = inner(ENDS[0]);
    let mut vxlan = Wrap::Vxlan.around(&frame);
    vxlan[ETHERNET + 28] = 0;
    let mut gre = Wrap::Gre.around(&frame);
    gre[ETHERNET + 20] = 0x40;
    let source_port_only = v4(17, &[&[0x12, 0xb5, 0, 53][..], &udp(53, &[0; 8])[4..]].concat());
    for bytes in [vxlan, gre, source_port_only, v4(17, &udp(53, b"question")), v4(1, b"echo")] {
        assert_eq!(parse(&bytes).err(), Some(ParseError::NotTcp));
    }
}

/// AWS and others cut what does not fit into their tunnels: the rest is missing, as with a capture
/// that cuts frames short.
#[test]
fn a_mirror_may_cut_what_is_inside() {
    let frame = inner(ENDS[0]);
    let cut = &frame[..frame.len() - 3];
    for wrap in [Wrap::Vxlan, Wrap::Geneve, Wrap::Erspan2] {
        match parse(&wrap.around(cut)) {
            Ok(Parsed::Segment(segment)) => {
                assert_eq!((segment.payload, segment.payload_length), (&b"wit"[..], 6), "{wrap:?}");
            }
            other => panic!("{wrap:?} {other:?}"),
        }
    }
    assert_eq!(parse(&Wrap::Gre.around(cut)).err(), Some(ParseError::Malformed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_segment_is_the_same_in_any_tunnels(
        wraps in prop::collection::vec(prop::sample::select(&WRAPS[..]), 0..7),
        ends in prop::sample::select(&ENDS[..]),
        cut in any::<u16>(),
    ) {
        let frame = inner(ends);
        let wrapped = wraps.iter().fold(frame.clone(), |inside, wrap| wrap.around(&inside));
        match (parse(&frame), parse(&wrapped)) {
            (_, Err(reason)) => {
                prop_assert!(wraps.len() > usize::from(DEPTH_MAX), "{:?} {}", wraps, reason);
                prop_assert_eq!(reason, ParseError::TooDeep);
            }
            (Ok(Parsed::Segment(plain)), Ok(Parsed::Segment(found))) => {
                prop_assert!(wraps.len() <= usize::from(DEPTH_MAX));
                prop_assert_eq!(plain, found);
            }
            other => prop_assert!(false, "{:?}", other),
        }
        // A part of it ends somewhere, and nothing behind is read.
        let length = usize::from(cut) % wrapped.len();
        let part = &wrapped[..length];
        let whole = Frame {
            wire_length: u32::try_from(wrapped.len()).expect("short"),
            ..FrameBuilder::arriving(part, Instant::EPOCH)
        };
        for frame in [whole, FrameBuilder::arriving(part, Instant::EPOCH)] {
            if let Ok(Parsed::Segment(segment)) = parse_frame(&frame, Verify::Software) {
                prop_assert!(b"within".starts_with(segment.payload));
            }
        }
    }
}
