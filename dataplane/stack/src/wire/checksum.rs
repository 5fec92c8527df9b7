//! The Internet checksum, RFC 1071: over an IPv4 header, and over TCP with its pseudo-header.
//!
//! The sum does not depend on byte order (RFC 1071 section 2), so words are added in native order,
//! two at a time.

use core::net::IpAddr;

use mos_memory::{sum_of_words, sum_of_words_from};

/// A running sum of 16-bit words in native byte order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// Adds bytes; their number is even in all calls but the last.
    #[inline]
    pub(super) fn add(self, bytes: &[u8]) -> Self {
        // The sum holds 2^32 words of 32 bits; no packet has as many.
        Self(self.0.wrapping_add(sum_of_words(bytes)))
    }

    /// [`Self::add`] of `bytes[start..]`.
    #[inline]
    pub(super) fn add_from(self, bytes: &[u8], start: usize) -> Self {
        Self(self.0.wrapping_add(sum_of_words_from(bytes, start)))
    }

    /// [`Self::add`] of few bytes: a multiple of four that is a constant where it is inlined.
    #[inline(always)]
    pub(super) fn add_fixed(self, bytes: &[u8]) -> Self {
        let add = |sum: u64, word: &[u8; 4]| sum.wrapping_add(u32::from_ne_bytes(*word).into());
        Self(bytes.as_chunks().0.iter().fold(self.0, add))
    }

    /// Adds a pseudo-header without its addresses: the protocol, and the length of the segment.
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

    /// Whether the checksum, which is among the bytes, is valid: the folded sum is 0xffff.
    #[inline]
    pub(super) const fn is_valid(self) -> bool {
        // Folds 64 bits to 32, and 32 to 16. A number plus itself with the halves exchanged has the
        // sum of the halves in its upper half, with the carry of the lower one: the end-around
        // carry.
        let both = self.0.wrapping_add(self.0.rotate_left(32));
        let sum = (both >> 32) as u32;
        let both = sum.wrapping_add(sum.rotate_left(16));
        both >> 16 == 0xffff
    }
}
