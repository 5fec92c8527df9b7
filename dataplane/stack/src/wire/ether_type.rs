//! Numbers of `EtherType`: what a link layer carries.

/// The first number; smaller ones in its place are lengths, and LLC follows.
pub(super) const MIN: u16 = 0x0600;
pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
pub(super) const MPLS: u16 = 0x8847;
pub(super) const MPLS_UPSTREAM: u16 = 0x8848;
pub(super) const PPPOE_SESSION: u16 = 0x8864;
pub(super) const NSH: u16 = 0x894f;
/// A whole frame of Ethernet, within a tunnel.
pub(super) const ETHERNET: u16 = 0x6558;
/// 802.1Q, 802.1ad and their common private forerunners.
pub(super) const TAGS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
