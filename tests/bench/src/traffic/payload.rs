//! The contents of streams: every byte is a function of the flow, the direction and the position,
//! so that each byte can be checked by itself.

use mos_stack::Side;

/// One direction of one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream(u64);

/// Odd and without a pattern in its bits, so that all words of a stream differ.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Stream {
    /// The stream that one side of a flow sends.
    #[must_use]
    pub const fn new(flow: u64, sender: Side) -> Self {
        Self(mix(flow << 1 | sender as u64))
    }

    /// The initial sequence number of this direction: that of its SYN.
    #[must_use]
    pub const fn initial_seq(self) -> u32 {
        (mix(self.0) >> 32) as u32
    }

    /// Fills `out` with the bytes from `offset` on.
    pub fn write(self, offset: u64, out: &mut [u8]) {
        let within = usize::try_from(offset % 8).unwrap_or_default();
        let mut at = offset / 8;
        let head = if within == 0 { 0 } else { (8 - within).min(out.len()) };
        let (first, rest) = out.split_at_mut(head);
        if head > 0 {
            first.copy_from_slice(&self.word(at)[within..within + head]);
            at += 1;
        }
        let (words, last) = rest.as_chunks_mut::<8>();
        for (place, number) in words.iter_mut().zip(at..) {
            *place = self.word(number);
        }
        at += words.len() as u64;
        let length = last.len();
        last.copy_from_slice(&self.word(at)[..length]);
    }

    const fn word(self, number: u64) -> [u8; 8] {
        self.0.wrapping_add(number.wrapping_mul(STEP)).to_le_bytes()
    }
}

/// Mixes the bits of a number: the finaliser of `SplitMix64`.
#[must_use]
pub const fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(STEP);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
