//! FINs: one more place of the stream, which counts when it is reached.

use super::{Connection, FlowSink, TcpState, Workbench};
use crate::{
    Roles, Side, StreamOffset, Suspicion,
    aside::{Kept, What},
    wire::Segment,
};

impl Connection {
    /// Processes a FIN, which is one more place of the stream: it counts when it is reached.
    pub(super) fn on_fin<S: FlowSink>(&mut self, fin: u64, from: Side, on: &mut Workbench<'_, S>) {
        let received = on.buffers[from.peer()].next().0;
        let sender = &self.sides[from];
        match sender.fin() {
            Some(known) if known == fin => {}
            _ if fin < received.min(sender.snd_nxt()) => on.suspect(from, Suspicion::Fin),
            // Its place is held already.
            _ if on.holds(from.peer(), StreamOffset(fin)) => on.suspect(from, Suspicion::Fin),
            // Kept aside with what comes behind the other one.
            Some(_) if self.is_fin_reached(from, on) => {}
            Some(_) if fin > received => {
                on.suspect(from, Suspicion::Fin);
                self.keep_fin(fin, from, on);
            }
            Some(known) => {
                self.keep_fin(known, from, on);
                self.close(from, fin, on);
            }
            None => self.close(from, fin, on),
        }
    }

    /// Keeps a FIN aside, in case the stream reaches it.
    fn keep_fin<S: FlowSink>(&self, fin: u64, from: Side, on: &mut Workbench<'_, S>) {
        if let Some(seq) = self.sides[from].seq_of(StreamOffset(fin)) {
            on.aside.keep(on.pool, from, What::Fin, seq);
        }
    }

    /// Closes a side at the FIN, kept aside, that its stream has reached.
    pub(super) fn reach_fin<S: FlowSink>(&mut self, from: Side, on: &mut Workbench<'_, S>) {
        let received = on.buffers[from.peer()].next();
        let sender = &self.sides[from];
        let Some(seq) = sender.seq_of(received) else { return };
        let is_here = |kept: &Kept| kept.what == What::Fin && kept.stretch.seq == seq;
        if !self.is_fin_reached(from, on) && on.aside.find(from, is_here).is_some() {
            self.close(from, received.0, on);
        }
    }

    /// Records the FIN of a side.
    pub(super) fn close<S: FlowSink>(&mut self, from: Side, fin: u64, on: &mut Workbench<'_, S>) {
        let Roles { sender, receiver } = self.sides.roles(from);
        sender.learn_fin(fin);
        // A side that has not acknowledged its peer's FIN had not received it.
        let closing = match receiver.is_fin_acknowledged() {
            true => sender.state.sends_fin(),
            false => TcpState::FinWait1,
        };
        on.enter(from, sender, closing);
    }

    /// Withdraws the FIN of a side if more than that was acknowledged.
    pub(super) fn reopen_below<S: FlowSink>(
        &mut self,
        from: Side,
        acknowledged: u64,
        on: &mut Workbench<'_, S>,
    ) {
        if self.sides[from].fin().is_some_and(|fin| acknowledged > fin + 1) {
            self.reopen(from, on);
        }
    }

    /// Whether a segment acknowledges what was kept aside behind the FIN of its peer: then that was
    /// none.
    pub(super) fn passes_fin<S: FlowSink>(
        &self,
        segment: &Segment<'_>,
        from: Side,
        on: &Workbench<'_, S>,
    ) -> bool {
        let fin = self.sides[from.peer()].fin().filter(|_| segment.flags.is_ack());
        fin.is_some_and(|fin| self.acknowledged_behind(fin + 1, segment, from, on).is_some())
    }

    /// Withdraws the FIN of a side: the stream goes on behind it.
    pub(super) fn reopen<S: FlowSink>(&mut self, from: Side, on: &mut Workbench<'_, S>) {
        on.suspect(from, Suspicion::Fin);
        let Roles { sender, receiver } = self.sides.roles(from);
        sender.forget_fin();
        on.enter(from, sender, sender.state.withdraws_fin());
        on.enter(from.peer(), receiver, receiver.state.unreceives_fin());
    }

    /// Whether the stream of a side has reached its FIN.
    pub(super) fn is_fin_reached<S: FlowSink>(&self, from: Side, on: &Workbench<'_, S>) -> bool {
        self.sides[from].is_fin_reached(on.buffers[from.peer()].next())
    }
}
