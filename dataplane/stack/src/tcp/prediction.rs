//! The common segment, taken in few steps.
//!
//! Jacobson's header prediction, "4BSD TCP Header Prediction" (1990), as a monitor needs it: on an
//! established connection most segments carry the next bytes in order. Their numbers take 24 bytes,
//! in the one line of the cache that every packet needs. A segment with these numbers changes them
//! and no more of the connection, which is synced when another segment comes, or when it is read.

use super::{Connection, TcpSide, TcpState, side::WINDOW_UNKNOWN, window_scale};
use crate::{
    Roles, SeqNum, Side, Sides, StreamOffset,
    wire::{Segment, WindowScale},
};

/// What both sides of a connection send next if nothing is lost, and what was accepted as such.
#[derive(Debug)]
pub(crate) struct Prediction(Sides<SidePrediction>);

/// What one side sends next, and what it has sent as predicted.
#[derive(Debug, Clone, Copy)]
struct SidePrediction {
    /// The number of its next byte.
    next: SeqNum,
    /// What its peer has acknowledged.
    acknowledged: SeqNum,
    /// Segments accepted as predicted, or [`Self::NONE`].
    packets: u16,
    /// The largest window that they advertised, unscaled.
    window: u16,
}

/// What a side has sent as predicted that [`Connection`] has not yet counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unsynced {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl SidePrediction {
    /// In place of a number of packets: nothing is predicted.
    const NONE: u16 = u16::MAX;

    /// Most packets of one prediction. Each has fewer than 2^16 bytes, so that they have fewer than
    /// 2^31 together, and fewer than 2^32 are unacknowledged behind the last.
    const PACKETS_MAX: u16 = (1 << 15) - 1;
}

impl Prediction {
    /// No prediction.
    pub(crate) const NONE: Self = {
        let (next, acknowledged) = (SeqNum(0), SeqNum(0));
        let side = SidePrediction { next, acknowledged, packets: SidePrediction::NONE, window: 0 };
        Self(Sides { client: side, server: side })
    };

    /// Whether anything is predicted.
    #[inline]
    pub(crate) const fn is_some(&self) -> bool {
        self.0.client.packets != SidePrediction::NONE
    }

    /// Accepts a plain segment that is the predicted one: of a steady connection, in order, and
    /// acknowledging nothing that was not captured. [`Connection::sync`] later does to the
    /// connection what [`Connection::on_segment`] would do now, except for the payload. `false`: it
    /// is another segment, and nothing was done.
    #[inline]
    pub(crate) fn accept(&mut self, segment: &Segment<'_>, from: Side) -> bool {
        debug_assert!(segment.is_plain(), "nothing else is predicted");
        let Roles { sender, receiver } = self.0.roles(from);
        let next = segment.seq.plus(segment.payload_length);
        let outstanding = receiver.next.bytes_since(segment.ack);
        let is_predicted = segment.seq == sender.next
            && sender.packets < SidePrediction::PACKETS_MAX
            && outstanding <= receiver.next.bytes_since(receiver.acknowledged);
        if !is_predicted || !predicts() {
            return false;
        }
        sender.next = next;
        sender.packets += 1;
        sender.window = sender.window.max(segment.window);
        receiver.acknowledged = segment.ack;
        true
    }
}

impl Connection {
    /// Predicts the next segments, after one that was not predicted: data in order, if the
    /// connection is steady. `received` is what each side has received so far.
    pub(crate) fn predict_next(&self, received: Sides<StreamOffset>) -> Prediction {
        let Sides { client, server } = &self.sides;
        let is_steady = self.is_established
            && self.ended.is_none()
            && self.pending_reset.is_none()
            && is_steady(client, received.server)
            && is_steady(server, received.client);
        let predictions = || Some((predict_side(client, server)?, predict_side(server, client)?));
        match is_steady.then(predictions).flatten() {
            Some((client, server)) => Prediction(Sides { client, server }),
            None => Prediction::NONE,
        }
    }

    /// Counts what was accepted as predicted.
    pub(crate) fn sync(&mut self, prediction: &Prediction) {
        if !prediction.is_some() {
            return;
        }
        for side in Side::BOTH {
            let Unsynced { packets, bytes } = self.unsynced(prediction, side);
            let SidePrediction { next, acknowledged, window, .. } = prediction.0[side];
            let is_answered = prediction.0[side.peer()].packets > 0;
            let Roles { sender, receiver } = self.sides.roles(side);
            sender.packets += packets;
            sender.payload_bytes += bytes;
            sender.advance_to(sender.snd_nxt() + bytes);
            if is_answered {
                let outstanding = u64::from(next.bytes_since(acknowledged));
                sender.acknowledge(sender.snd_nxt().saturating_sub(outstanding));
            }
            let scale = known_scale(sender, receiver).unwrap_or(WindowScale::NONE);
            sender.max_window = sender.max_window.max(scale.apply(window));
        }
    }

    /// What a side has sent as predicted since the last [`Self::sync`].
    #[inline]
    pub(crate) fn unsynced(&self, prediction: &Prediction, side: Side) -> Unsynced {
        if !prediction.is_some() {
            return Unsynced::default();
        }
        let SidePrediction { next, packets, .. } = prediction.0[side];
        let bytes = next.bytes_since(self.sides[side].next_seq());
        Unsynced { packets: packets.into(), bytes: bytes.into() }
    }

    /// How much a side has sent.
    #[inline]
    pub(crate) fn sent(&self, prediction: &Prediction, side: Side) -> StreamOffset {
        StreamOffset(self.sides[side].snd_nxt() + self.unsynced(prediction, side).bytes)
    }

