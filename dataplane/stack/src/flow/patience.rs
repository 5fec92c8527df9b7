//! How long a flow may be silent before it ends.

use crate::{limits::Timeouts, tcp::Lifetime, time::nanos_of};

/// The configured timeouts as packets need them: in nanoseconds, by what a connection has come to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience([u64; 4]);

impl Patience {
    pub(crate) fn new(timeouts: &Timeouts) -> Self {
        let mut nanos = [0; 4];
        for (lifetime, span) in [
            (Lifetime::HalfOpen, timeouts.half_open),
            (Lifetime::Established, timeouts.idle),
            (Lifetime::Closing, timeouts.closing),
            (Lifetime::TimeWait, timeouts.time_wait),
        ] {
            nanos[lifetime as usize] = nanos_of(span);
        }
        Self(nanos)
    }

    /// Nanoseconds of silence that end such a connection.
    #[inline]
    pub(crate) const fn with(&self, lifetime: Lifetime) -> u64 {
        self.0[lifetime as usize]
    }
}
