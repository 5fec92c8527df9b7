//! Whether the receiver takes a segment, as far as its rules make that certain.
//!
//! RFC 9293 section 3.10.7.4, RFC 5961, RFC 7323. Where a rule makes it doubtful, or where the
//! monitor may have missed packets, nobody guesses: the segment is kept aside, and the receiver's
//! next acknowledgement decides.

use super::{Connection, FlowSink, Workbench};
use crate::{
    Side, Suspicion,
    wire::{Options, Segment, Signature},
};

/// What becomes of a segment with ACK, and without SYN and RST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The receiver takes it.
    Taken,
    /// The receiver has all of it. It changes nothing.
    Old,
    /// The receiver refuses it, whatever it is.
    Refused(Suspicion),
    /// The receiver's next acknowledgement decides.
    Doubtful(Suspicion),
    /// Likewise; honest senders send it, too.
    Probe,
}

/// How much older than the last one a timestamp may be: Linux allows for one tick.
pub(super) const TICKS_BACK: i32 = 1;

/// How many ticks a timestamp is older than another, negative if it is newer. Of two that are 2^31
/// apart neither is older: RFC 7323 section 5.2 calls s older than t if 0 < t - s < 2^31.
pub(super) const fn ticks_behind(stamp: u32, other: u32) -> i32 {
    other.wrapping_sub(stamp).cast_signed()
}

impl Connection {
    /// Judges a segment of sides that were both captured, or whose numbers the peer has named.
    pub(super) fn judge<S: FlowSink>(
        &self,
        segment: &Segment<'_>,
        options: &Options,
        from: Side,
        on: &Workbench<'_, S>,
    ) -> Verdict {
        let verdict = self.judge_as_new(segment, options, from, on);
        let may_be_late =
            matches!(verdict, Verdict::Doubtful(Suspicion::Timestamp | Suspicion::AckTooOld));
        if may_be_late && self.is_late_copy(segment, from, on) { Verdict::Old } else { verdict }
    }

    /// Judges a segment as if it were not a late copy.
    fn judge_as_new<S: FlowSink>(
        &self,
        segment: &Segment<'_>,
        options: &Options,
        from: Side,
        on: &Workbench<'_, S>,
    ) -> Verdict {
        let (sender, receiver) = (&self.sides[from], &self.sides[from.peer()]);
        let Some(start) = sender.offset_of(segment.seq) else { return Verdict::Taken };
        let end = start + i64::from(segment.payload_length);
        let closes = segment.flags.is_fin();
        if let Some(reason) = self.doubtful_options(segment, options, from, on) {
            return Verdict::Doubtful(reason);
        }
        if receiver.is_unheard() && sender.has_sent_syn() && start < 0 && end > start {
            // From before its SYN, which was not answered: of the connection that it had before.
            return Verdict::Doubtful(Suspicion::BeforeSyn);
        }
        if self.has_foreign_echo(options, from, on) {
            return Verdict::Doubtful(Suspicion::Timestamp);
        }
        let edge = sender.edge(receiver);
        if end > edge && segment.payload_length <= 1 && start == edge && !closes {
            return Verdict::Probe;
        }
        let next = end + i64::from(closes);
        if start > edge || next > edge && next > start {
            return Verdict::Doubtful(Suspicion::BeyondWindow);
        }
        if next < sender.snd_una().cast_signed() && !receiver.is_unheard() {
            return Verdict::Old;
        }
        self.judge_acknowledgement(segment, from)
    }

    /// Whether a segment says nothing new: it acknowledges no more than was acknowledged, and its
    /// payload was acknowledged, or is held just so. Networks that reorder packets deliver such
    /// copies of honest ones, and it is the same whether the receiver takes them.
    fn is_late_copy<S: FlowSink>(
        &self,
        segment: &Segment<'_>,
        from: Side,
        on: &Workbench<'_, S>,
    ) -> bool {
        let (sender, receiver) = (&self.sides[from], &self.sides[from.peer()]);
        let (Some(start), Some(acknowledged)) =
            (sender.offset_of(segment.seq), receiver.offset_of(segment.ack))
        else {
            return false;
        };
        let end = start + i64::from(segment.payload_length);
        let una = receiver.snd_una().cast_signed();
        let says_nothing = (0..=una).contains(&acknowledged) && !segment.flags.is_fin();
        let was_sent = start >= 0 && end <= sender.snd_nxt().cast_signed();
        let was_received = end <= sender.snd_una().cast_signed();
        says_nothing
            && was_sent
            && (was_received || on.holds_copy(from.peer(), segment.payload, start))
    }

