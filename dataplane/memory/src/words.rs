//! Sums of words, with the widest instructions that the machine has.
#![expect(unsafe_code, reason = "what a CPU may lack can only be called where it was found")]

#[cfg(any(test, target_arch = "x86_64"))]
extern crate std;

/// Bytes below which a wider sum does not pay.
#[cfg(target_arch = "x86_64")]
const WIDE_MIN: usize = 128;

/// The sum of the 32-bit words of `bytes`, as the machine reads them; what is left at the end is
/// the beginning of a last word that goes on with zeros. Exact below 2^32 words.
#[inline]
#[must_use]
pub fn sum_of_words(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= WIDE_MIN && std::is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has AVX2.
        return unsafe { sum_avx2(bytes) };
    }
    sum(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sum_avx2(bytes: &[u8]) -> u64 {
    sum(bytes)
}

#[inline(always)]
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum =
        words.iter().fold(0u64, |sum, word| sum.wrapping_add(u64::from(u32::from_ne_bytes(*word))));
    let mut last = [0; 4];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    sum.wrapping_add(u64::from(u32::from_ne_bytes(last)))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn every_length_has_the_same_sum_in_every_way() {
        let bytes: Vec<u8> = (0..2000u32).map(|n| ((n * n) >> 3).to_le_bytes()[0]).collect();
        for length in 0..bytes.len() {
            let bytes = &bytes[..length];
            let slow: u64 = bytes
                .chunks(4)
                .map(|chunk| {
                    let mut word = [0; 4];
                    word[..chunk.len()].copy_from_slice(chunk);
                    u64::from(u32::from_ne_bytes(word))
                })
                .sum();
            assert_eq!(sum_of_words(bytes), slow, "{length} bytes");
        }
    }
}
