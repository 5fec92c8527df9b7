//! TCP as a monitor in the middle sees it: both endpoints emulated from the segments between them.
//!
//! A segment updates its sender first and its receiver second, as the hooks of mOS do. Rules are
//! written for `sender` and `receiver`, never for client and server.

mod fin;
mod opening;
pub(crate) mod prediction;
mod proof;
mod repeat;
mod reset;
mod side;
mod state;
mod verdict;
mod workbench;

pub(crate) use prediction::{Prediction, Unsynced};
pub(crate) use side::TcpSide;
use side::WINDOW_UNKNOWN;
pub use state::TcpState;
use verdict::{Verdict, ticks_behind};
pub(crate) use workbench::{Arrival, FlowSink, Workbench, fact_of};

use core::time::Duration;

use crate::{
    EndCause, Fact, Roles, Side, Sides, Stat, StreamOffset, Suspicion,
    aside::{Aside, Kept, Standing, What},
    opening::Offer,
    wire::{Options, Segment, WindowScale},
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
    pub(crate) const fn update_lifetime(&mut self) {
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

    /// How the connection has ended when nothing more is heard of it; `None`: it is open. A reset
    /// that nobody has answered was genuine.
    pub(crate) fn silent_cause(&self) -> Option<EndCause> {
        self.ended.or_else(|| self.pending_reset.map(|_| EndCause::Rst))
    }

    /// Whether a bare SYN on this connection's tuple, after `silence`, opens another connection at
    /// once, without waiting for its answer: after the end, but for an old number after FINs; and,
    /// as a guess, if the peer was never captured, or after a silence of [`COPY_LIFETIME`].
    ///
    /// Guessed are: another number after one FIN or such a silence, before the handshake is
    /// complete, or outside the window; the number of the known SYN, whose late copy it may be,
    /// after one FIN and such a silence.
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
        let is_late = silence >= COPY_LIFETIME;
        if self.ended.is_some() {
            // RFC 9293 section 3.10.7.4: in TIME-WAIT, a higher number begins another connection;
            // hosts compare it with the next one that they expect, behind the FIN.
            let is_higher = sender
                .offset_of(segment.seq)
                .is_none_or(|offset| offset > sender.sent_with_fin().cast_signed());
            let is_unsure = self.ended == Some(EndCause::Fin) && !receiver.is_unheard();
            return is_higher || is_late || !is_unsure;
        }
        let is_other = !sender.may_have_begun_with(segment);
        if !receiver.is_unheard() && !is_late && !is_other {
            return false;
        }
        let has_fin = self.is_closing();
        if sender.is_own_syn(segment.seq) {
            return is_late && has_fin;
        }
        let Some(offset) = sender.offset_of(segment.seq) else {
            return has_fin || is_other && !self.is_established;
        };
        has_fin
            || is_late
            || !self.is_established
            || receiver.is_unheard()
            || offset < sender.snd_una().cast_signed()
            || offset > sender.edge(receiver)
    }

    /// Whether nothing that was believed came from one side, see
    /// [`FlowSummary::is_one_sided`](crate::FlowSummary::is_one_sided). A reset that refuses a SYN
    /// is an answer, though it has no number of its own.
    pub(crate) fn is_one_sided(&self) -> bool {
        let is_refused = self.ended == Some(EndCause::Rst);
        let Sides { client, server } = &self.sides;
        [client, server]
            .into_iter()
            .any(|side| side.is_unheard() && !(is_refused && side.packets > 0))
    }

    /// Processes one segment, sent by `from`.
    pub(crate) fn on_segment<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        self.count(segment, from, on);
        on.stats.add(Stat::Urgent, u64::from(segment.flags.is_urg()));
        let options = Options::parse(segment.options);
        if self.ended.is_some() {
            self.on_late(segment, &options, from, on);
            if self.ended.is_some() {
                return;
            }
        }
        let is_taken = if segment.flags.is_rst() {
            // Before the handshake is complete, or without ACK, a RST has the number that the
            // segment which it refuses has acknowledged: that proves nothing.
            if self.is_synchronized(from) && segment.flags.is_ack() {
                self.prove(segment, from, on);
            }
            self.on_reset(segment, &options, from, on)
        } else if segment.flags.is_syn() {
            self.on_syn(segment, &options, from, on)
        } else {
            self.on_ordinary(segment, &options, from, on)
        };
        if is_taken && !segment.flags.is_rst() && self.pending_reset == Some(from) {
            // A side that continues to send has not reset the connection.
            self.pending_reset = None;
        }
        if on.aside.is_used() {
            on.aside.note_answer(from);
            on.aside.settle();
            on.tell_pushed_out();
        }
        self.settle(from, on);
        let is_opened = is_taken && self.is_established && !segment.flags.is_syn();
        if is_opened && on.aside.is_used() {
            on.drop_openings(from);
        }
        self.update_lifetime();
    }

    /// Counts a segment of a side, unless the side is no longer monitored, and its payload.
    #[inline]
    fn count<S: FlowSink>(&mut self, segment: &Segment<'_>, from: Side, on: &mut Workbench<'_, S>) {
        let length = u64::from(segment.payload_length);
        if !on.frozen[from] {
            let sender = &mut self.sides[from];
            sender.packets += 1;
            sender.payload_bytes += length;
        }
        on.stats.add(Stat::PayloadBytes, length);
    }

    /// Processes a segment after the end.
    #[cold]
    fn on_late<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        options: &Options,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        if segment.flags.is_rst() {
            return;
        }
        match self.ended {
            // After FINs of both sides, late bytes still belong to the streams.
            Some(EndCause::Fin) if segment.flags.is_syn() => {
                self.on_syn(segment, options, from, on);
            }
            Some(EndCause::Fin) if self.passes_fin(segment, from, on) => self.ended = None,
            Some(EndCause::Fin) => self.on_data(segment, from, on),
            Some(EndCause::Rst) => self.on_after_reset(segment, options, from, on),
            _ => {}
        }
    }

    /// Processes a segment without SYN and RST. `false`: it changes nothing now.
    fn on_ordinary<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        options: &Options,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) -> bool {
        if !segment.flags.is_ack() {
            on.suspect(from, Suspicion::NoAck);
            return false;
        }
        if on.aside.is_used() {
            self.choose_opening(segment, options, from, on);
        }
        self.sides[from.peer()].pass_keepalive(segment.ack);
        self.prove(segment, from, on);
        if !self.introduce(segment, options, from, on) {
            on.suspect(from, Suspicion::BeforeSyn);
            self.set_aside(segment, Standing::Doubtful, from, on);
            return false;
        }
        match self.judge(segment, options, from, on) {
            Verdict::Taken => {}
            Verdict::Old => {
                self.note_old(segment, from, on);
                return true;
            }
            Verdict::Refused(reason) => {
                on.suspect(from, reason);
                return false;
            }
            Verdict::Doubtful(reason) => {
                on.suspect(from, reason);
                let standing = if reason == Suspicion::AckNotSent {
                    Standing::MaybeGenuine
                } else {
                    Standing::Doubtful
                };
                self.set_aside(segment, standing, from, on);
                return false;
            }
            Verdict::Probe => {
                self.set_aside(segment, Standing::Doubtful, from, on);
                return true;
            }
        }
        let sender = &mut self.sides[from];
        on.enter(from, sender, sender.state.sends_ack());
        if segment.payload_length > 0 && sender.state == TcpState::SynReceived {
            // It sends data, so it has taken the answer to its SYN/ACK.
            sender.acknowledge(0);
        }
        self.on_acknowledgement(segment, from, on);
        self.note_stamp(segment, options, from, on);
        self.on_data(segment, from, on);
        true
    }

    /// Learns the numbers of sides whose SYN was not captured. `false`: a side that was asked by a
    /// SYN and has not answered it; where its SYN/ACK was not captured, its peer's first
    /// acknowledgement names its numbers.
    fn introduce<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        options: &Options,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) -> bool {
        let Roles { sender, receiver } = self.sides.roles(from);
        if sender.is_unheard() {
            let offer = Offer::of(options);
            // A keepalive repeats the byte before the number that the peer expects.
            let may_be_keepalive = segment.payload_length <= 1 && !segment.flags.is_fin();
            let origin = match sender.named() {
                Some(named) if receiver.has_sent_syn() => named,
                None if receiver.has_sent_syn() => return false,
                Some(named) if may_be_keepalive && named == segment.seq.plus(1) => named,
                _ => segment.seq,
            };
            sender.learn_first(origin, offer);
            on.recent[from] = options.stamp.unwrap_or_default().value;
        }
        if receiver.is_unheard() {
            // The answer to its SYN was not captured. If it goes on behind the payload of the SYN,
            // that was acknowledged.
            self.believe_syn_payload(segment, from, on);
        }
        let Roles { sender, receiver } = self.sides.roles(from);
        if receiver.named().is_none() || !sender.has_sent_syn() {
            receiver.name(segment.ack, window(segment, sender, receiver));
        }
        true
    }

    /// Processes the acknowledgement number and the window.
    fn on_acknowledgement<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        let Roles { sender, receiver } = self.sides.roles(from);
        let Some(acknowledged) = receiver.offset_of(segment.ack) else { return };
        receiver.grant(acknowledged + i64::from(window(segment, sender, receiver)));
        let Ok(acknowledged) = u64::try_from(acknowledged) else { return };
        on.enter(from.peer(), receiver, receiver.state.receives_ack());
        self.receive_up_to(from.peer(), acknowledged, on);
    }

    /// What a side has sent was acknowledged up to an offset, so it was received: what was kept
    /// aside of it is taken, and what is missing is given up.
    fn receive_up_to<S: FlowSink>(
        &mut self,
        sender: Side,
        acknowledged: u64,
        on: &mut Workbench<'_, S>,
    ) {
        self.reopen_below(sender, acknowledged, on);
        self.sides[sender].acknowledge(acknowledged);
        self.believe(sender, acknowledged, on);
        let fin = self.sides[sender].fin();
        let data = StreamOffset(fin.map_or(acknowledged, |fin| acknowledged.min(fin)));
        if data > on.buffers[sender.peer()].next() {
            on.give_up_below(sender.peer(), data);
        }
    }

    /// Remembers the timestamp of a segment in order. What a side says while its SYN/ACK is not
    /// acknowledged does not count: the answer to that echoes its own.
    fn note_stamp<S: FlowSink>(
        &self,
        segment: &Segment<'_>,
        options: &Options,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        let Some(stamp) = options.stamp else { return };
        let sender = &self.sides[from];
        if sender.has_sent_syn() && !sender.is_confirmed() {
            return;
        }
        let next = on.buffers[from.peer()].next().0.cast_signed();
        let is_in_order = sender.offset_of(segment.seq).is_some_and(|start| start <= next);
        let is_newer = ticks_behind(stamp.value, on.recent[from]) <= 0;
        if is_in_order && (is_newer || on.is_stale || on.recent[from] == 0) {
            on.recent[from] = stamp.value;
        }
    }

    /// Processes payload and FIN.
    #[inline(always)]
    fn on_data<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        let Some(start) = self.sides[from].offset_of(segment.seq) else { return };
        let end = start + i64::from(segment.payload_length);
        let is_closed = self.is_fin_reached(from, on);
        let sender = &mut self.sides[from];
        let sent_before = sender.snd_nxt();
        // Before the handshake is complete, an empty segment does not say where a side stands.
        let is_empty = end == start && !segment.flags.is_fin();
        if let Ok(end) = u64::try_from(end)
            && !(is_empty && sender.may_move() && sender.has_sent_syn())
        {
            let fin = sender.fin();
            match fin {
                Some(fin) if is_closed => sender.advance_to(end.min(fin)),
                Some(fin) if start <= fin.cast_signed() && fin < end => {
                    sender.advance_to(end);
                    self.reopen(from, on);
                }
                _ => sender.advance_to(end),
            }
        }
        let fin = self.sides[from].fin().filter(|_| is_closed);
        let is_sent = segment.payload_length > 0 && !self.is_keepalive(segment, start, from, on);
        if let Some(fin) = fin.filter(|fin| end > fin.cast_signed())
            && (is_sent || segment.flags.is_fin())
        {
            on.suspect(from, Suspicion::Fin);
            let before = u32::try_from(fin.cast_signed() - start).unwrap_or_default();
            self.set_aside(&segment.behind(before), Standing::Doubtful, from, on);
        }
        let mut repeated = None;
        if is_sent && let Some((offset, payload)) = within_stream(start, segment.payload, fin) {
            let placed = on.place(self.arrival(from, offset, payload));
            let is_new = placed.new_bytes + placed.refused_bytes > 0;
            let is_repeated = !is_new && end <= sent_before.cast_signed();
            repeated = is_repeated.then_some(offset);
        }
        if let Some(offset) = repeated {
            on.note_retransmission(segment, offset, from);
        }
        if let Ok(end) = u64::try_from(end)
            && segment.flags.is_fin()
        {
            self.on_fin(end, from, on);
        }
        if on.aside.is_used() {
            self.reach_fin(from, on);
        }
    }

    /// Bytes that a side has sent, for its peer.
    fn arrival<'a>(&self, from: Side, offset: StreamOffset, bytes: &'a [u8]) -> Arrival<'a> {
        let acknowledged = StreamOffset(self.sides[from].acknowledged().unwrap_or_default());
        Arrival { side: from.peer(), offset, bytes, acknowledged }
    }

    /// Whether a segment repeats the byte before the next one. Where that was not acknowledged
    /// yet, another byte is no repetition.
    fn is_keepalive<S: FlowSink>(
        &self,
        segment: &Segment<'_>,
        start: i64,
        from: Side,
        on: &Workbench<'_, S>,
    ) -> bool {
        let (sender, receiver) = (&self.sides[from], &self.sides[from.peer()]);
        let is_idle = receiver.is_unheard() || start < sender.snd_una().cast_signed();
        on.is_keepalive(from.peer(), segment, start)
            && (is_idle || on.is_copy(from.peer(), segment, start))
    }

    /// Counts a segment that its receiver has in full.
    fn note_old<S: FlowSink>(&self, segment: &Segment<'_>, from: Side, on: &mut Workbench<'_, S>) {
        let Some(start) = self.sides[from].offset_of(segment.seq) else { return };
        if segment.flags.is_fin() {
            on.suspect(from, Suspicion::Fin);
        }
        let is_keepalive = on.is_keepalive(from.peer(), segment, start);
        if let Some((offset, payload)) = within_stream(start, segment.payload, None)
            && !is_keepalive
        {
            let end = offset.0 + payload.len() as u64;
            if end <= self.sides[from].snd_una() {
                on.place(self.arrival(from, offset, payload));
            }
            on.note_retransmission(segment, offset, from);
        }
    }

    /// The offset behind what is kept aside of a side from its SYN on, a FIN counted; 0 without it.
    fn aside_end(&self, side: Side, aside: &Aside<'_>) -> u64 {
        let tcp = &self.sides[side];
        let of_syn =
            |kept: &Kept| kept.what == What::Data && tcp.offset_of(kept.stretch.seq) == Some(0);
        let kept = aside.find(side, of_syn).and_then(|place| aside.get(place));
        kept.map_or(0, |kept| u64::from(kept.stretch.length) + u64::from(kept.stretch.is_fin))
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
        (true, true) => Some(match (sender.offer.window_scale(), receiver.offer.window_scale()) {
            (Some(scale), Some(_)) => scale,
            _ => WindowScale::NONE,
        }),
        (true, false) => Some(sender.offer.window_scale().unwrap_or(WindowScale::NONE)),
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
