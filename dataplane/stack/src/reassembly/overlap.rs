//! Which copy wins when a segment overlaps held bytes.
//!
//! mOS: `MOS_CLIOVERLAP`, `MOS_SVROVERLAP`.

/// Which copy of a stream position is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OverlapPolicy {
    /// A position that holds data is never overwritten. mOS: `MOS_OVERLAP_POLICY_FIRST`.
    #[default]
    First,
    /// A position takes the newest captured copy. mOS: `MOS_OVERLAP_POLICY_LAST`.
    Last,
}

impl OverlapPolicy {
    /// Every policy.
    pub const ALL: [Self; 2] = [Self::First, Self::Last];

    /// The word that users write.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
        }
    }
}
