//! TCP as a monitor in the middle sees it: both endpoints emulated from the segments between them.
//!
//! A segment updates its sender first and its receiver second, as the hooks of mOS do. Rules are
//! written for `sender` and `receiver`, never for client and server.

pub(crate) mod prediction;
mod side;
mod state;
mod workbench;

pub(crate) use prediction::{Prediction, Unsynced};
pub(crate) use side::TcpSide;
use side::WINDOW_UNKNOWN;
pub use state::TcpState;
pub(crate) use workbench::{Arrival, FlowSink, Workbench, fact_of};

use core::time::Duration;

use crate::{
    EndCause, Fact, Roles, Side, Sides, Stat, StreamOffset,
    wire::{Segment, WindowScale},
};

/// The oldest copy of a segment: twice the maximum segment lifetime of RFC 9293 section 3.4.2.
const COPY_LIFETIME: Duration = Duration::from_secs(240);

/// Both endpoints of one connection. Lags behind while segments are predicted, see [`Prediction`].
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sides: Sides<TcpSide>,
    /// How the connection ended, once it has.
    pub(crate) ended: Option<EndCause>,
    /// The side that has sent a reset in the window, but not an exact one, and nothing since.
    pending_reset: Option<Side>,
    is_established: bool,
    /// Which timeout applies: follows from the fields above.
    lifetime: Lifetime,
}

/// How a connection was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// By a SYN, or a SYN/ACK.
    Syn,
    /// By a packet of an existing connection, whose SYN was not captured.
    Midstream,
}

/// Which timeout applies to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    HalfOpen,
    Established,
    Closing,
    TimeWait,
}

impl Connection {
    /// A new connection.
    pub(crate) const fn new(beginning: Beginning) -> Self {
        let (client, server, lifetime) = match beginning {
            Beginning::Syn => (TcpState::Closed, TcpState::Listen, Lifetime::HalfOpen),
            Beginning::Midstream => {
                (TcpState::Established, TcpState::Established, Lifetime::Established)
            }
        };
        Self {
            sides: Sides { client: TcpSide::new(client), server: TcpSide::new(server) },
            ended: None,
            pending_reset: None,
            is_established: matches!(beginning, Beginning::Midstream),
            lifetime,
        }
    }

    /// Which sides are no longer monitored.
    pub(crate) const fn frozen(&self) -> Sides<bool> {
        let Sides { client, server } = &self.sides;
        Sides { client: client.frozen.is_some(), server: server.frozen.is_some() }
    }

    /// Which timeout applies now.
    pub(crate) const fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// Determines which timeout applies from now on.
    const fn update_lifetime(&mut self) {
        self.lifetime = if self.ended.is_some() {
            Lifetime::TimeWait
        } else if self.is_closing() | self.pending_reset.is_some() {
            Lifetime::Closing
        } else if self.is_established {
            Lifetime::Established
        } else {
            Lifetime::HalfOpen
        };
    }

    /// How the connection has ended when it times out.
    pub(crate) fn timeout_cause(&self) -> EndCause {
        let reset = self.pending_reset.map(|_| EndCause::Rst);
        self.ended.or(reset).unwrap_or(EndCause::Timeout)
    }

    /// Whether a bare SYN on this connection's tuple, after `silence`, opens another connection.
    ///
    /// - After the end, or after the FINs of both sides: always.
    /// - With the number of the known SYN, whose late copy it may be: after one FIN and a silence
    ///   of [`COPY_LIFETIME`].
    /// - With another number: after one FIN or such a silence, before the handshake is complete, if
    ///   the other side was never captured, or if the number is outside the bounds.
    pub(crate) fn is_superseded_by(
        &self,
        segment: &Segment<'_>,
        from: Side,
        silence: Duration,
    ) -> bool {
        let (sender, receiver) = (&self.sides[from], &self.sides[from.peer()]);
        if !segment.flags.is_bare_syn() || segment.flags.is_rst() {
            return false;
        }
        let fins = [sender.fin(), receiver.fin()].iter().flatten().count();
        let is_late = silence >= COPY_LIFETIME;
        if self.ended.is_some() || fins == Side::BOTH.len() {
            return true;
        }
        if sender.is_own_syn(segment.seq) {
            return is_late && fins > 0;
        }
        let Some(offset) = sender.offset_of(segment.seq) else { return fins > 0 };
        fins > 0
            || is_late
            || !self.is_established
            || receiver.is_unheard()
            || offset < sender.snd_una().cast_signed()
            || offset > sender.bounds(receiver).high()
    }

