//! Sequence numbers: 32 bits that wrap. They have no order, only a signed distance.

/// A TCP sequence or acknowledgement number, RFC 9293 section 3.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct SeqNum(pub(crate) u32);

impl SeqNum {
    /// The number `bytes` further on.
    #[must_use]
    pub(crate) const fn plus(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// The number `bytes` before.
    #[must_use]
    pub(crate) const fn before(self, bytes: u32) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }

    /// How many bytes there are from `earlier`, which is less than 2^32 before it.
    #[must_use]
    pub(crate) const fn bytes_since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The signed distance from `earlier`: negative when `self` comes before it. Exact while the
    /// two are less than 2^31 apart.
    #[must_use]
    pub(crate) const fn distance_from(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn adding_then_measuring_gives_the_distance(start: u32, step in 0..=i32::MAX) {
            let start = SeqNum(start);
            let end = start.plus(step.cast_unsigned());
            prop_assert_eq!(end.distance_from(start), step);
        }

        #[test]
        fn the_distance_back_is_the_negative(a: u32, b: u32) {
            prop_assume!(a.wrapping_sub(b) != 1 << 31);
            let there = SeqNum(a).distance_from(SeqNum(b));
            prop_assert_eq!(SeqNum(b).distance_from(SeqNum(a)), -there);
        }
    }
}
