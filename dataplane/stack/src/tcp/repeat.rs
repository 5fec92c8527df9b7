//! A segment that repeats what was said before, taken in few steps.
//!
//! Mirror ports deliver packets twice, and hosts send again what was lost behind the monitor. While
//! segments are predicted, such a copy changes no number of the connection: its payload is compared
//! with what is held, and it is counted.

use super::{
    Arrival, Connection, FlowSink, Prediction, Workbench,
    verdict::{TICKS_BACK, ticks_behind},
    window,
};
use crate::{
    Side, StreamOffset,
    flow::Trait,
    side::BySide,
    wire::{Options, Segment},
};

/// What is known of a segment that repeats.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeat {
    offset: StreamOffset,
    /// How far the receiver has acknowledged the stream.
    acknowledged: StreamOffset,
    /// Whether the receiver has all of it, for certain.
    is_old: bool,
}

impl Connection {
    /// What a plain segment repeats, if segments are predicted and it changes none of their
    /// numbers: it lies below the next one, acknowledges and grants no more than is known, and its
    /// timestamp is not newer. Then [`Self::on_segment`] would do no more than
    /// [`Self::on_repeat`]. `None`: it is another segment, or may be a keepalive.
    pub(crate) fn repeat_of(
        &self,
        segment: &Segment<'_>,
        from: Side,
        prediction: &Prediction,
        recent: BySide<u32>,
    ) -> Option<Repeat> {
        let (sender, receiver) = (&self.sides[from], &self.sides[from.peer()]);
        if !prediction.is_some() || receiver.has_sent_syn() && !receiver.is_confirmed() {
            return None;
        }
        let late_by = lateness(segment, prediction, recent[from])?;
        let (start, answered) = (sender.offset_of(segment.seq)?, receiver.offset_of(segment.ack)?);
        let end = start + i64::from(segment.payload_length);
        let sent = self.sent(prediction, from).0.cast_signed();
        let acknowledged = self.acknowledged(prediction, from)?;
        let una = self.acknowledged(prediction, from.peer())?.0.cast_signed();
        let is_sent = start >= 0 && end <= sent.min(sender.edge(receiver));
        let may_be_keepalive = segment.payload_length == 1 && end == sent;
        let room = receiver.edge(sender);
        let is_answer_known = (0..=una).contains(&answered) && una - answered <= room - una;
        let granted = answered + i64::from(window(segment, sender, receiver));
        let is_granted = granted <= room || granted <= self.granted(prediction, from, una);
        if !is_sent || may_be_keepalive || !is_answer_known || !is_granted {
            return None;
        }
        let was_received = end <= acknowledged.0.cast_signed();
        let is_late = late_by > TICKS_BACK;
        (was_received || !is_late).then_some(Repeat {
            offset: StreamOffset(start.cast_unsigned()),
            acknowledged,
            is_old: is_late || end < acknowledged.0.cast_signed(),
        })
    }

    /// Places the payload of a segment that repeats, and counts it.
    pub(crate) fn on_repeat<S: FlowSink>(
        &mut self,
        segment: &Segment<'_>,
        repeat: Repeat,
        from: Side,
        on: &mut Workbench<'_, S>,
    ) {
        let Repeat { offset, acknowledged, is_old } = repeat;
        self.count(segment, from, on);
        if segment.payload.is_empty() {
            return;
        }
        let side = from.peer();
        let mut is_new = false;
        if on.buffers[side].capacity() > 0 {
            let placed = on.place(Arrival { side, offset, bytes: segment.payload, acknowledged });
            is_new = placed.new_bytes + placed.refused_bytes > 0;
        }
        if is_old || !is_new {
            on.note_retransmission(segment, offset, from);
        }
    }
}

/// How many ticks the timestamp of a plain segment is older than the last one; 0 without
/// timestamps. `None`: it is newer, or the options say more.
fn lateness(segment: &Segment<'_>, prediction: &Prediction, recent: u32) -> Option<i32> {
    if !prediction.traits.has(Trait::HasStamps) {
        return Options::is_only_sack(segment.options).then_some(0);
    }
    let (stamp, rest) = Options::split_stamp(segment.options)?;
    let late_by = ticks_behind(stamp, recent);
    (late_by >= 0 && recent != 0 && Options::is_only_sack(rest)).then_some(late_by)
}
