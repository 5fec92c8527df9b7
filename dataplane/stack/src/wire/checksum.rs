//! The Internet checksum, RFC 1071: over an IPv4 header, and over TCP with its pseudo-header.

use core::net::IpAddr;

/// A running sum of 16-bit words in network order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// Adds bytes; all but the last call give an even number of them.
    pub(super) fn add(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        // 2^32 words of 32 bits fit before the sum overflows: no packet is that long.
        let sum = words
            .iter()
            .fold(self.0, |sum, word| sum.wrapping_add(u64::from(u32::from_be_bytes(*word))));
        let mut last = [0; 4];
        for (place, byte) in last.iter_mut().zip(rest) {
            *place = *byte;
        }
        Self(sum.wrapping_add(u64::from(u32::from_be_bytes(last))))
    }

    /// Adds the pseudo-header of a TCP segment of `length` bytes.
    pub(super) fn add_pseudo_header(
        self,
        source: IpAddr,
        destination: IpAddr,
        length: usize,
    ) -> Self {
        const TCP: u64 = 6;
        let sum = [source, destination].into_iter().fold(self, |sum, address| match address {
            IpAddr::V4(address) => sum.add(&address.octets()),
            IpAddr::V6(address) => sum.add(&address.octets()),
        });
        Self(sum.0.wrapping_add(TCP).wrapping_add(u64::try_from(length).unwrap_or_default()))
    }

    /// Whether the bytes, with the checksum among them, add up.
    pub(super) const fn is_right(self) -> bool {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff).wrapping_add(sum >> 16);
        }
        sum == 0xffff
    }
}
