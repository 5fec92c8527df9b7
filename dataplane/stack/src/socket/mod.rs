//! The monitor socket of a flow: its options in force, and how they change.

mod options;

pub use options::{
    Applied, LookupError, SockOptChange, SockOptError, SockOptName, SockOptNames, SockOpts,
    StopScope, round_up_to_block,
};

use crate::{Limits, OptionsOrigin, Side};

/// The options of one flow.
#[derive(Debug)]
pub(crate) struct MonitorSocket {
    pub(crate) options: SockOpts,
    pub(crate) origin: OptionsOrigin,
    /// Grows by one with every change.
    pub(crate) revision: u32,
}

impl MonitorSocket {
    /// A socket with the configured defaults.
    pub(crate) const fn new(defaults: SockOpts) -> Self {
        Self { options: defaults, origin: OptionsOrigin::Default, revision: 0 }
    }

    /// Whether no side is monitored any more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.options.stopped == Some(StopScope::Both)
    }

    /// The options that a change leads to, if it may be made.
    pub(crate) fn plan(
        &self,
        change: &SockOptChange,
        limits: &Limits,
    ) -> Result<SockOpts, SockOptError> {
        let mut planned = self.options;
        for name in change.names() {
            if limits.locked.contains(name) {
                return Err(SockOptError::Locked { name });
            }
            match name {
                SockOptName::Buffer(side) | SockOptName::Overlap(side)
                    if self.options.is_stopped(side) =>
                {
                    return Err(SockOptError::Stopped { name });
                }
                SockOptName::Buffer(side) => {
                    let value = change.buffer_bytes[side].unwrap_or_default();
                    planned.buffer_bytes[side] = round_up_to_block(value)
                        .filter(|rounded| *rounded <= limits.buffer_bytes_max)
                        .ok_or(SockOptError::OutOfRange {
                            name,
                            value,
                            max: limits.buffer_bytes_max,
                        })?;
                }
                SockOptName::Overlap(side) => {
                    planned.overlap[side] = change.overlap[side].unwrap_or_default();
                }
                SockOptName::StopMonitoring => {
                    planned.stopped = match (planned.stopped, change.stop) {
                        (Some(already), Some(more)) => Some(already.union(more)),
                        (already, more) => already.or(more),
                    };
                }
            }
        }
        for side in Side::BOTH {
            if planned.is_stopped(side) {
                planned.buffer_bytes[side] = 0;
            }
        }
        Ok(planned)
    }

    /// Puts planned options in force. Returns whether they differ from those before.
    pub(crate) fn adopt(&mut self, planned: SockOpts) -> bool {
        if planned == self.options {
            return false;
        }
        self.options = planned;
        self.origin = OptionsOrigin::Explicit;
        self.revision = self.revision.wrapping_add(1);
        true
    }
}