    /// Processes one segment, sent by `from`.
    pub(crate) fn on_segment<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        if !on.frozen[from] {
            let sender = &mut self.sides[from];
            sender.packets += 1;
            sender.payload_bytes += u64::from(segment.payload_length);
        }
        on.stats.add(Stat::PayloadBytes, u64::from(segment.payload_length));
        on.stats.add(Stat::Urgent, u64::from(segment.flags.is_urg()));
        if self.ended.is_some() {
            return self.on_late(segment, from, on);
        }
        let is_valid = if segment.flags.is_rst() {
            self.on_reset(segment, from, on)
        } else {
            self.on_handshake(segment, from, on)
                && self.on_acknowledgement(segment, from, on)
                && self.on_data(segment, from, on)
        };
        if !is_valid {
            on.stats.count(Stat::OutOfWindow);
        } else if !segment.flags.is_rst() && self.pending_reset == Some(from) {
            // A side that continues to send has not reset the connection.
            self.pending_reset = None;
        }
        self.settle(from, on);
        self.update_lifetime();
    }

    /// Processes a segment after the end.
    #[cold]
    fn on_late<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        // After FINs of both sides, late bytes still belong to the streams.
        if self.ended == Some(EndCause::Fin) && !segment.flags.is_rst() {
            self.on_data(segment, from, on);
        }
    }

    /// Processes SYN, SYN/ACK, and the ACK that completes the handshake. `false`: not accepted.
    fn on_handshake<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) -> bool {
        let Roles { sender, receiver } = self.sides.roles(from);
        if !segment.flags.is_syn() {
            sender.learn_first(segment.seq);
            if segment.flags.is_ack() {
                on.enter(from, sender, sender.state.sends_ack());
            }
            return true;
        }
        // If the SYN was not captured, what its answer must acknowledge is not known.
        let acknowledged = receiver.offset_of(segment.ack).filter(|_| receiver.has_sent_syn());
        let sent = 0..=receiver.snd_nxt().cast_signed();
        let is_foreign = acknowledged.is_some_and(|offset| !sent.contains(&offset));
        if segment.flags.is_ack() && is_foreign || !sender.learn_syn(segment.seq) {
            return false;
        }
        sender.window_scale = segment.window_scale;
        if segment.flags.is_ack() {
            on.enter(from, sender, sender.state.sends_syn_ack());
            on.enter(from.peer(), receiver, receiver.state.receives_syn_ack());
        } else {
            on.enter(from, sender, sender.state.sends_syn());
            on.enter(from.peer(), receiver, receiver.state.receives_syn());
        }
        true
    }

    /// Processes the acknowledgement number and the window. `false`: not accepted.
    fn on_acknowledgement<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) -> bool {
        let Roles { sender, receiver } = self.sides.roles(from);
        sender.max_window = sender.max_window.max(window(segment, sender, receiver));
        if !segment.flags.is_ack() {
            return true;
        }
        let Some(acknowledged) = receiver.offset_of(segment.ack) else { return true };
        if !receiver.bounds(sender).contain(acknowledged) {
            return false;
        }
        let Ok(acknowledged) = u64::try_from(acknowledged) else { return true };
        if !segment.flags.is_syn() {
            receiver.acknowledge(acknowledged);
            on.enter(from.peer(), receiver, receiver.state.receives_ack());
        }
        let data = receiver.fin().map_or(acknowledged, |fin| acknowledged.min(fin));
        if StreamOffset(data) > on.buffers[from].next() {
            on.give_up_below(from, StreamOffset(data));
        }
        true
    }

    /// Processes payload and FIN. `false`: not accepted.
    #[inline(always)]
    fn on_data<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) -> bool {
        let Roles { sender, receiver } = self.sides.roles(from);
        let seq = segment.seq.plus(u32::from(segment.flags.is_syn()));
        let Some(start) = sender.offset_of(seq) else { return true };
        let end = start + i64::from(segment.payload_length);
        if !sender.bounds(receiver).contain(end) {
            return false;
        }
        let sent_before = sender.snd_nxt();
        if let Ok(end) = u64::try_from(end) {
            // A FIN with a SYN is ignored: no real stack sends it, and receivers differ.
            let closes = segment.flags.is_fin() && !segment.flags.is_syn();
            if closes && sender.fin().is_none() {
                sender.learn_fin(end);
                // A side that has not acknowledged its peer's FIN had not received it.
                let closing = match receiver.is_fin_acknowledged() {
                    true => sender.state.sends_fin(),
                    false => TcpState::FinWait1,
                };
                on.enter(from, sender, closing);
            }
            sender.advance_to(sender.fin().map_or(end, |fin| end.min(fin)));
        }
        if segment.payload_length == 0 || on.is_keepalive(from.peer(), segment, start) {
            return true;
        }
        let Some((offset, payload)) = within_stream(start, segment.payload, sender.fin()) else {
            return true;
        };
        let placed = on.place(Arrival { side: from.peer(), offset, bytes: payload });
        if placed.new_bytes + placed.refused_bytes == 0 && end <= sent_before.cast_signed() {
            on.note_retransmit(from);
            on.stats.count(Stat::Retransmits);
            let length = u64::from(segment.payload_length);
            let side = from.peer();
            on.emit(side, Fact::Retransmission { side, offset, length });
        }
        true
    }

    /// Processes a reset. RFC 9293 section 3.10.7.4, after RFC 5961 section 3.2:
    ///
    /// > If the RST bit is set and the sequence number exactly matches the next expected sequence
    /// > number (RCV.NXT), then TCP endpoints MUST reset the connection
    ///
    /// Other numbers in the window do not end the connection: the receiver sends a challenge ACK,
    /// and a genuine sender repeats the reset with the exact number. Such a reset is pending until
    /// its sender sends something else. `false`: not accepted.
    fn on_reset<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) -> bool {
        let (sender, receiver) = (&self.sides[from], &self.sides[from.peer()]);
        let next = on.buffers[from.peer()].next().0;
        let is_exact = match sender.offset_of(segment.seq) {
            Some(offset) => {
                // Packets may be missing from the capture, so three numbers count as exact: the
                // next to be received, the next to be sent, and the one after the FIN.
                let fin = sender.fin().map_or(next, |fin| fin + 1);
                let exact = [next, sender.snd_nxt(), fin].map(u64::cast_signed).contains(&offset);
                let in_window =
                    next.min(sender.snd_una()).cast_signed()..=sender.bounds(receiver).high();
                if !exact && in_window.contains(&offset) {
                    self.pending_reset = Some(from);
                    return true;
                }
                exact
            }
            None => match receiver.offset_of(segment.ack) {
                // RFC 9293 section 3.5.3: "In the SYN-SENT state (a RST received in response to an
                // initial SYN), the RST is acceptable if the ACK field acknowledges the SYN."
                Some(offset) => {
                    let sent = 0..=receiver.snd_nxt().cast_signed();
                    segment.flags.is_ack() && sent.contains(&offset)
                }
                // Nothing else of the connection was captured.
                None => true,
            },
        };
        if is_exact {
            self.ended = Some(EndCause::Rst);
            for side in Side::BOTH {
                on.enter(side, &mut self.sides[side], TcpState::Closed);
            }
        }
        is_exact
    }

    /// Updates what follows from the states of both sides: received and acknowledged FINs, the end
    /// of the handshake, the end of the connection.
    fn settle<S: FlowSink>(&mut self, from: Side, on: &mut Workbench<'_, S>) {
        if self.ended.is_some() {
            return;
        }
        if self.is_closing() {
            self.settle_fins(from, on);
        }
        let Sides { client, server } = &self.sides;
        if !self.is_established && !client.is_opening() && !server.is_opening() {
            self.is_established = true;
            on.stats.count(Stat::FlowsEstablished);
            on.emit_for_flow(Fact::FlowEstablished);
        }
        if client.fin().is_some() && server.fin().is_some() && client.is_done() && server.is_done()
        {
            self.ended = Some(EndCause::Fin);
        }
    }

    /// Whether a FIN was sent.
    const fn is_closing(&self) -> bool {
        self.sides.client.has_fin() | self.sides.server.has_fin()
    }

    /// Moves both sides, the sender first, over FINs that were acknowledged or received.
    fn settle_fins<S: FlowSink>(&mut self, from: Side, on: &mut Workbench<'_, S>) {
        // RFC 9293 section 3.10.7.4 processes the ACK of a segment before its FIN.
        for side in [from, from.peer()] {
            let tcp = &mut self.sides[side];
            if tcp.is_fin_acknowledged() {
                on.enter(side, tcp, tcp.state.receives_ack_of_fin());
            }
        }
        for side in [from, from.peer()] {
            let received = on.buffers[side].next();
            let Roles { sender: tcp, receiver: peer } = self.sides.roles(side);
            if peer.is_fin_reached(received) {
                on.enter(side, tcp, tcp.state.receives_fin());
            }
        }
    }
}

