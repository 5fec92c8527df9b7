//! Sums of words, with the widest instructions that the machine has.
#![expect(unsafe_code, reason = "what a CPU may lack can only be called where it was found")]

#[cfg(any(test, target_arch = "x86_64"))]
extern crate std;

/// Bytes below which a wider sum does not pay.
#[cfg(target_arch = "x86_64")]
const WIDE_MIN: usize = 128;

/// Bytes up to which a sum needs no loop.
const FEW_MAX: usize = 16;

/// The sum of the 32-bit words of `bytes`, as the machine reads them; what is left at the end is
/// the beginning of a last word that goes on with zeros. Exact below 2^32 words.
#[inline(always)]
#[must_use]
pub fn sum_of_words(bytes: &[u8]) -> u64 {
    if bytes.len() > FEW_MAX {
        return sum_of_many(bytes);
    }
    let (words, rest) = bytes.as_chunks::<4>();
    let word = |at: usize| words.get(at).map_or(0, |word| u64::from(u32::from_ne_bytes(*word)));
    let sum = word(0).wrapping_add(word(1)).wrapping_add(word(2)).wrapping_add(word(3));
    sum.wrapping_add(last_word(bytes, rest))
}

#[inline(never)]
fn sum_of_many(bytes: &[u8]) -> u64 {
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
    sum.wrapping_add(last_word(bytes, rest))
}

/// The word that begins with `rest`, fewer than four bytes at the end of `bytes`.
#[inline(always)]
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    // They are the last ones of the last four: one access for all.
    let among = |last: &[u8; 4]| match rest.len() {
        0 => 0,
        1 => u32::from_le_bytes(*last) >> 24,
        2 => u32::from_le_bytes(*last) >> 16,
        _ => u32::from_le_bytes(*last) >> 8,
    };
    u64::from(bytes.last_chunk().map_or_else(|| word_of(rest), |last| among(last).to_le()))
}

#[inline]
fn word_of(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    for (place, byte) in word.iter_mut().zip(bytes) {
        *place = *byte;
    }
    u32::from_ne_bytes(word)
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
