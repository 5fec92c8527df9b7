//! Changes to the options of a live flow: planned first, then applied all or none.

use super::{Stack, emitter::Emitter};
use crate::{
    Applied, EndCause, EventSink, Fact, FlowId, Instant, LookupError, Side, SockOptChange,
    SockOptError, SockOpts, StatusChange, StopScope, socket::MonitorSocket,
};

impl Stack {
    /// Changes options of one flow: all of the change or nothing. `expected` is the revision that
    /// the options must have. Takes effect before the next segment; `now` is the time of the turn.
    ///
    /// # Errors
    ///
    /// Why nothing was changed.
    pub fn set_sock_opt(
        &mut self,
        id: FlowId,
        change: &SockOptChange,
        expected: Option<u32>,
        now: Instant,
        sink: &mut impl EventSink,
    ) -> Result<Applied, SockOptError> {
        let (slot, planned, mut applied) = self.plan(id, change, expected)?;
        let Some((key, flow)) = self.table.get(slot) else {
            return Err(SockOptError::Lookup(LookupError::NotFound));
        };
        let tuple = flow.tuple(&key);
        let is_ending = planned.stopped == Some(StopScope::Both) && !flow.socket.is_stopped();
        if is_ending {
            sink.flow_ended(&self.view(id, key, flow), Some(EndCause::Stopped));
            self.stats.count_end(EndCause::Stopped);
        }
        let mut emitter = Emitter { time: now, flow: Some(id), tuple: || tuple, sink };
        if let Some(flow) = self.table.get_mut(slot) {
            let free_bytes = self.pool.free_bytes();
            applied.discarded_bytes = flow
                .adopt(planned, slot, &mut self.pool, &mut self.ledger, |fact| emitter.emit(fact))
                .ok_or(SockOptError::PoolExhausted { requested_bytes: free_bytes, free_bytes })?;
            applied.revision = flow.revision(slot, &self.ledger);
        }
        for side in Side::BOTH.into_iter().filter(|side| planned.is_stopped(*side)) {
            self.asides.discard_bytes(slot, side.peer(), &mut self.pool);
        }
        if is_ending {
            emitter.emit(Fact::FlowEnded(Some(EndCause::Stopped)));
            self.tell_status(slot, StatusChange::Ended(Some(EndCause::Stopped)), now, sink);
        } else if !applied.unchanged {
            self.tell_status(slot, StatusChange::Changed, now, sink);
        }
        Ok(applied)
    }

    /// What [`Self::set_sock_opt`] would do, without doing it. The revision is the one in force:
    /// nobody can know the next one, because others may change the options first.
    ///
    /// # Errors
    ///
    /// As [`Self::set_sock_opt`].
    pub fn check_sock_opt(
        &self,
        id: FlowId,
        change: &SockOptChange,
        expected: Option<u32>,
    ) -> Result<Applied, SockOptError> {
        self.plan(id, change, expected).map(|(_, _, applied)| applied)
    }

    /// Computes what a change would do, and whether it is allowed.
    fn plan(
        &self,
        id: FlowId,
        change: &SockOptChange,
        expected: Option<u32>,
    ) -> Result<(u32, SockOpts, Applied), SockOptError> {
        let slot = self.resolve(id)?;
        let Some((_, flow)) = self.table.get(slot) else {
            return Err(SockOptError::Lookup(LookupError::NotFound));
        };
        let current = flow.revision(slot, &self.ledger);
        if expected.is_some_and(|expected| expected != current) {
            return Err(SockOptError::RevisionMismatch { current });
        }
        let previous = flow.options();
        let planned = MonitorSocket::plan(previous, change, &self.limits)?;
        let (mut growth, mut discarded_bytes) = (0, 0);
        for side in Side::BOTH {
            growth += flow.buffers[side].growth_bytes(&self.pool, planned.buffer_bytes[side]);
            discarded_bytes +=
                flow.buffers[side].shrink_bytes(&self.pool, planned.buffer_bytes[side]);
        }
        let free_bytes = self.pool.free_bytes();
        if growth > free_bytes {
            return Err(SockOptError::PoolExhausted { requested_bytes: growth, free_bytes });
        }
        let (options, unchanged, revision) = (planned, planned == previous, current);
        let applied = Applied { options, previous, revision, unchanged, discarded_bytes };
        Ok((slot, planned, applied))
    }
}
