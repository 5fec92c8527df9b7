//! Changes of many flows' options in one command.

use arrayvec::ArrayVec;
use mos_stack::{Applied, FlowId, SockOptChange, SockOptError};

/// Flows that one [`SockOptBatch`] changes, at most: about as much work as a scan.
pub const SOCK_OPT_BATCH: usize = 32;

/// Buffered bytes after which a worker leaves the rest of a batch undone, so that a turn of its
/// loop stays short: to give them back takes time.
pub const BATCH_DISCARD_BYTES: u64 = 1024 * 1024;

/// A change of one flow's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SockOptItem {
    /// Which flow.
    pub flow: FlowId,
    /// What to change, all of it or nothing.
    pub change: SockOptChange,
    /// Refuse unless the options have this revision.
    pub expected_revision: Option<u32>,
}

/// Changes of several flows, and what came of each. It travels down with the command and comes back
/// with outcomes.
#[derive(Debug, Default)]
pub struct SockOptBatch {
    /// The changes.
    pub items: ArrayVec<SockOptItem, SOCK_OPT_BATCH>,
    /// What came of the first of them; the others were not tried.
    pub outcomes: ArrayVec<Result<Applied, SockOptError>, SOCK_OPT_BATCH>,
}

impl SockOptBatch {
    /// Carries the changes out, one after the other, until all are tried or enough bytes are
    /// discarded.
    pub fn carry_out(
        &mut self,
        mut set: impl FnMut(&SockOptItem) -> Result<Applied, SockOptError>,
    ) {
        let mut discarded_bytes = 0;
        self.outcomes.clear();
        for item in &self.items {
            if discarded_bytes >= BATCH_DISCARD_BYTES {
                break;
            }
            let outcome = set(item);
            discarded_bytes += outcome.map_or(0, |applied| applied.discarded_bytes);
            self.outcomes.push(outcome);
        }
    }

    /// The changes that were tried, with what came of them.
    pub fn tried(&self) -> impl Iterator<Item = (&SockOptItem, &Result<Applied, SockOptError>)> {
        self.items.iter().zip(&self.outcomes)
    }

    /// The changes that were not tried.
    #[must_use]
    pub fn untried(&self) -> &[SockOptItem] {
        self.items.get(self.outcomes.len()..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use mos_stack::SockOpts;

    use super::*;

    fn applied(discarded_bytes: u64) -> Result<Applied, SockOptError> {
        let options = SockOpts::default();
        Ok(Applied { options, previous: options, revision: 1, unchanged: false, discarded_bytes })
    }

    #[test]
    fn a_batch_ends_early_where_much_is_discarded_and_goes_on_with_the_rest() {
        let item = |slot| SockOptItem {
            flow: FlowId::from_bits(slot).unwrap(),
            change: SockOptChange::default(),
            expected_revision: None,
        };
        let mut batch = SockOptBatch::default();
        batch.items.extend((0..10).map(item));
        batch.carry_out(|_| applied(BATCH_DISCARD_BYTES / 4));
        assert_eq!((batch.tried().count(), batch.untried().len()), (4, 6));
        assert_eq!(batch.untried().first(), Some(&item(4)));
        let rest: ArrayVec<_, SOCK_OPT_BATCH> = batch.untried().iter().copied().collect();
        let mut rest = SockOptBatch { items: rest, ..SockOptBatch::default() };
        // One flow may discard more than that: nothing stops before the first.
        rest.carry_out(|item| applied(if item.flow.to_bits() == 4 { u64::MAX / 2 } else { 0 }));
        assert_eq!(rest.tried().count(), 1);
        rest.items.clear();
        rest.carry_out(|_| applied(0));
        assert_eq!((rest.tried().count(), rest.untried().len()), (0, 0));
    }
}
