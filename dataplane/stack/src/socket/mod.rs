//! The monitor socket of a flow: its options in force, and how they change.

mod options;

pub use options::{
    Applied, LookupError, SockOptChange, SockOptError, SockOptKind, SockOptName, SockOptNames,
    SockOptRow, SockOptValue, SockOpts, StopScope, round_up_to_block,
};

use crate::{Limits, OverlapPolicy, Side, Sides};

/// The options of one flow, except the capacities, which are in its buffers. Their revision is in
/// the ledger: most flows keep their defaults.
#[derive(Debug)]
pub(crate) struct MonitorSocket {
    overlap: PackedOverlap,
    stopped: Option<StopScope>,
}

/// Both sides' policies in one byte: the client's in the lower half.
#[derive(Debug, Clone, Copy)]
struct PackedOverlap(u8);

impl PackedOverlap {
    const fn new(overlap: Sides<OverlapPolicy>) -> Self {
        Self(overlap.client as u8 | (overlap.server as u8) << 4)
    }

    fn unpack(self) -> Sides<OverlapPolicy> {
        let of = |bits: u8| OverlapPolicy::ALL.into_iter().find(|policy| *policy as u8 == bits);
        Sides {
            client: of(self.0 & 0x0f).unwrap_or_default(),
            server: of(self.0 >> 4).unwrap_or_default(),
        }
    }
}

impl MonitorSocket {
    /// A socket with the configured defaults.
    pub(crate) const fn new(defaults: SockOpts) -> Self {
        let SockOpts { buffer_bytes: _, overlap, stopped } = defaults;
        Self { overlap: PackedOverlap::new(overlap), stopped }
    }

    /// Both sides' overlap policies.
    pub(crate) fn overlap(&self) -> Sides<OverlapPolicy> {
        self.overlap.unpack()
    }

    /// The options in force, with the capacities of the buffers.
    pub(crate) fn options(&self, buffer_bytes: Sides<u64>) -> SockOpts {
        SockOpts { buffer_bytes, overlap: self.overlap(), stopped: self.stopped }
    }

    /// Whether a side is no longer monitored.
    pub(crate) fn is_side_stopped(&self, side: Side) -> bool {
        self.stopped.is_some_and(|scope| scope.contains(side))
    }

    /// Whether no side is monitored any more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped == Some(StopScope::Both)
    }

    /// The options after a change of those in force, or why the change is refused.
    pub(crate) fn plan(
        in_force: SockOpts,
        change: &SockOptChange,
        limits: &Limits,
    ) -> Result<SockOpts, SockOptError> {
        let mut planned = in_force;
        for name in change.names() {
            if limits.locked.contains(name) {
                return Err(SockOptError::Locked { name });
            }
            match name {
                SockOptName::Buffer(side) | SockOptName::Overlap(side)
                    if in_force.is_stopped(side) =>
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

    /// Puts planned options in force. They differ from those in force before.
    pub(crate) const fn adopt(&mut self, planned: SockOpts) {
        let SockOpts { buffer_bytes: _, overlap, stopped } = planned;
        (self.overlap, self.stopped) = (PackedOverlap::new(overlap), stopped);
    }
}
