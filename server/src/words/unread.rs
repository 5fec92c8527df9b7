//! What packets are that hold no TCP, in words.

use mos_stack::Unread;

/// What a packet is, with its name where it has a usual one.
pub(crate) fn words(unread: Unread) -> String {
    match unread {
        Unread::EtherType(number) => named(format!("EtherType {number:#06x}"), ether_type(number)),
        Unread::Protocol(number) => named(format!("IP protocol {number}"), protocol(number)),
        Unread::Udp(port) => named(format!("UDP to port {port}"), service(port)),
        Unread::Vxlan(port) => format!("VXLAN on UDP port {port}"),
    }
}

/// What to do about it, if anything can be done.
pub(crate) fn next_step(unread: Unread) -> String {
    match unread {
        Unread::Vxlan(port) => {
            format!("set tunnels.vxlan_ports = [4789, {port}]; for a replay, --vxlan-port {port}")
        }
        Unread::Protocol(50) | Unread::Udp(4500) | Unread::EtherType(0x88e5) => {
            "it is encrypted: mirror the packets before they are, or behind".to_owned()
        }
        Unread::EtherType(_) | Unread::Protocol(_) | Unread::Udp(_) => {
            "see that the port mirrors the connections that you want: `tcpdump -e -c 100`"
                .to_owned()
        }
    }
}

fn named(what: String, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{what} ({name})"),
        None => what,
    }
}

const fn ether_type(number: u16) -> Option<&'static str> {
    Some(match number {
        0x0806 => "ARP",
        0x22f3 => "TRILL",
        0x8847 | 0x8848 => "MPLS",
        0x8863 => "PPPoE discovery",
        0x8864 => "PPPoE",
        0x88cc => "LLDP",
        0x88e5 => "MACsec, encrypted",
        0x88e7 => "provider backbone bridges",
        0x8906 => "Fibre Channel",
        0x8926 => "VN-Tag",
        0x893f => "E-Tag",
        0x8915 => "RoCE",
        _ => return None,
    })
}

const fn protocol(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "ICMP",
        2 => "IGMP",
        17 => "UDP",
        47 => "GRE",
        50 => "ESP, encrypted",
        51 => "AH",
        58 => "ICMPv6",
        89 => "OSPF",
        112 => "VRRP",
        115 => "L2TP",
        132 => "SCTP",
        _ => return None,
    })
}

const fn service(port: u16) -> Option<&'static str> {
    Some(match port {
        53 => "DNS",
        443 => "QUIC",
        1701 => "L2TP",
        2152 => "GTP-U",
        3544 => "Teredo",
        4500 => "IPsec, encrypted",
        4789 => "VXLAN",
        4790 => "VXLAN-GPE",
        6081 => "GENEVE",
        51_820 => "WireGuard, encrypted",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_named() {
        assert_eq!(words(Unread::Vxlan(8472)), "VXLAN on UDP port 8472");
        assert_eq!(words(Unread::Udp(443)), "UDP to port 443 (QUIC)");
        assert_eq!(words(Unread::Udp(9)), "UDP to port 9");
        assert_eq!(words(Unread::EtherType(0x0806)), "EtherType 0x0806 (ARP)");
        assert_eq!(words(Unread::Protocol(50)), "IP protocol 50 (ESP, encrypted)");
        assert!(next_step(Unread::Vxlan(8472)).contains("4789"));
    }
}
