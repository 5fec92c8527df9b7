//! Which copy wins when a segment overlaps held bytes.
//!
//! What the receiver has acknowledged it has taken: below that, a policy chooses nothing.
//!
//! mOS: `MOS_CLIOVERLAP`, `MOS_SVROVERLAP`.

use super::ranges::{Borders, Span};

/// Which copy of a stream position is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OverlapPolicy {
    /// A position that holds data is never overwritten. mOS: `MOS_OVERLAP_POLICY_FIRST`.
    #[default]
    First,
    /// A position takes the newest captured copy until the receiver acknowledges it. mOS:
    /// `MOS_OVERLAP_POLICY_LAST`.
    Last,
    /// What a Linux receiver delivers. A segment that is next in order wins over what is queued out
    /// of order. Of queued segments, the one that begins at the lower offset wins, or the longer
    /// one if both begin at the same; one that begins where another ends is appended to it.
    Linux,
}

/// What decided which of two copies is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OverlapRule {
    /// The policy of the flow.
    Policy(OverlapPolicy),
    /// The receiver had acknowledged the held copy before the other one came.
    Acknowledged,
    /// The arriving copy had been kept aside, because its receiver may not take it; the held one
    /// had not.
    Doubtful,
}

/// How a segment overlaps what is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Overlap {
    /// Decides at and above [`Self::acknowledged`].
    pub(crate) rule: OverlapRule,
    /// What the receiver has acknowledged. Below it, what is held stays.
    pub(crate) acknowledged: u64,
}

/// A policy where nothing was acknowledged.
impl From<OverlapPolicy> for Overlap {
    fn from(policy: OverlapPolicy) -> Self {
        Self { rule: OverlapRule::Policy(policy), acknowledged: 0 }
    }
}

impl OverlapPolicy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::First, Self::Last, Self::Linux];

    /// The word that users write.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::Linux => "linux",
        }
    }

    /// The offset from which on the arriving copy of a segment replaces held ones, when the byte at
    /// `next` is the first that is missing. `earlier_end` says where the segments end that precede
    /// it in Linux's queue.
    fn replaces_from(self, arriving: Span, next: u64, earlier_end: impl FnOnce() -> u64) -> u64 {
        match self {
            Self::First => arriving.end,
            Self::Last => arriving.start,
            Self::Linux if arriving.start <= next => next,
            Self::Linux => arriving.start.max(earlier_end()),
        }
    }

    /// What becomes of the borders of a segment that begins at `start`, likewise.
    const fn borders(self, start: u64, next: u64) -> Borders {
        match self {
            Self::Linux if start > next => Borders::Keep,
            Self::First | Self::Last | Self::Linux => Borders::Join,
        }
    }
}

impl OverlapRule {
    /// The rule, as events name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy(policy) => policy.as_str(),
            Self::Acknowledged => "acknowledged",
            Self::Doubtful => "doubtful",
        }
    }
}

impl Overlap {
    /// What decides at an offset, and where something else does.
    pub(super) const fn rule_at(self, at: u64) -> (OverlapRule, u64) {
        if at < self.acknowledged {
            (OverlapRule::Acknowledged, self.acknowledged)
        } else {
            (self.rule, u64::MAX)
        }
    }

    /// See [`OverlapPolicy::replaces_from`].
    pub(super) fn replaces_from(
        self,
        arriving: Span,
        next: u64,
        earlier_end: impl FnOnce() -> u64,
    ) -> u64 {
        let from = match self.rule {
            OverlapRule::Policy(policy) => policy.replaces_from(arriving, next, earlier_end),
            OverlapRule::Acknowledged | OverlapRule::Doubtful => arriving.end,
        };
        from.max(self.acknowledged)
    }

    /// See [`OverlapPolicy::borders`].
    pub(super) const fn borders(self, start: u64, next: u64) -> Borders {
        match self.rule {
            OverlapRule::Policy(policy) => policy.borders(start, next),
            OverlapRule::Acknowledged | OverlapRule::Doubtful => Borders::Join,
        }
    }
}