/// The window that a segment advertises, in bytes. RFC 7323 section 2.2: "The window field in a
/// segment where the SYN bit is set (i.e., a \<SYN\> or \<SYN,ACK\>) MUST NOT be scaled."
///
/// If a SYN was not captured, the scale is not known: the largest one is assumed, up to
/// [`WINDOW_UNKNOWN`], so that no genuine segment is refused.
fn window(segment: &Segment<'_>, sender: &TcpSide, receiver: &TcpSide) -> u32 {
    if segment.flags.is_syn() {
        return WindowScale::NONE.apply(segment.window);
    }
    match window_scale(sender, receiver) {
        Some(scale) => scale.apply(segment.window),
        None => WindowScale::clamped(WindowScale::MAX).apply(segment.window).min(WINDOW_UNKNOWN),
    }
}

/// The scale of the windows of `sender`, except in SYNs; `None` if its SYN was not captured.
fn window_scale(sender: &TcpSide, receiver: &TcpSide) -> Option<WindowScale> {
    match (sender.has_sent_syn(), receiver.has_sent_syn()) {
        (true, true) => Some(match (sender.window_scale, receiver.window_scale) {
            (Some(scale), Some(_)) => scale,
            _ => WindowScale::NONE,
        }),
        (true, false) => Some(sender.window_scale.unwrap_or(WindowScale::NONE)),
        (false, _) => None,
    }
}

/// The part of a payload between offset 0 and the FIN, and where it begins.
fn within_stream(start: i64, payload: &[u8], fin: Option<u64>) -> Option<(StreamOffset, &[u8])> {
    let skipped = usize::try_from(start.min(0).unsigned_abs()).ok()?;
    let payload = payload.get(skipped..)?;
    let offset = u64::try_from(start.max(0)).ok()?;
    let room = fin.map_or(u64::MAX, |fin| fin.saturating_sub(offset));
    let length = usize::try_from(room).unwrap_or(usize::MAX).min(payload.len());
    payload.get(..length).filter(|kept| !kept.is_empty()).map(|kept| (StreamOffset(offset), kept))
}
