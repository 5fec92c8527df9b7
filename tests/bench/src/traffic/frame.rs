//! Writes one TCP segment over IPv4 as an Ethernet frame, in place and fast: a benchmark makes
//! hundreds of millions of them. Lengths, checksums and padding are right by construction.

use super::{Endpoint, payload::Stream};

/// Longest frame, in bytes.
pub const FRAME_MAX: usize = ETHERNET + IPV4 + TCP_MAX + PAYLOAD_MAX;

/// Longest payload, in bytes.
pub const PAYLOAD_MAX: usize = 1460;

/// Least length of an Ethernet frame without its check sequence. Shorter ones are padded.
const FRAME_MIN: usize = 60;
const ETHERNET: usize = 14;
const IPV4: usize = 20;
const TCP: usize = 20;
const TCP_MAX: usize = TCP + SYN_OPTIONS.len();

/// MSS 1460, and a window scale of 7.
const SYN_OPTIONS: [u8; 8] = [2, 4, 0x05, 0xb4, 1, 3, 3, 7];

/// Control bits of TCP.
pub mod flags {
    /// The sender has no more data.
    pub const FIN: u8 = 0x01;
    /// Opens a connection.
    pub const SYN: u8 = 0x02;
    /// The data should be delivered at once.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number is valid.
    pub const ACK: u8 = 0x10;
}

/// One segment to write.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub target: Endpoint,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Control bits, see [`flags`]. A SYN carries MSS and window scale.
    pub flags: u8,
    /// The stream that the payload is part of.
    pub stream: Stream,
    /// Offset of the payload in the stream.
    pub offset: u64,
    /// Length of the payload, at most [`PAYLOAD_MAX`].
    pub length: usize,
}

impl Segment {
    /// Writes the frame to the beginning of `out`, which has room for [`FRAME_MAX`] bytes. Returns
    /// its length.
    ///
    /// # Panics
    ///
    /// `out` is too short, or the payload too long.
    #[must_use]
    pub fn write(&self, out: &mut [u8]) -> usize {
        let options: &[u8] = if self.flags & flags::SYN == 0 { &[] } else { &SYN_OPTIONS };
        let tcp_length = TCP + options.len() + self.length;
        let end = ETHERNET + IPV4 + tcp_length;
        let out = &mut out[..end.max(FRAME_MIN)];
        out[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
        out[12..ETHERNET].copy_from_slice(&[8, 0]);
        self.write_ip(&mut out[ETHERNET..ETHERNET + IPV4], IPV4 + tcp_length);
        self.write_tcp(&mut out[ETHERNET + IPV4..end], options);
        out[end..].fill(0);
        out.len()
    }

    fn write_ip(&self, ip: &mut [u8], length: usize) {
        ip[..2].copy_from_slice(&[0x45, 0]);
        ip[2..4].copy_from_slice(&be16(length));
        ip[4..12].copy_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
        ip[12..16].copy_from_slice(&self.source.address.to_be_bytes());
        ip[16..20].copy_from_slice(&self.target.address.to_be_bytes());
        let checksum = finish(sum(ip));
        ip[10..12].copy_from_slice(&checksum);
    }

    fn write_tcp(&self, tcp: &mut [u8], options: &[u8]) {
        let header = TCP + options.len();
        tcp[..2].copy_from_slice(&self.source.port.to_be_bytes());
        tcp[2..4].copy_from_slice(&self.target.port.to_be_bytes());
        tcp[4..8].copy_from_slice(&self.seq.to_be_bytes());
        tcp[8..12].copy_from_slice(&self.ack.to_be_bytes());
        let [_, words] = be16(header / 4);
        tcp[12..20].copy_from_slice(&[words << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp[TCP..header].copy_from_slice(options);
        self.stream.write(self.offset, &mut tcp[header..]);
        let addresses = [self.source.address.to_be_bytes(), self.target.address.to_be_bytes()];
        let [high, low] = be16(tcp.len());
        let pseudo = sum(addresses.as_flattened()) + sum(&[0, 6, high, low]);
        let checksum = finish(pseudo + sum(tcp));
        tcp[16..18].copy_from_slice(&checksum);
    }
}

/// A length as a field of a header. Every frame is shorter than 64 KiB.
fn be16(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// The sum of the 32-bit words in native byte order (RFC 1071 section 2: the order does not
/// matter). The last word is padded with zeros.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum::<u64>();
    words + u64::from(u32::from_ne_bytes(last))
}

/// Folds the carries back and complements. Returns the bytes of the header's field.
fn finish(mut sum: u64) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap_or_default()).to_ne_bytes()
}