    /// How far the peer has acknowledged what a side sends, see
    /// [`SideSummary::acknowledged`](crate::SideSummary::acknowledged).
    #[inline]
    pub(crate) fn acknowledged(&self, prediction: &Prediction, side: Side) -> Option<StreamOffset> {
        let (sender, receiver) = (&self.sides[side], &self.sides[side.peer()]);
        if sender.is_unheard() || receiver.is_unheard() {
            return None;
        }
        if !prediction.is_some() {
            return sender.acknowledged().map(StreamOffset);
        }
        let SidePrediction { next, acknowledged, .. } = prediction.0[side];
        let outstanding = next.bytes_since(acknowledged);
        let sent = self.sent(prediction, side).0;
        (outstanding < 1 << 31).then(|| StreamOffset(sent.saturating_sub(outstanding.into())))
    }
}

/// Whether a side only sends data, all of it was received, and it is watched.
const fn is_steady(side: &TcpSide, received: StreamOffset) -> bool {
    matches!(side.state, TcpState::Established)
        && side.frozen.is_none()
        && !side.is_unheard()
        && side.snd_nxt() == received.0
}

/// What a side sends next, unless what its segments say of its peer could not be understood.
fn predict_side(side: &TcpSide, peer: &TcpSide) -> Option<SidePrediction> {
    let (next, acknowledged) = (side.next_seq(), side.acknowledged_seq()?);
    known_scale(side, peer).map(|_| SidePrediction { next, acknowledged, packets: 0, window: 0 })
}

/// The scale of the windows of `side`. A window of unknown scale that has reached
/// [`WINDOW_UNKNOWN`] does not grow any more, and is taken unscaled.
fn known_scale(side: &TcpSide, peer: &TcpSide) -> Option<WindowScale> {
    let is_full = side.max_window >= WINDOW_UNKNOWN;
    window_scale(side, peer).or_else(|| is_full.then_some(WindowScale::NONE))
}

/// Whether segments are predicted. Tests compare both ways.
#[cfg(not(test))]
const fn predicts() -> bool {
    true
}

#[cfg(test)]
std::thread_local! {
    static PREDICTS: core::cell::Cell<bool> = const { core::cell::Cell::new(true) };
}

#[cfg(test)]
fn predicts() -> bool {
    PREDICTS.get()
}

/// Runs something without prediction.
#[cfg(test)]
pub(crate) fn without<R>(run: impl FnOnce() -> R) -> R {
    PREDICTS.set(false);
    let result = run();
    PREDICTS.set(true);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        FlowSummary, Limits,
        testing::{FrameBuilder, World},
    };

    /// One of a frame's numbers: where it is in an Ethernet frame of IPv4 without options.
    const SEQ: core::ops::Range<usize> = 38..42;

    /// Payload of each segment of [`upload`].
    const PAYLOAD: u32 = 60_000;

    /// The summary of a flow after `segments` segments from the client; the server acknowledges
    /// every `acknowledged`th.
    fn upload(segments: u32, acknowledged: u32) -> FlowSummary {
        let mut world = World::with(Limits {
            verify_checksums: false,
            defaults: crate::SockOpts {
                buffer_bytes: Sides::both(0),
                ..Limits::default().defaults
            },
            flows_max: 4,
            pool_bytes: 1 << 20,
            ..Limits::default()
        });
        world.play("C> S 4294967290\n S> S. 100 4294967291\n C> . 4294967291 101");
        let to_server = FrameBuilder::between(world.client, world.server).flags(".");
        let mut data = to_server.seq(0, 101).payload(&std::vec![7; PAYLOAD as usize]).build();
        let mut seq = SeqNum(4_294_967_291);
        for sent in 1..=segments {
            data[SEQ].copy_from_slice(&seq.0.to_be_bytes());
            world.receive(&data);
            seq = seq.plus(PAYLOAD);
            if sent % acknowledged == 0 {
                let to_client = FrameBuilder::between(world.server, world.client).flags(".");
                world.send(&to_client.seq(101, seq.0));
            }
        }
        world.flow()
    }

    #[track_caller]
    fn is_the_same_without_prediction(segments: u32, acknowledged: u32) {
        let flow = upload(segments, acknowledged);
        assert_eq!(flow, without(|| upload(segments, acknowledged)));
        let bytes = u64::from(segments) * u64::from(PAYLOAD);
        assert_eq!(flow.sides.client.payload_bytes, bytes);
        assert_eq!(flow.sides.client.packets, 2 + u64::from(segments));
        assert_eq!(flow.sides.server.packets, 1 + u64::from(segments / acknowledged));
        assert_eq!(flow.sides.server.buffer.next, StreamOffset(bytes));
        let last = u64::from(segments / acknowledged * acknowledged) * u64::from(PAYLOAD);
        let is_near = bytes - last < 1 << 31;
        assert_eq!(flow.sides.client.acknowledged, is_near.then_some(StreamOffset(last)));
    }

    /// More packets and more bytes than one prediction can count, and numbers that wrap.
    #[test]
    fn a_long_upload_is_counted_as_without_prediction() {
        is_the_same_without_prediction(80_000, 2);
    }

    #[test]
    fn an_upload_that_is_never_acknowledged_is_counted_as_without_prediction() {
        is_the_same_without_prediction(80_000, 80_001);
    }

    #[test]
    fn what_was_acknowledged_is_told_while_segments_are_predicted() {
        is_the_same_without_prediction(100, 70);
        is_the_same_without_prediction(35_000, 1 << 20);
        is_the_same_without_prediction(36_000, 1 << 20);
    }
}
