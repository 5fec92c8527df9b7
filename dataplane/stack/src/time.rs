//! Points and spans of time, all passed in by the caller; there is no `now()` here.

use core::time::Duration;

/// A point in time: nanoseconds since the Unix epoch on the clock of the packet source.
///
/// A live source reads a monotonic clock that was anchored to the wall clock once, at start; a
/// capture file brings its own timestamps. The range ends in the year 2554.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// The instant `nanos` nanoseconds after the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The instant `span` later; stays at the end of the range instead of wrapping.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        self.after_nanos(nanos_of(span))
    }

    /// [`Self::after`] for a span in nanoseconds.
    pub(crate) const fn after_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// The span from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The nanoseconds of a span, at most [`u64::MAX`].
pub(crate) fn nanos_of(span: Duration) -> u64 {
    let whole = span.as_secs().saturating_mul(1_000_000_000);
    whole.saturating_add(u64::from(span.subsec_nanos()))
}
