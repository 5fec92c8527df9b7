//! FINs: one more place of the stream, which counts when it is reached.

use super::{Connection, FlowSink, TcpState, Workbench};
use crate::{
    Roles, Side, StreamOffset, Suspicion,
    aside::{Kept, What},
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
            Some(_) if self.is_fin_reached(from, on) => on.suspect(from, Suspicion::Fin),
            Some(_) if fin > received => {
                on.suspect(from, Suspicion::Fin);
                if let Some(seq) = sender.seq_of(StreamOffset(fin)) {
                    on.aside.keep(on.pool, from, What::Fin, seq);
                }
            }
            _ => self.close(from, fin, on),
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
