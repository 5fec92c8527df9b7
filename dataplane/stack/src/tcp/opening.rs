//! SYN and SYN/ACK: which numbers a connection begins with.
//!
//! A SYN is a question. What stands already, stands until the peer answers: a SYN/ACK that
//! acknowledges it begins with it; anything else does not.

use super::{Connection, FlowSink, TcpSide, Workbench, ticks_behind, window};
use crate::{
    Roles, SeqNum, Side, StreamOffset, Suspicion,
    aside::{Aside, Standing, What},
    opening::{Offer, Opening},
    wire::{Options, Segment},
};

impl Connection {
    /// Processes a segment with SYN and without RST. `false`: it changes nothing now.
    pub(super) fn on_syn<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        options: &Options,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) -> bool {
        let opening = Opening::of(segment, options);
        if segment.flags.is_ack() {
            return self.on_syn_ack(segment, opening, from, on);
        }
        let sender = &self.sides[from];
        let is_new = sender.takes_any_syn();
        if is_new {
            self.open(opening, from, on);
        } else if !sender.is_own_syn(segment.seq) {
            on.suspect(from, Suspicion::Syn);
            on.aside.keep(on.pool, from, What::Syn(opening), segment.seq);
            return false;
        } else if sender.is_confirmed() || !sender.has_sent_syn() {
            // A late copy, or another connection with the same number: the answer decides.
            on.aside.keep(on.pool, from, What::Syn(opening), segment.seq);
            return true;
        } else if self.is_outdated(opening, from, on) {
            return false;
        } else {
            self.open(opening, from, on);
        }
        self.keep_syn_payload(segment, from, on);
        true
    }

    /// Whether a copy of a SYN has an older timestamp than the one before: it is refused.
    fn is_outdated<S: FlowSink>(
        &self,
        opening: Opening,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) -> bool {
        let has_stamps = self.sides[from].offer.has_timestamps() && opening.offer.has_timestamps();
        let is_older = ticks_behind(opening.stamp, on.recent[from]) > 0;
        if has_stamps && is_older {
            on.suspect(from, Suspicion::Timestamp);
        }
        has_stamps && is_older
    }

    /// Begins what a side sends with a SYN.
    pub(crate) fn open<S: FlowSink>(
        &mut self,
        opening: Opening,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        self.begin(opening, from, on);
        let Roles { sender, receiver } = self.sides.roles(from);
        receiver.grant(receiver.snd_una().cast_signed() + i64::from(opening.window));
        on.enter(from, sender, sender.state.sends_syn());
        on.enter(from.peer(), receiver, receiver.state.receives_syn());
    }

    /// Keeps the payload of a SYN aside: the answer says whether the peer has taken it.
    fn keep_syn_payload<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        if segment.payload_length > 0 {
            on.suspect(from, Suspicion::SynPayload);
        }
        if segment.payload_length > 0 || segment.flags.is_fin() {
            self.set_aside(segment, Standing::Doubtful, from, on);
        }
    }

    fn on_syn_ack<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        opening: Opening,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) -> bool {
        if self.sides[from.peer()].has_sent_syn()
            && !self.answers(segment.ack, from.peer(), on)
            && !self.turn_to_question(segment, from, on)
        {
            on.suspect(from, Suspicion::HandshakeAck);
            self.keep_syn_ack(opening, from, on);
            return false;
        }
        let sender = &self.sides[from];
        let is_new = sender.takes_any_syn();
        if !is_new && !sender.is_own_syn(segment.seq) {
            on.suspect(from, Suspicion::Syn);
            self.keep_syn_ack(opening, from, on);
            return false;
        }
        if !is_new && self.is_outdated(opening, from, on) {
            return false;
        }
        if !is_new && !self.sides[from].is_opening() {
            // A copy of its own SYN/ACK, or a SYN/ACK of the side that has asked.
            return true;
        }
        self.answer(opening, from, on);
        self.acknowledge_syn(segment, from, on);
        self.keep_syn_payload(segment, from, on);
        true
    }

    /// Keeps a SYN/ACK aside: it counts if the peer acknowledges it. It may answer a SYN that was
    /// not captured, or one of more than can be kept.
    fn keep_syn_ack<S: FlowSink>(&self, opening: Opening, from: Side, on: &mut Workbench<'_, S>) {
        if !self.sides[from].is_confirmed() {
            on.aside.keep(on.pool, from, What::SynAck(opening), opening.seq);
        }
    }

    /// A SYN/ACK says how much of the SYN its sender has taken: the rest of the payload is void.
    fn acknowledge_syn<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        let peer = from.peer();
        let Roles { sender, receiver } = self.sides.roles(from);
        let granted = window(segment, sender, receiver);
        if !receiver.has_sent_syn() {
            return receiver.name(segment.ack, granted);
        }
        if let Some(acknowledged) = receiver.offset_of(segment.ack)
            && let Ok(acknowledged) = u64::try_from(acknowledged)
        {
            self.believe(peer, acknowledged, on);
            on.drop_data(peer);
            // A FIN on a SYN does not count, whatever the answer says.
            let acknowledged = acknowledged.min(self.sides[peer].sent_with_fin());
            self.receive_up_to(peer, acknowledged, on);
            self.sides[peer].grant(acknowledged.cast_signed() + i64::from(granted));
        }
    }

    /// Begins what a side sends with a SYN/ACK.
    fn answer<S: FlowSink>(&mut self, opening: Opening, from: Side, on: &mut Workbench<'_, S>) {
        self.begin(opening, from, on);
        let Roles { sender, receiver } = self.sides.roles(from);
        on.enter(from, sender, sender.state.sends_syn_ack());
        on.enter(from.peer(), receiver, receiver.state.receives_syn_ack());
    }

    /// Whether a SYN/ACK, or a reset, with this number acknowledges the SYN of a side, with or
    /// without its payload.
    pub(super) fn answers<S: FlowSink>(
        &self,
        ack: SeqNum,
        side: Side,
        on: &Workbench<'_, S>,
    ) -> bool {
        let asker = &self.sides[side];
        let sent = asker.sent_with_fin().max(self.aside_end(side, &on.aside));
        let sent = 0..=sent.cast_signed();
        asker.offset_of(ack).is_some_and(|offset| sent.contains(&offset))
    }

    /// Before the handshake is complete: turns to another SYN of the peer, which this SYN/ACK
    /// acknowledges. The SYN that stood becomes a question. `false`: there is none.
    fn turn_to_question<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) -> bool {
        let peer = from.peer();
        let Some(opening) = on.aside.syn_before(from.peer(), segment.ack) else { return false };
        if self.is_established || !self.sides[peer].may_move() {
            return false;
        }
        self.turn(opening, peer, on);
        true
    }

    /// Moves offset 0 of a side to another number; the one that stood becomes a question.
    fn turn<S: FlowSink>(&mut self, opening: Opening, side: Side, on: &mut Workbench<'_, S>) {
        let former = self.unanswered(side, on.recent[side]);
        self.begin(opening, side, on);
        on.drop_data(side);
        if let Some(former) = former {
            on.aside.keep(on.pool, side, What::Syn(former), former.seq);
        }
    }

    /// Of several SYN/ACKs, that counts which the peer acknowledges; of several SYNs, that which it
    /// has answered.
    #[cold]
    pub(super) fn choose_opening<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        options: &Options,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        let peer = from.peer();
        let receiver = &self.sides[peer];
        if receiver.is_confirmed() || !receiver.may_move() {
            return;
        }
        if receiver.is_own_syn(segment.ack.before(1)) {
            return;
        }
        let Some(answer) = on.aside.syn_ack_before(peer, segment.ack) else { return };
        self.begin(answer, peer, on);
        self.sides[from].grant(i64::from(answer.window));
        on.drop_data(peer);
        if self.answers(answer.ack, from, on) || self.sides[from].snd_nxt() > 0 {
            return;
        }
        match on.aside.syn_before(from, answer.ack) {
            Some(asked) => self.begin(asked, from, on),
            None => {
                self.sides[from].begin_at(answer.ack, Offer::of(options));
                on.recent[from] = options.stamp.unwrap_or_default().value;
            }
        }
    }

    /// Takes the number, the options and the timestamp of a SYN, or of a SYN/ACK.
    fn begin<S: FlowSink>(&mut self, opening: Opening, side: Side, on: &mut Workbench<'_, S>) {
        self.sides[side].learn_syn(opening.seq, opening.offer);
        on.recent[side] = opening.stamp;
    }

    /// Keeps a SYN/ACK aside that comes after a reset which was believed.
    pub(super) fn keep_answer<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        options: &Options,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        if segment.flags.is_ack() && self.answers(segment.ack, from.peer(), on) {
            let what = What::SynAck(Opening::of(segment, options));
            on.aside.keep(on.pool, from, what, segment.seq);
        }
    }

    /// After a reset that was believed: a SYN/ACK that the peer acknowledges proves that it was
    /// not believed by the peer. `true`: this segment is that acknowledgement.
    pub(super) fn is_revived_by<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) -> bool {
        let peer = from.peer();
        let is_next = self.sides[from].is_own_syn(segment.seq.before(1));
        let Some(opening) = on.aside.syn_ack_before(peer, segment.ack) else { return false };
        if !is_next || !self.sides[peer].may_move() {
            return false;
        }
        self.revive(on);
        self.sides[from].grant(i64::from(opening.window));
        self.begin(opening, peer, on);
        true
    }

    /// The side that has asked, and its SYN: kept aside, and acknowledged by this SYN/ACK of
    /// `from`, which is not a copy of the known one.
    pub(crate) fn question_answered_by(
        &self,
        segment: &Segment<'_>,
        from: Side,
        aside: &Aside<'_>,
    ) -> Option<Opening> {
        let is_answer = segment.flags.is_syn() && segment.flags.is_ack() && !segment.flags.is_rst();
        let is_copy = self.sides[from].is_own_syn(segment.seq);
        let is_open = !self.is_established && self.ended.is_none();
        if !is_answer || is_copy || is_open {
            None
        } else {
            aside.syn_before(from.peer(), segment.ack)
        }
    }

    /// The SYN with which a side has begun, if it was not answered and nothing followed; `recent`
    /// is its timestamp.
    pub(crate) fn unanswered(&self, side: Side, recent: u32) -> Option<Opening> {
        let (tcp, peer) = (&self.sides[side], &self.sides[side.peer()]);
        let origin = tcp.seq_of(StreamOffset::ZERO).filter(|_| tcp.may_move())?;
        let window = u32::try_from(peer.edge(tcp)).unwrap_or_default();
        let opening = Opening {
            seq: origin.before(1),
            ack: SeqNum(0),
            offer: tcp.offer,
            stamp: recent,
            window,
        };
        tcp.has_sent_syn().then_some(opening)
    }
}

impl TcpSide {
    /// Whether any SYN sets offset 0: nothing is known yet that it could contradict.
    fn takes_any_syn(&self) -> bool {
        self.is_unheard() || !self.has_sent_syn() && self.may_move()
    }

    /// Whether the number that the peer has acknowledged of it, if nothing else is known, fits a
    /// SYN.
    pub(super) fn may_have_begun_with(&self, syn: &Segment<'_>) -> bool {
        let room = 0..=i64::from(syn.payload_length);
        self.named()
            .is_none_or(|named| room.contains(&i64::from(named.distance_from(syn.seq.plus(1)))))
    }

    /// One past the highest offset sent; a FIN is counted.
    pub(super) fn sent_with_fin(&self) -> u64 {
        self.fin().map_or(0, |fin| fin + 1).max(self.snd_nxt())
    }
}
