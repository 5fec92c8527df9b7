//! What proves that a receiver has taken what was kept aside.
//!
//! What one side sends and the other acknowledges is the connection.

use super::{Connection, FlowSink, TcpState, Workbench};
use crate::{
    SeqNum, Side, StreamOffset, Suspicion,
    aside::{Kept, Place, Standing, Stretch, What},
    wire::{Options, Segment},
};

impl Connection {
    /// Keeps the payload and the FIN of a segment aside, and what it acknowledges, if that was not
    /// captured.
    pub(super) fn set_aside<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        standing: Standing,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        if let Some(acknowledged) = self.sides[from.peer()].offset_of(segment.ack)
            && segment.flags.is_ack()
            && acknowledged > self.sides[from.peer()].sent_with_fin().cast_signed()
        {
            let window = super::window(segment, &self.sides[from], &self.sides[from.peer()]);
            on.aside.keep(on.pool, from, What::Claim(window), segment.ack);
        }
        let segment = segment.behind(self.held(segment, from, on));
        let is_fin = segment.flags.is_fin() && !self.is_known_fin(&segment, from);
        if segment.payload_length == 0 && !is_fin {
            return;
        }
        let seq = segment.seq.plus(u32::from(segment.flags.is_syn()));
        let stretch = Stretch { seq, length: segment.payload_length, is_fin };
        // Nobody reads what a side receives that is no longer monitored.
        let bytes = if on.frozen[from.peer()] { &[] } else { segment.payload };
        let is_kept =
            on.aside.keep_data(on.pool, from, stretch, &segment, bytes, standing).is_some();
        if !is_kept && !segment.flags.is_syn() {
            self.believe_unanswered(&segment, from, on);
        }
    }

    /// How many bytes of a segment, from the first on, its receiver holds: nothing is to be decided
    /// about them.
    fn held<S: FlowSink>(&self, segment: &Segment<'_>, from: Side, on: &Workbench<'_, S>) -> u32 {
        let start = self.sides[from].offset_of(segment.seq).map(u64::try_from);
        let Some(Ok(start)) = start.filter(|_| !segment.flags.is_syn()) else { return 0 };
        let common = on.common(from.peer(), StreamOffset(start), segment.payload);
        u32::try_from(common).unwrap_or_default()
    }

    /// Whether the FIN of a segment is the one that its sender has sent before.
    fn is_known_fin(&self, segment: &Segment<'_>, from: Side) -> bool {
        let end = self.sides[from].offset_of(segment.seq.plus(segment.payload_length));
        let fin = self.sides[from].fin().map(u64::cast_signed);
        fin.is_some() && end == fin
    }

    /// Takes a long stretch that was kept aside, and the segment that made it too long, where their
    /// receiver has sent nothing since: its packets are not captured any more, and a monitor never
    /// goes deaf.
    fn believe_unanswered<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        let is_long = |kept: &Kept| {
            kept.what == What::Data
                && kept.stretch.end() == segment.seq
                && !kept.stretch.is_fin
                && kept.stretch.is_too_long_with(segment.payload_length)
                && kept.standing != Standing::Answered
        };
        let Some(place) = on.aside.find(from, is_long) else { return };
        let Some((start, end)) = self.offsets_of(place, from, on) else { return };
        let Ok(end) = u64::try_from(end) else { return };
        if let Ok(start) = u64::try_from(start) {
            on.give_up_below(from.peer(), StreamOffset(start));
        }
        self.take(place, end, from, on);
        let sender = &mut self.sides[from];
        sender.advance_to(end);
        sender.grant(end.cast_signed() + i64::from(super::WINDOW_UNKNOWN));
        if let Some(acknowledged) = self.sides[from.peer()].offset_of(segment.ack)
            && let Ok(acknowledged) = u64::try_from(acknowledged)
            && segment.flags.is_ack()
        {
            let receiver = &mut self.sides[from.peer()];
            receiver.advance_to(acknowledged);
            receiver.acknowledge(acknowledged);
            on.give_up_below(from, StreamOffset(acknowledged));
        }
        self.on_data(segment, from, on);
    }

    /// Lets a segment prove the place of what was kept aside: it acknowledges what its peer sent,
    /// or goes on where its peer has acknowledged.
    #[inline]
    pub(super) fn prove<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        if on.aside.is_used() {
            self.prove_kept(segment, from, on);
        }
    }

    #[cold]
    fn prove_kept<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        if let Some(proven) = self.proven_by(segment, from, on).map(Proven::of) {
            self.accept(proven, segment.ack, from.peer(), on);
        }
        self.prove_claim(segment, from, on);
    }

    /// Believes that a side's segment, which was kept aside, was taken: its peer has acknowledged
    /// it. So its timestamp was not too old, and what it acknowledges was sent.
    fn accept<S: FlowSink>(
        &mut self,
        proven: Proven,
        ack: SeqNum,
        of: Side,
        on: &mut Workbench<'_, S>,
    ) {
        let Proven { stretch, ack: answered, stamp } = proven;
        on.recent[of] = stamp.unwrap_or(on.recent[of]);
        let peer = of.peer();
        let answered = answered.and_then(|ack| self.sides[peer].offset_of(ack));
        if let Some(Ok(acknowledged)) = answered.map(u64::try_from)
            && acknowledged <= self.sides[peer].sent_with_fin()
        {
            self.receive_up_to(peer, acknowledged, on);
        }
        if let Some(Ok(acknowledged)) = self.sides[of].offset_of(ack).map(u64::try_from) {
            self.reopen_below(of, acknowledged, on);
        }
        self.sides[of].learn_proven(stretch, ack);
        let fin = self.sides[of].offset_of(stretch.end()).map(u64::try_from);
        if stretch.is_fin
            && stretch.next() == ack
            && let Some(Ok(fin)) = fin
        {
            self.close_if_next(of, fin, on);
        }
    }

    /// What is kept aside and acknowledged by a segment, for the first time. That proves nothing
    /// of it where bytes, or a FIN, that are not doubtful explain it.
    fn proven_by<'a, S: FlowSink>(
        &self,
        segment: &Segment<'_>,
        from: Side,
        on: &'a Workbench<'_, S>,
    ) -> Option<&'a Kept> {
        let peer = from.peer();
        let received = on.buffers[from].next().0;
        let fin = self.sides[peer].fin().filter(|_| self.is_fin_reached(peer, on));
        let explained = fin.map_or(received, |fin| received.max(fin + 1));
        self.acknowledged_behind(explained, segment, from, on)
    }

    /// What is kept aside and acknowledged by a segment, for the first time and behind an offset.
    pub(super) fn acknowledged_behind<'a, S: FlowSink>(
        &self,
        offset: u64,
        segment: &Segment<'_>,
        from: Side,
        on: &'a Workbench<'_, S>,
    ) -> Option<&'a Kept> {
        let sender = &self.sides[from.peer()];
        let known = offset.max(sender.snd_una()).cast_signed();
        let is_new = sender.offset_of(segment.ack).is_none_or(|acknowledged| acknowledged > known);
        on.aside.acknowledged(from.peer(), segment.ack).filter(|_| is_new)
    }

    /// A side goes on behind a loss, where its peer has acknowledged.
    fn prove_claim<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        let peer = from.peer();
        let is_claim = |kept: &Kept| matches!(kept.what, What::Claim(_));
        let Some(place) = on.aside.find(peer, is_claim) else { return };
        let Some((claimed, What::Claim(window))) =
            on.aside.get(place).map(|kept| (kept.stretch.seq, kept.what))
        else {
            return;
        };
        let sender = &self.sides[from];
        let (Some(acknowledged), Some(start)) =
            (sender.offset_of(claimed), sender.offset_of(segment.seq))
        else {
            return;
        };
        let (sent, end) =
            (sender.snd_nxt().cast_signed(), start + i64::from(segment.payload_length));
        if acknowledged <= sent {
            return on.aside.drop(place, on.pool);
        }
        let is_hole = start > sent && start <= acknowledged + i64::from(window);
        if !is_hole || acknowledged > end {
            return;
        }
        on.aside.drop(place, on.pool);
        if let Some(proven) = on.aside.acknowledged(from, claimed).map(Proven::of) {
            self.accept(proven, claimed, from, on);
        }
        // The segment itself holds what comes behind its start.
        let Ok(lost) = u64::try_from(acknowledged.min(start)) else { return };
        let sender = &mut self.sides[from];
        sender.advance_to(sender.fin().map_or(lost, |fin| lost.min(fin)));
        sender.grant(acknowledged + i64::from(window));
        self.receive_up_to(from, lost, on);
    }

    /// Takes what was kept aside of a side, below what its peer has acknowledged. Places that hold
    /// another copy by now keep it.
    #[inline]
    pub(super) fn believe<S: FlowSink>(
        &mut self,
        sender: Side,
        acknowledged: u64,
        on: &mut Workbench<'_, S>,
    ) {
        if on.aside.is_used() {
            self.believe_kept(sender, acknowledged, on);
        }
    }

    #[cold]
    fn believe_kept<S: FlowSink>(
        &mut self,
        sender: Side,
        acknowledged: u64,
        on: &mut Workbench<'_, S>,
    ) {
        for place in on.aside.of(sender) {
            let is_data = on.aside.get(place).is_some_and(|kept| kept.what == What::Data);
            if is_data {
                self.take(place, acknowledged, sender, on);
            }
        }
    }

    /// Takes the payload of a side's SYN, if the segment goes on behind it.
    pub(super) fn believe_syn_payload<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        if !on.aside.is_used() {
            return;
        }
        let end = self.aside_end(from, &on.aside);
        let start = self.sides[from].offset_of(segment.seq);
        if end > 0 && start.is_some_and(|start| start >= end.cast_signed()) {
            self.believe(from, end, on);
        }
    }

    /// Takes, at the end of the flow, what may be genuine and was not answered: it was the last
    /// that was captured.
    pub(crate) fn finish<S: FlowSink>(&mut self, on: &mut Workbench<'_, S>) {
        for side in Side::BOTH {
            for place in on.aside.of(side) {
                self.take_genuine(place, side, on);
            }
        }
    }

    /// Tells where what was kept aside of a side differs from what its peer holds, and nothing was
    /// answered: the peer resets the connection, so that nothing says any more which it has taken.
    pub(super) fn tell_undecided<S: FlowSink>(&mut self, of: Side, on: &mut Workbench<'_, S>) {
        for place in on.aside.of(of) {
            let is_open =
                |kept: &Kept| kept.what == What::Data && kept.standing != Standing::Answered;
            if on.aside.get(place).is_some_and(is_open) {
                let held = on.buffers[of.peer()].next().0;
                self.take(place, held, of, on);
            }
        }
    }

    fn take_genuine<S: FlowSink>(&mut self, place: Place, side: Side, on: &mut Workbench<'_, S>) {
        let is_genuine =
            |kept: &Kept| kept.what == What::Data && kept.standing == Standing::MaybeGenuine;
        if !on.aside.get(place).is_some_and(is_genuine) {
            return;
        }
        if let Some((start, end)) = self.offsets_of(place, side, on)
            && let Ok(start) = u64::try_from(start)
            && let Ok(end) = u64::try_from(end)
        {
            let is_fin = on.aside.get(place).is_some_and(|kept| kept.stretch.is_fin);
            on.give_up_below(side.peer(), StreamOffset(start));
            self.take(place, end, side, on);
            if is_fin {
                self.close_if_next(side, end, on);
            }
        }
    }

    /// Records a FIN that was kept aside and taken, unless the stream goes on behind it or has
    /// reached another one.
    fn close_if_next<S: FlowSink>(&mut self, side: Side, fin: u64, on: &mut Workbench<'_, S>) {
        if on.buffers[side.peer()].next().0 <= fin && !self.is_fin_reached(side, on) {
            self.close(side, fin, on);
        }
    }

    /// Where the payload begins and ends that is kept in a place.
    fn offsets_of<S: FlowSink>(
        &self,
        place: Place,
        side: Side,
        on: &Workbench<'_, S>,
    ) -> Option<(i64, i64)> {
        let stretch = on.aside.get(place)?.stretch;
        let start = self.sides[side].offset_of(stretch.seq)?;
        Some((start, start + i64::from(stretch.length)))
    }

    /// Takes what is kept in a place, below `limit`, and drops it if nothing is left. Bytes in the
    /// place of a FIN stay, in case it is withdrawn.
    fn take<S: FlowSink>(
        &mut self,
        place: Place,
        limit: u64,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        let Some((start, end)) = self.offsets_of(place, from, on) else { return };
        let Some(kept) = on.aside.get_mut(place) else { return };
        let (is_fin, already) = (kept.stretch.is_fin, i64::from(kept.taken));
        let taken = end.min(limit.cast_signed());
        let known_fin = self.sides[from].fin().map(u64::cast_signed);
        let room = known_fin.map_or(taken, |fin| taken.min(fin));
        let is_cut = room < taken;
        let is_new = is_cut && !core::mem::replace(&mut kept.is_cut, is_cut);
        if is_new {
            on.suspect(from, Suspicion::Fin);
        }
        let mut at = (start + already).max(0);
        let mut block = [0; PIECE];
        while at < room {
            let from_start = u32::try_from(at - start).unwrap_or(u32::MAX);
            let length = on.aside.copy(place, from_start, &mut block, on.pool);
            if length == 0 {
                break;
            }
            let length = length.min(usize::try_from(room - at).unwrap_or(usize::MAX));
            let offset = StreamOffset(at.cast_unsigned());
            on.place_missing(self.arrival(from, offset, &block[..length]));
            at += i64::try_from(length).unwrap_or(i64::MAX);
        }
        if let Ok(taken) = u64::try_from(taken) {
            self.sides[from].advance_to(taken);
        }
        // A FIN counts as a place of the stream.
        let next = end + i64::from(is_fin);
        if is_fin && limit.cast_signed() == next && known_fin != Some(end) {
            on.suspect(from, Suspicion::Fin);
        }
        if limit.cast_signed() >= next && !is_cut {
            on.aside.drop(place, on.pool);
        } else if let Some(kept) = on.aside.get_mut(place) {
            kept.taken = u32::try_from(at - start).unwrap_or_default();
        }
    }

    /// A segment after a reset that was believed. If its peer acknowledges it, or the SYN/ACK that
    /// it answers, the reset was not believed by the endpoints.
    pub(super) fn on_after_reset<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        options: &Options,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        let peer = from.peer();
        if segment.flags.is_syn() {
            return self.keep_answer(segment, options, from, on);
        }
        if self.is_revived_by(segment, from, on) {
            return;
        }
        if segment.flags.is_ack() && self.acknowledged_behind(0, segment, from, on).is_some() {
            return self.revive(on);
        }
        if !segment.flags.is_ack() {
            return;
        }
        // What was under way before the reset may have been received.
        if let Some(Ok(acknowledged)) = self.sides[peer].offset_of(segment.ack).map(u64::try_from)
            && acknowledged <= self.sides[peer].sent_with_fin()
        {
            self.receive_up_to(peer, acknowledged, on);
        }
        self.set_aside(segment, Standing::Doubtful, from, on);
    }

    /// Undoes the end by a reset.
    pub(super) fn revive<S: FlowSink>(&mut self, on: &mut Workbench<'_, S>) {
        self.ended = None;
        for side in Side::BOTH {
            on.enter(side, &mut self.sides[side], TcpState::Established);
        }
    }
}

/// What a segment that was kept aside says.
#[derive(Debug, Clone, Copy)]
struct Proven {
    stretch: Stretch,
    ack: Option<SeqNum>,
    stamp: Option<u32>,
}

impl Proven {
    const fn of(kept: &Kept) -> Self {
        Self { stretch: kept.stretch, ack: kept.ack, stamp: kept.stamp }
    }
}

/// Bytes that are taken at once.
const PIECE: usize = 512;
