//! Writes one TCP segment as an Ethernet frame: headers, options, payload, checksums, padding.
//!
//! Knows nothing of conversations. Lengths and checksums are right by construction.

use std::net::{IpAddr, SocketAddr};

/// Least length of an Ethernet frame without its check sequence; shorter ones are padded.
const FRAME_MIN: usize = 60;

const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const PROTOCOL_TCP: u8 = 6;
const IPV4_HEADER: u16 = 20;
const TCP_HEADER: u16 = 20;

/// TCP flag bits.
pub(super) mod flags {
    pub(in crate::traffic) const FIN: u8 = 0x01;
    pub(in crate::traffic) const SYN: u8 = 0x02;
    pub(in crate::traffic) const RST: u8 = 0x04;
    pub(in crate::traffic) const PSH: u8 = 0x08;
    pub(in crate::traffic) const ACK: u8 = 0x10;
}

/// The options that a segment carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TcpOptions {
    /// None.
    None,
    /// Those of a SYN: MSS, SACK permitted, window scale, and timestamps where given.
    Syn {
        /// Maximum segment size, in bytes.
        mss: u16,
        /// Shift of the window, 0 to 14.
        window_scale: u8,
        /// Value and echo of the timestamps option.
        timestamps: Option<(u32, u32)>,
    },
    /// Value and echo of the timestamps option, as every later segment carries them.
    Timestamps(u32, u32),
}

impl TcpOptions {
    /// Their length with padding, in bytes; a multiple of 4.
    pub(super) const fn length(self) -> u16 {
        match self {
            Self::None => 0,
            Self::Syn { timestamps: None, .. } | Self::Timestamps(..) => 12,
            Self::Syn { timestamps: Some(_), .. } => 20,
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        const NOP: u8 = 1;
        let timestamps = |out: &mut Vec<u8>, value: u32, echo: u32| {
            out.extend_from_slice(&[8, 10]);
            out.extend_from_slice(&value.to_be_bytes());
            out.extend_from_slice(&echo.to_be_bytes());
        };
        match self {
            Self::None => {}
            Self::Syn { mss, window_scale, timestamps: times } => {
                out.extend_from_slice(&[2, 4]);
                out.extend_from_slice(&mss.to_be_bytes());
                out.extend_from_slice(&[4, 2]);
                match times {
                    Some((value, echo)) => timestamps(out, value, echo),
                    None => out.extend_from_slice(&[NOP, NOP]),
                }
                out.extend_from_slice(&[NOP, 3, 3, window_scale]);
            }
            Self::Timestamps(value, echo) => {
                out.extend_from_slice(&[NOP, NOP]);
                timestamps(out, value, echo);
            }
        }
    }
}

/// The addresses of a segment below TCP, all of one IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) source_mac: [u8; 6],
    pub(super) target_mac: [u8; 6],
    pub(super) vlan: Option<u16>,
    pub(super) source: SocketAddr,
    pub(super) target: SocketAddr,
    /// Identification of an IPv4 packet.
    pub(super) ip_id: u16,
    /// Time to live, or hop limit.
    pub(super) ttl: u8,
}

/// The TCP header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    pub(super) options: TcpOptions,
}

/// Writes the frame into `out`, which is emptied first. `payload` appends exactly `length` bytes.
pub(super) fn write_frame(
    out: &mut Vec<u8>,
    path: &Path,
    header: &Header,
    length: u16,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    out.clear();
    out.extend_from_slice(&path.target_mac);
    out.extend_from_slice(&path.source_mac);
    if let Some(vlan) = path.vlan {
        out.extend_from_slice(&ETHERTYPE_VLAN.to_be_bytes());
        out.extend_from_slice(&vlan.to_be_bytes());
    }
    let tcp_length = TCP_HEADER + header.options.length() + length;
    let pseudo_header = write_ip(out, path, tcp_length);
    let tcp_at = out.len();
    write_tcp(out, path, header);
    payload(out);
    debug_assert_eq!(out.len(), tcp_at + usize::from(tcp_length), "payload is not of its length");
    let checksum = finish(pseudo_header + sum(&out[tcp_at..]));
    out[tcp_at + 16..tcp_at + 18].copy_from_slice(&checksum.to_be_bytes());
    if out.len() < FRAME_MIN {
        out.resize(FRAME_MIN, 0);
    }
}

/// Writes the Ethernet type and the IP header. Returns the sum of TCP's pseudo header.
fn write_ip(out: &mut Vec<u8>, path: &Path, tcp_length: u16) -> u64 {
    let addresses = match (path.source.ip(), path.target.ip()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            out.extend_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
            let at = out.len();
            out.extend_from_slice(&[0x45, 0]);
            out.extend_from_slice(&(IPV4_HEADER + tcp_length).to_be_bytes());
            out.extend_from_slice(&path.ip_id.to_be_bytes());
            out.extend_from_slice(&[0x40, 0, path.ttl, PROTOCOL_TCP, 0, 0]);
            out.extend_from_slice(&source.octets());
            out.extend_from_slice(&target.octets());
            let checksum = finish(sum(&out[at..]));
            out[at + 10..at + 12].copy_from_slice(&checksum.to_be_bytes());
            sum(&source.octets()) + sum(&target.octets())
        }
        (source, target) => {
            let (source, target) = (ipv6_octets(source), ipv6_octets(target));
            out.extend_from_slice(&ETHERTYPE_IPV6.to_be_bytes());
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            out.extend_from_slice(&tcp_length.to_be_bytes());
            out.extend_from_slice(&[PROTOCOL_TCP, path.ttl]);
            out.extend_from_slice(&source);
            out.extend_from_slice(&target);
            sum(&source) + sum(&target)
        }
    };
    addresses + u64::from(PROTOCOL_TCP) + u64::from(tcp_length)
}

const fn ipv6_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn write_tcp(out: &mut Vec<u8>, path: &Path, header: &Header) {
    let words = (TCP_HEADER + header.options.length()) / 4;
    out.extend_from_slice(&path.source.port().to_be_bytes());
    out.extend_from_slice(&path.target.port().to_be_bytes());
    out.extend_from_slice(&header.seq.to_be_bytes());
    out.extend_from_slice(&header.ack.to_be_bytes());
    out.extend_from_slice(&(words << 12 | u16::from(header.flags)).to_be_bytes());
    out.extend_from_slice(&header.window.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    header.options.write(out);
}

/// The sum of the 16-bit words, RFC 1071; an odd last byte is padded with 0.
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(2);
    let last = words.remainder().first().map_or(0, |byte| u64::from(*byte) << 8);
    words.map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum::<u64>() + last
}

/// Folds the carries back and complements.
const fn finish(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !((sum & 0xffff) as u16)
}
