//! Which copy wins when a segment overlaps held bytes.
//!
//! mOS: `MOS_CLIOVERLAP`, `MOS_SVROVERLAP`.

use super::ranges::{Borders, Span};

/// Which copy of a stream position is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OverlapPolicy {
    /// A position that holds data is never overwritten. mOS: `MOS_OVERLAP_POLICY_FIRST`.
    #[default]
    First,
    /// A position takes the newest captured copy. mOS: `MOS_OVERLAP_POLICY_LAST`.
    Last,
    /// What a Linux receiver delivers. A segment that is next in order wins over what is queued out
    /// of order. Of queued segments, the one that begins at the lower offset wins, or the longer
    /// one if both begin at the same; one that begins where another ends is appended to it.
    Linux,
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
    pub(super) fn replaces_from(
        self,
        arriving: Span,
        next: u64,
        earlier_end: impl FnOnce() -> u64,
    ) -> u64 {
        match self {
            Self::First => arriving.end,
            Self::Last => arriving.start,
            Self::Linux if arriving.start <= next => next,
            Self::Linux => arriving.start.max(earlier_end()),
        }
    }

    /// What becomes of the borders of a segment that begins at `start`, likewise.
    pub(super) const fn borders(self, start: u64, next: u64) -> Borders {
        match self {
            Self::Linux if start > next => Borders::Keep,
            Self::First | Self::Last | Self::Linux => Borders::Join,
        }
    }
}
