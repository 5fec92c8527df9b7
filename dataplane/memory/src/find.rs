//! Finds a word among eight without a branch, because its place among them is not predictable.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "what a CPU may lack can only be called where it was found")
)]

/// Words that are compared at once.
pub const FEW: usize = 8;

/// Which of the words equal `word`: one bit each, bit 0 for the first.
#[inline(always)]
#[must_use]
#[cfg(target_arch = "x86_64")]
pub fn find_word(words: &[u32; FEW], word: u32) -> u32 {
    // SAFETY: every CPU of this architecture has SSE2.
    unsafe { find_word_sse2(words, word) }
}

#[inline]
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn find_word_sse2(words: &[u32; FEW], word: u32) -> u32 {
    use core::arch::x86_64::{
        __m128i, _mm_cmpeq_epi32, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32,
        _mm_set1_epi32, _mm_setzero_si128,
    };
    let [low, high]: [__m128i; 2] = zerocopy::transmute!(*words);
    let wanted = _mm_set1_epi32(word.cast_signed());
    let equal = _mm_packs_epi32(_mm_cmpeq_epi32(low, wanted), _mm_cmpeq_epi32(high, wanted));
    _mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())).cast_unsigned()
}

/// Which of the words equal `word`: one bit each, bit 0 for the first.
#[inline]
#[must_use]
#[cfg(not(target_arch = "x86_64"))]
pub fn find_word(words: &[u32; FEW], word: u32) -> u32 {
    words.iter().enumerate().map(|(at, other)| u32::from(*other == word) << at).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_few_words_has_its_bit() {
        let wanted = 0x8000_0001;
        for expected in 0..1 << FEW {
            let other = |at: u32| 0x8001 + (at << 28);
            let is_equal = |at: u32| expected >> at & 1 == 1;
            let words =
                [0, 1, 2, 3, 4, 5, 6, 7].map(|at| if is_equal(at) { wanted } else { other(at) });
            assert_eq!(find_word(&words, wanted), expected);
        }
    }
}