    /// Judges the acknowledgement number of a segment.
    fn judge_acknowledgement(&self, segment: &Segment<'_>, from: Side) -> Verdict {
        let (sender, receiver) = (&self.sides[from], &self.sides[from.peer()]);
        let Some(acknowledged) = receiver.offset_of(segment.ack) else { return Verdict::Taken };
        if acknowledged > receiver.sent_with_fin().cast_signed() {
            return Verdict::Doubtful(Suspicion::AckNotSent);
        }
        let una = receiver.snd_una().cast_signed();
        if receiver.has_sent_syn() && acknowledged < 0 {
            // Its own SYN is not acknowledged by it: nobody honest has ever sent that.
            return if receiver.is_confirmed() {
                Verdict::Doubtful(Suspicion::AckTooOld)
            } else {
                Verdict::Refused(Suspicion::HandshakeAck)
            };
        }
        let window = (receiver.edge(sender) - una).max(0);
        if acknowledged < una - window {
            return Verdict::Doubtful(Suspicion::AckTooOld);
        }
        Verdict::Taken
    }

    /// Why the options make a segment doubtful.
    fn doubtful_options<S: FlowSink>(
        &self,
        segment: &Segment<'_>,
        options: &Options,
        from: Side,
        on: &Workbench<'_, S>,
    ) -> Option<Suspicion> {
        if self.has_foreign_signature(options, from) {
            return Some(Suspicion::Signature);
        }
        let stamp = options.stamp.filter(|_| self.has_timestamps())?;
        // RFC 7323 section 5.5: after 24 days without a segment, the last timestamp means nothing.
        // Some hosts begin with 0, and Linux does not compare with that.
        let recent = on.recent[from];
        let behind = ticks_behind(stamp.value, recent);
        // 2^31 apart, less than one tick decides, and the receiver's last timestamp may be an
        // earlier one. Payload can wait for the acknowledgement.
        let is_old = behind > TICKS_BACK || behind == i32::MIN && segment.payload_length > 0;
        (is_old && recent != 0 && !on.is_stale).then_some(Suspicion::Timestamp)
    }

    /// Whether the answer to a SYN/ACK does not echo its timestamp.
    fn has_foreign_echo<S: FlowSink>(
        &self,
        options: &Options,
        from: Side,
        on: &Workbench<'_, S>,
    ) -> bool {
        let receiver = &self.sides[from.peer()];
        let is_handshake = receiver.has_sent_syn() && !receiver.is_confirmed();
        let is_foreign =
            |echo: u32| self.has_timestamps() && echo != 0 && echo != on.recent[from.peer()];
        is_handshake && options.stamp.is_some_and(|stamp| is_foreign(stamp.echo))
    }

    /// Whether a segment is not signed as those of its side are. RFC 5925 section 7.3: an
    /// authentication option on a connection without is no reason to discard.
    pub(super) fn has_foreign_signature(&self, options: &Options, from: Side) -> bool {
        match self.signature(from) {
            None => options.signature == Some(Signature::Md5),
            signature => options.signature != signature,
        }
    }

    /// How a side signs its segments: as far as is known, both do so.
    pub(super) fn signature(&self, from: Side) -> Option<Signature> {
        let (sender, receiver) = (&self.sides[from], &self.sides[from.peer()]);
        let signs = |signature: &Signature| {
            receiver.is_unheard() || receiver.offer.signature() == Some(*signature)
        };
        sender.offer.signature().filter(signs)
    }

    /// Whether both sides send timestamps.
    pub(crate) fn has_timestamps(&self) -> bool {
        Side::BOTH.into_iter().all(|side| {
            let tcp = &self.sides[side];
            !tcp.is_unheard() && tcp.offer.has_timestamps()
        })
    }
}
