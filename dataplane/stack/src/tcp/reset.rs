//! Resets: which are believed.

use super::{Connection, FlowSink, TcpState, Workbench};
use crate::{
    EndCause, Side, Suspicion,
    aside::{Kept, What},
    wire::{Options, Segment},
};

impl Connection {
    /// Processes a reset. RFC 9293 section 3.10.7.4, after RFC 5961 section 3.2:
    ///
    /// > If the RST bit is set and the sequence number exactly matches the next expected sequence
    /// > number (RCV.NXT), then TCP endpoints MUST reset the connection
    ///
    /// Other numbers in the window do not end the connection: the receiver sends a challenge ACK,
    /// and a genuine sender repeats the reset with the exact number. Such a reset is pending until
    /// its sender sends something else; so is one whose signature the receiver does not expect, or
    /// that ends beyond the window. `false`: not accepted.
    pub(super) fn on_reset<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        options: &Options,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) -> bool {
        let sender = &self.sides[from];
        let is_exact = match sender.offset_of(segment.seq) {
            Some(offset) => {
                let next = on.buffers[from.peer()].next().0;
                // Packets may be missing from the capture, so three numbers count as exact: the
                // next to be received, the next to be sent, and the one after the FIN.
                let fin = sender.fin().map_or(next, |fin| fin + 1);
                let exact = [next, sender.snd_nxt(), fin].map(u64::cast_signed).contains(&offset);
                // Behind a loss, the next one is what the peer has acknowledged.
                let is_claimed = |kept: &Kept| {
                    matches!(kept.what, What::Claim(_)) && kept.stretch.seq == segment.seq
                };
                let exact = exact
                    || self.is_synchronized(from)
                        && on.aside.find(from.peer(), is_claimed).is_some();
                let edge = sender.edge(&self.sides[from.peer()]).max(next.cast_signed());
                let in_window = next.min(sender.snd_una()).cast_signed()..=edge;
                let is_foreign = self.has_foreign_signature(options, from);
                let length = segment.payload_length
                    + u32::from(segment.flags.is_syn())
                    + u32::from(segment.flags.is_fin());
                let is_long = length > 0 && offset + i64::from(length) > edge;
                if in_window.contains(&offset) && (!exact || is_foreign || is_long) {
                    on.suspect(from, Suspicion::Reset);
                    self.pending_reset = Some(from);
                    return true;
                }
                exact
            }
            None => self.is_refusal(segment, from, on),
        };
        if is_exact {
            self.tell_undecided(from.peer(), on);
            self.ended = Some(EndCause::Rst);
            for side in Side::BOTH {
                on.enter(side, &mut self.sides[side], TcpState::Closed);
            }
        } else {
            on.suspect(from, Suspicion::Reset);
        }
        is_exact
    }

    /// Whether the handshake of a side is complete: before, the number of its resets is that which
    /// the segment that they refuse has acknowledged.
    pub(super) fn is_synchronized(&self, from: Side) -> bool {
        let sender = &self.sides[from];
        self.is_established && (sender.is_confirmed() || !sender.has_sent_syn())
    }

    /// Whether a reset of a side of which nothing else was captured refuses what its peer has sent.
    fn is_refusal<S: FlowSink>(
        &self,
        segment: &Segment<'_>,
        from: Side,
        on: &Workbench<'_, S>,
    ) -> bool {
        let (sender, receiver) = (&self.sides[from], &self.sides[from.peer()]);
        // RFC 9293 section 3.10.7.1: what has an ACK is refused with that number.
        if sender.named() == Some(segment.seq) {
            return true;
        }
        match receiver.offset_of(segment.ack) {
            // RFC 9293 section 3.5.3: "In the SYN-SENT state (a RST received in response to an
            // initial SYN), the RST is acceptable if the ACK field acknowledges the SYN."
            Some(_) => segment.flags.is_ack() && self.answers(segment.ack, from.peer(), on),
            // Nothing else of the connection was captured.
            None => true,
        }
    }
}
