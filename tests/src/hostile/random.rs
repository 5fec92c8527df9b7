//! Seeded random numbers: the same seed always makes the same attack. Not for secrets.
//!
//! `SplitMix64` (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scatter(self.0)
    }

    /// The next 8 random bytes.
    pub const fn bytes(&mut self) -> [u8; 8] {
        self.bits().to_le_bytes()
    }

    /// The next 32 random bits.
    pub const fn word(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// The next 16 random bits.
    pub const fn half(&mut self) -> u16 {
        let [a, b, ..] = self.bytes();
        u16::from_le_bytes([a, b])
    }

    /// The next 8 random bits.
    pub const fn byte(&mut self) -> u8 {
        self.bytes()[0]
    }

    /// An index below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.bits()) * bound as u128;
        usize::try_from(product >> 64).unwrap_or_default()
    }

    /// True with a probability of 1 in `times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// Mixes the bits of a number.
#[must_use]
pub const fn scatter(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
