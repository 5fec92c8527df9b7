//! The VLANs of a packet, and which pairs of them flows have had.

use alloc::vec::Vec;

use crate::Limits;

/// Bits of a VLAN id.
const ID_BITS: u32 = 12;

/// Pairs that are remembered, at most.
const PAIRS_MAX: usize = 16_384;

/// The VLAN ids in the tags of a packet: the outermost, and the innermost where there are several.
/// A tag with the id 0 holds a priority alone, and does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Vlans {
    /// 0: none.
    outer: u16,
    /// 0: none.
    inner: u16,
}

impl Vlans {
    /// Every bit of [`Self::bits`].
    pub(crate) const ALL_BITS: u64 = (1 << (2 * ID_BITS)) - 1;

    /// No tag.
    pub(crate) const NONE: Self = Self { outer: 0, inner: 0 };

    /// One id; the upper bits are none of it.
    pub(crate) const fn one(id: u16) -> Self {
        Self::NONE.within(id)
    }

    /// The same with one more tag inside of the others.
    pub(crate) const fn within(self, id: u16) -> Self {
        match (id & ((1 << ID_BITS) - 1), self.outer) {
            (0, _) => self,
            (id, 0) => Self { outer: id, ..self },
            (id, _) => Self { inner: id, ..self },
        }
    }

    /// These, or the others where there are none.
    pub(crate) const fn or(self, others: Self) -> Self {
        if self.outer == 0 { others } else { self }
    }

    /// The outermost id.
    pub(crate) const fn outer(self) -> Option<u16> {
        if self.outer == 0 { None } else { Some(self.outer) }
    }

    /// The innermost id of several.
    pub(crate) const fn inner(self) -> Option<u16> {
        if self.inner == 0 { None } else { Some(self.inner) }
    }

    /// The ids in the lowest bits of a number; the inverse of [`Self::bits`].
    pub(crate) const fn from_bits(bits: u64) -> Self {
        let [.., b0, b1, b2] = (bits & Self::ALL_BITS).to_be_bytes();
        let (inner, outer) = ([b0 >> 4, b0 << 4 | b1 >> 4], [b1 & 0x0f, b2]);
        Self { outer: u16::from_be_bytes(outer), inner: u16::from_be_bytes(inner) }
    }

    /// Both ids as a number of 24 bits; 0 for none.
    pub(crate) const fn bits(self) -> u32 {
        (self.inner as u32) << ID_BITS | self.outer as u32
    }
}

/// The pairs of ids that flows have had, where VLANs are part of keys: a flow is found by its
/// addresses and ports without knowing them.
#[derive(Debug, Default)]
pub(crate) struct VlanPairs(Vec<Vlans>);

impl VlanPairs {
    /// Reserves the room, where VLANs are part of keys. `None` when there is not enough memory.
    pub(crate) fn new(limits: &Limits) -> Option<Self> {
        let mut pairs = Vec::new();
        pairs.try_reserve_exact(if limits.vlan_in_key { PAIRS_MAX } else { 0 }).ok()?;
        Some(Self(pairs))
    }

    /// Remembers the ids of a flow, if they are a pair, it is a new one and there is room.
    pub(crate) fn note(&mut self, vlans: Vlans) {
        let Self(pairs) = self;
        if vlans.inner().is_some()
            && pairs.len() < pairs.capacity()
            && let Err(at) = pairs.binary_search(&vlans)
        {
            pairs.insert(at, vlans);
        }
    }

    /// Those with this outermost id, or all.
    pub(crate) fn with(&self, outer: Option<u16>) -> impl Iterator<Item = Vlans> {
        let is_wanted = move |pair: &Vlans| outer.is_none() || pair.outer() == outer;
        self.0.iter().copied().filter(is_wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_and_the_innermost_id_count_and_priorities_do_not() {
        for (tags, outer, inner) in [
            (&[][..], None, None),
            (&[0, 0], None, None),
            (&[100], Some(100), None),
            (&[0, 100, 0xe000], Some(100), None),
            (&[100, 0, 10], Some(100), Some(10)),
            (&[100, 7, 10], Some(100), Some(10)),
            (&[0x6000 | 4095, 4095], Some(4095), Some(4095)),
        ] {
            let vlans = tags.iter().fold(Vlans::NONE, |vlans, id| vlans.within(*id));
            assert_eq!((vlans.outer(), vlans.inner()), (outer, inner), "{tags:?}");
            assert_eq!(Vlans::from_bits(vlans.bits().into()), vlans);
        }
    }

    #[test]
    fn pairs_are_remembered_once_and_only_as_far_as_there_is_room() {
        let mut pairs = VlanPairs::new(&Limits { vlan_in_key: true, ..Limits::default() }).unwrap();
        let pair = |n: u16| Vlans::one(1 + n % 5).within(1 + n / 5);
        for n in (0..20_000).chain(0..20_000) {
            pairs.note(pair(n));
            pairs.note(Vlans::one(n));
        }
        assert_eq!(pairs.with(None).count(), PAIRS_MAX);
        assert!(pairs.with(Some(3)).all(|pair| pair.outer() == Some(3)));
        let mut none = VlanPairs::new(&Limits::default()).unwrap();
        none.note(pair(7));
        assert_eq!(none.with(None).count(), 0);
    }
}
