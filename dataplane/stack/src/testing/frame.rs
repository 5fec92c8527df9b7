//! Builds Ethernet frames with one TCP segment and right checksums.

use crate::{Checksums, Frame, Instant, Link};
use core::ops::Range;
use std::{
    net::{Ipv6Addr, SocketAddr},
    vec,
    vec::Vec,
};

#[derive(Debug, Clone)]
pub(crate) struct FrameBuilder {
    source: SocketAddr,
    destination: SocketAddr,
    vlans: Vec<u16>,
    ip_options: Vec<u8>,
    extensions: Option<(u8, Vec<u8>)>,
    header_addresses: Option<[Ipv6Addr; 2]>,
    congestion: u8,
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    tcp_options: Vec<u8>,
    payload: Vec<u8>,
}

impl FrameBuilder {
    pub(crate) fn new(source: &str, destination: &str) -> Self {
        let parse = |text: &str| text.parse::<SocketAddr>().expect("an address and a port");
        Self::between(parse(source), parse(destination))
    }

    pub(crate) fn between(source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            source,
            destination,
            vlans: vec![],
            ip_options: vec![],
            extensions: None,
            header_addresses: None,
            congestion: 0,
            seq: 0,
            ack: 0,
            flags: 0x10,
            window: 65_535,
            tcp_options: vec![],
            payload: vec![],
        }
    }

    /// Adds an outer tag.
    pub(crate) fn vlan(mut self, id: u16) -> Self {
        self.vlans.insert(0, id);
        self
    }

    pub(crate) fn ip_options(mut self, options: &[u8]) -> Self {
        self.ip_options = options.to_vec();
        self
    }

    pub(crate) fn extensions(mut self, first: u8, headers: &[u8]) -> Self {
        self.extensions = Some((first, headers.to_vec()));
        self
    }

    /// As tcpdump prints them: `S`, `F`, `R`, `P`, and `.` for ACK.
    pub(crate) fn flags(mut self, flags: &str) -> Self {
        self.flags = flags.chars().fold(0, |bits, flag| {
            bits | match flag {
                'F' => 0x01,
                'S' => 0x02,
                'R' => 0x04,
                'P' => 0x08,
                '.' => 0x10,
                other => panic!("no flag {other}"),
            }
        });
        self
    }

    /// As the header has them.
    pub(crate) fn flag_bits(mut self, bits: u8) -> Self {
        self.flags = bits;
        self
    }

    pub(crate) fn seq(mut self, seq: u32, ack: u32) -> Self {
        (self.seq, self.ack) = (seq, ack);
        self
    }

    pub(crate) fn window(mut self, window: u16) -> Self {
        self.window = window;
        self
    }

    pub(crate) fn tcp_options(mut self, options: &[u8]) -> Self {
        self.tcp_options = options.to_vec();
        self
    }

    pub(crate) fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// The frame in IP fragments of at most `size` bytes of payload each, a multiple of 8.
    pub(crate) fn fragments(&self, identification: u16, size: usize) -> Vec<Vec<u8>> {
        let length = self.ip_payload().len();
        let starts = (0..length).step_by(size);
        starts.map(|start| self.fragment(identification, start..length.min(start + size))).collect()
    }

    /// The IP fragment with these bytes of the packet's payload; the last one ends where it does.
    pub(crate) fn fragment(&self, identification: u16, bytes: Range<usize>) -> Vec<u8> {
        let payload = self.ip_payload();
        let more = usize::from(bytes.end < payload.len());
        self.fragment_of(&payload[bytes.clone()], identification, bytes.start | more)
    }

    /// An IP fragment of this packet with a payload of its own. Bit 0 of its offset says that more
    /// follow, as in the header of IPv6.
    pub(crate) fn fragment_of(
        &self,
        payload: &[u8],
        identification: u16,
        offset: usize,
    ) -> Vec<u8> {
        let whole = self.build();
        let start = 14 + 4 * self.vlans.len();
        let headers = whole.len() - self.ip_payload().len();
        let mut frame = whole[..headers].to_vec();
        let offset = u16::try_from(offset).expect("short");
        if self.source.is_ipv6() {
            let length = u16::try_from(payload.len() + 8).expect("short");
            frame[start + 4..start + 6].copy_from_slice(&length.to_be_bytes());
            frame[start + 6] = 44;
            frame.extend([whole[start + 6], 0]);
            frame.extend(offset.to_be_bytes());
            frame.extend(u32::from(identification).to_be_bytes());
        } else {
            let length = u16::try_from(payload.len() + headers - start).expect("short");
            frame[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
            frame[start + 4..start + 6].copy_from_slice(&identification.to_be_bytes());
            let flags = (offset / 8) | ((offset & 1) << 13);
            frame[start + 6..start + 8].copy_from_slice(&flags.to_be_bytes());
            frame[start + 10..start + 12].fill(0);
            let sum = checksum(&frame[start..headers]);
            frame[start + 10..start + 12].copy_from_slice(&sum);
        }
        frame.extend(payload);
        frame
    }

    /// What follows the header of IP: with IPv6, the extension headers, too.
    pub(crate) fn ip_payload(&self) -> Vec<u8> {
        let header = if self.source.is_ipv6() { 40 } else { 20 + self.ip_options.len() };
        self.build().split_off(14 + 4 * self.vlans.len() + header)
    }

    /// The congestion mark of RFC 3168, 0 to 3.
    pub(crate) fn congestion(mut self, mark: u8) -> Self {
        self.congestion = mark;
        self
    }

    /// The frame says these addresses instead of those of the endpoints.
    pub(crate) fn header_addresses(mut self, source: &str, destination: &str) -> Self {
        let parse = |text: &str| text.parse().expect("an address");
        self.header_addresses = Some([parse(source), parse(destination)]);
        self
    }

    /// As it arrives at `arrival`.
    pub(crate) fn arriving(bytes: &[u8], arrival: Instant) -> Frame<'_> {
        Frame {
            arrival,
            link: Link::Ethernet,
            bytes,
            wire_length: u32::try_from(bytes.len()).expect("short"),
            checksums: Checksums::Unknown,
        }
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut frame = vec![2; 12];
        for vlan in &self.vlans {
            frame.extend(0x8100u16.to_be_bytes());
            frame.extend(vlan.to_be_bytes());
        }
        let tcp = self.tcp();
        match (self.source, self.destination) {
            (SocketAddr::V4(source), SocketAddr::V4(destination)) => {
                let header = 20 + self.ip_options.len();
                let words = u8::try_from(header / 4).expect("short");
                frame.extend([0x08, 0, 0x40 | words, self.congestion]);
                frame.extend(u16::try_from(header + tcp.len()).expect("short").to_be_bytes());
                frame.extend([0, 0, 0, 0, 64, 6, 0, 0]);
                frame.extend(source.ip().octets());
                frame.extend(destination.ip().octets());
                frame.extend(&self.ip_options);
                let start = frame.len() - header;
                let sum = checksum(&frame[start..]);
                frame[start + 10..start + 12].copy_from_slice(&sum);
            }
            (SocketAddr::V6(source), SocketAddr::V6(destination)) => {
                let (next, extensions) = self.extensions.clone().unwrap_or((6, vec![]));
                frame.extend([0x86, 0xdd, 0x60, self.congestion << 4, 0, 0]);
                let length = extensions.len() + tcp.len();
                frame.extend(u16::try_from(length).expect("short").to_be_bytes());
                frame.extend([next, 64]);
                let ends = [*source.ip(), *destination.ip()];
                let ends = self.header_addresses.unwrap_or(ends);
                frame.extend(ends.iter().flat_map(Ipv6Addr::octets));
                frame.extend(extensions);
            }
            other => panic!("two IP versions: {other:?}"),
        }
        frame.extend(tcp);
        frame
    }

    fn tcp(&self) -> Vec<u8> {
        let mut tcp = vec![];
        tcp.extend(self.source.port().to_be_bytes());
        tcp.extend(self.destination.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        let header = 20 + self.tcp_options.len();
        tcp.extend([u8::try_from(header / 4).expect("short") << 4, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(&self.tcp_options);
        tcp.extend(&self.payload);
        let mut covered = vec![];
        for end in [self.source, self.destination] {
            match end {
                SocketAddr::V4(end) => covered.extend(end.ip().octets()),
                SocketAddr::V6(end) => covered.extend(end.ip().octets()),
            }
        }
        covered.extend(u32::try_from(tcp.len()).expect("short").to_be_bytes());
        covered.extend([0, 0, 0, 6]);
        covered.extend(&tcp);
        tcp[16..18].copy_from_slice(&checksum(&covered));
        tcp
    }
}

/// RFC 1071, word by word.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|word| [word[0], word.get(1).copied().unwrap_or(0)]);
    let sum: u64 = words.map(|word| u64::from(u16::from_be_bytes(word))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    (!u16::try_from(folded).expect("folded")).to_be_bytes()
}
