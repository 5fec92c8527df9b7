//! A set of numbers, as ranges.

use alloc::{vec, vec::Vec};
use core::ops::RangeInclusive;

/// A number that ranges are made of.
pub trait Number: Copy + Ord {
    /// The least one.
    const MIN: Self;
    /// The largest one.
    const MAX: Self;

    /// The next larger one; `None` behind the largest.
    fn next(self) -> Option<Self>;

    /// The next smaller one; `None` before the least.
    fn previous(self) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ident)*) => {$(
        impl Number for $number {
            const MIN: Self = Self::MIN;
            const MAX: Self = Self::MAX;

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    )*};
}

numbers!(u16 u32 u128);

/// A set of numbers: ranges in ascending order, with numbers between them that are not in the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges<T>(Vec<(T, T)>);

impl<T: Number> Ranges<T> {
    /// No number.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Every number.
    #[must_use]
    pub fn all() -> Self {
        Self(vec![(T::MIN, T::MAX)])
    }

    /// The numbers of one range; none if its start is behind its end.
    #[must_use]
    pub fn of(range: RangeInclusive<T>) -> Self {
        let (first, last) = range.into_inner();
        if first <= last { Self(vec![(first, last)]) } else { Self::none() }
    }

    /// Whether no number is in the set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the set has this number.
    #[must_use]
    pub fn contains(&self, number: T) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&number))
    }

    /// The numbers that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        let mut from = Some(T::MIN);
        for (first, last) in &self.0 {
            if let (Some(from), Some(before)) = (from, first.previous())
                && from <= before
            {
                gaps.push((from, before));
            }
            from = last.next();
        }
        gaps.extend(from.map(|from| (from, T::MAX)));
        Self(gaps)
    }

    /// The numbers of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut ranges: Vec<_> = self.0.iter().chain(&other.0).copied().collect();
        ranges.sort_unstable();
        let mut joined: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                // It begins within the one before, or right behind it.
                Some((_, end)) if end.next().is_none_or(|next| first <= next) => {
                    *end = (*end).max(last);
                }
                Some(_) | None => joined.push((first, last)),
            }
        }
        Self(joined)
    }

    /// The numbers of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.complement().union(&other.complement()).complement()
    }

    /// The first and the last number of each range, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (T, T)> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges() -> impl Strategy<Value = Ranges<u16>> {
        // Near both ends, where a next or a previous number may be missing.
        let end = prop_oneof![0..8u16, (u16::MAX - 7)..=u16::MAX];
        prop::collection::vec((end.clone(), end), 0..5).prop_map(|pairs| {
            pairs.into_iter().fold(Ranges::none(), |all, (a, b)| all.union(&Ranges::of(a..=b)))
        })
    }

    fn numbers() -> impl Iterator<Item = u16> {
        (0..10).chain(u16::MAX - 9..=u16::MAX)
    }

    proptest! {
        #[test]
        fn sets_have_the_numbers_that_logic_says(a in ranges(), b in ranges()) {
            for number in numbers() {
                let (in_a, in_b) = (a.contains(number), b.contains(number));
                prop_assert_eq!(a.complement().contains(number), !in_a);
                prop_assert_eq!(a.union(&b).contains(number), in_a | in_b);
                prop_assert_eq!(a.intersection(&b).contains(number), in_a & in_b);
            }
            for set in [a.complement(), a.union(&b), a.intersection(&b)] {
                let apart = |two: &[(u16, u16)]| two[0].1.next().is_some_and(|n| n < two[1].0);
                prop_assert!(set.0.windows(2).all(apart), "{:?} are not apart", set);
                prop_assert!(set.0.iter().all(|(first, last)| first <= last));
            }
        }
    }

    #[test]
    fn everything_and_nothing_are_complements() {
        assert_eq!(Ranges::<u128>::all().complement(), Ranges::none());
        assert_eq!(Ranges::<u128>::none().complement(), Ranges::all());
        let (first, last) = (5u16, 4);
        assert!(Ranges::of(first..=last).is_empty());
    }
}
