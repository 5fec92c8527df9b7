//! Sums of 32-bit words, with AVX2 where the CPU has it.
#![expect(unsafe_code, reason = "what a CPU may lack can only be called where it was found")]

#[cfg(any(test, target_arch = "x86_64"))]
extern crate std;

/// Bytes below which a wider sum does not pay.
#[cfg(target_arch = "x86_64")]
const WIDE_MIN: usize = 128;

/// Bytes that one load of a short sum reads.
const WORD: usize = size_of::<u64>();

/// The sum of the 32-bit words of `bytes` in native byte order. The last word is padded with zeros.
/// Exact for fewer than 2^32 words.
#[inline(always)]
#[must_use]
pub fn sum_of_words(bytes: &[u8]) -> u64 {
    sum_of_words_from(bytes, 0)
}

/// [`sum_of_words`] of `bytes[start..]`. A short end is cheap: one load reads it together with the
/// bytes before it, which are shifted out.
#[inline(always)]
#[must_use]
pub fn sum_of_words_from(bytes: &[u8], start: usize) -> u64 {
    let Some(end) = bytes.get(start..) else { return 0 };
    match (bytes.last_chunk(), end.first_chunk()) {
        (Some(last), _) if end.len() <= WORD => sum_of_few(last, end.len()),
        (Some(last), Some(first)) if end.len() <= 2 * WORD => {
            sum_of_few(first, WORD).wrapping_add(sum_of_few(last, end.len().wrapping_sub(WORD)))
        }
        _ => sum_of_many(end),
    }
}

/// [`sum_of_words`] of the last `length` bytes of `word`; `length` is at most [`WORD`].
#[inline(always)]
fn sum_of_few(word: &[u8; WORD], length: usize) -> u64 {
    // A shift by all 64 bits would wrap to none, so it is done in two halves.
    let half = u32::try_from(WORD.wrapping_sub(length).wrapping_mul(4)).unwrap_or_default();
    sum_of_halves(u64::from_le_bytes(*word).wrapping_shr(half).wrapping_shr(half))
}

/// The sum of two words in native byte order.
#[inline(always)]
fn sum_of_halves(words: u64) -> u64 {
    let [a, b, c, d, e, f, g, h] = words.to_le_bytes();
    let half = |bytes| u64::from(u32::from_ne_bytes(bytes));
    half([a, b, c, d]).wrapping_add(half([e, f, g, h]))
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
    sum.wrapping_add(u64::from(word_of(rest)))
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
            let longer: Vec<u8> = [9; 20].iter().chain(bytes).copied().collect();
            assert_eq!(sum_of_words_from(&longer, 20), slow, "the last {length} bytes");
        }
    }
}
