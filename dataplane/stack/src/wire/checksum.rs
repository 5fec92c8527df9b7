//! The Internet checksum, RFC 1071: over an IPv4 header, and over TCP with its pseudo-header.
//!
//! The sum does not depend on the order of the bytes in a word (RFC 1071 section 2): words are
//! added as the machine reads them, two at a time.

use core::net::IpAddr;

use mos_memory::{sum_of_words, sum_of_words_from};

/// A running sum of 16-bit words, as the machine reads them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// Adds bytes; all but the last call give an even number of them.
    #[inline]
    pub(super) fn add(self, bytes: &[u8]) -> Self {
        // 2^32 words of 32 bits fit before the sum overflows: no packet is that long.
        Self(self.0.wrapping_add(sum_of_words(bytes)))
    }

    /// The same for what follows the first `start` bytes.
    #[inline]
    pub(super) fn add_from(self, bytes: &[u8], start: usize) -> Self {
        Self(self.0.wrapping_add(sum_of_words_from(bytes, start)))
    }

    /// The same for few bytes, a multiple of four whose number the compiler knows.
    #[inline(always)]
    pub(super) fn add_fixed(self, bytes: &[u8]) -> Self {
        let add = |sum: u64, word: &[u8; 4]| sum.wrapping_add(u32::from_ne_bytes(*word).into());
        Self(bytes.as_chunks().0.iter().fold(self.0, add))
    }

    /// Adds what a pseudo-header holds besides the addresses: the protocol, and the length of the
    /// TCP segment.
    #[inline]
    pub(super) fn add_length(self, length: usize) -> Self {
        const TCP: u32 = 6;
        let length = u32::try_from(length).unwrap_or_default();
        let sum = self.0.wrapping_add(u64::from(TCP.to_be()));
        Self(sum.wrapping_add(u64::from(length.to_be())))
    }

    /// Adds the pseudo-header of a TCP segment of `length` bytes.
    pub(super) fn add_pseudo_header(
        self,
        source: IpAddr,
        destination: IpAddr,
        length: usize,
    ) -> Self {
        let sum = [source, destination].into_iter().fold(self, |sum, address| match address {
            IpAddr::V4(address) => sum.add(&address.octets()),
            IpAddr::V6(address) => sum.add(&address.octets()),
        });
        sum.add_length(length)
    }

    /// Whether the bytes, with the checksum among them, add up.
    #[inline]
    pub(super) const fn is_valid(self) -> bool {
        // Both halves of a number and of itself with its halves exchanged add up to the same, and
        // the carry of the lower ones comes to the upper ones: to where theirs would have to go.
        let both = self.0.wrapping_add(self.0.rotate_left(32));
        let sum = (both >> 32) as u32;
        let both = sum.wrapping_add(sum.rotate_left(16));
        both >> 16 == 0xffff
    }
}
