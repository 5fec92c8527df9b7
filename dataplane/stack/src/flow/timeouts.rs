//! How long a flow may be silent before it times out.

use crate::{Instant, limits::Timeouts, tcp::Lifetime, time::nanos_of};

/// The configured timeouts in nanoseconds, by [`Lifetime`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlowTimeouts([u64; 4]);

/// When a segment arrived, and which silence before it ends an established flow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) now: Instant,
    /// In nanoseconds.
    pub(crate) idle: u64,
}

impl FlowTimeouts {
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

    /// The timeout of a connection with this lifetime, in nanoseconds.
    #[inline]
    pub(crate) const fn of(&self, lifetime: Lifetime) -> u64 {
        self.0[lifetime as usize]
    }
}
