//! The common segment, taken in few steps.
//!
//! Jacobson's header prediction, "4BSD TCP Header Prediction" (1990), as a monitor needs it: on an
//! established connection most segments carry the next bytes in order. Their numbers take 38 bytes,
//! in the one line of the cache that every packet needs. A segment with these numbers changes them
//! and no more of the connection, which is synced when another segment comes, or when it is read.

use super::{Connection, TcpSide, TcpState, side::WINDOW_UNKNOWN, window_scale};
use crate::{
    SeqNum, Side, Sides, StreamOffset,
    flow::{Trait, Traits},
    side::BySide,
    wire::{Options, Segment, WindowScale},
};

/// What both sides of a connection send next if nothing is lost, and what was accepted as such.
#[derive(Debug)]
pub(crate) struct Prediction {
    /// The number of the next byte of each side.
    next: BySide<SeqNum>,
    /// What its peer has acknowledged.
    acknowledged: BySide<SeqNum>,
    /// The right edge of the window that its peer has granted.
    edge: BySide<SeqNum>,
    /// The window that it has advertised last, unscaled.
    window: BySide<u16>,
    /// Segments accepted as predicted, or [`Self::NO_PACKETS`].
    packets: BySide<u8>,
    /// What every packet must know of the flow besides. Here, because there is room.
    pub(crate) traits: Traits,
    #[expect(dead_code, reason = "only its niche is used")]
    mark: Mark,
}

/// A niche: a `u8` with one used value. The compiler encodes `State::Free` of the table in the
/// field with the most unused values; this field makes that one of the first line, which every
/// packet reads.
#[derive(Debug)]
#[repr(u8)]
enum Mark {
    Live,
}

const _: () = assert!(size_of::<Prediction>() == 32, "see `flow/record.rs`");

/// What a side has sent as predicted that [`Connection`] has not yet counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unsynced {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Prediction {
    /// In place of a number of packets: nothing is predicted.
    const NO_PACKETS: u8 = u8::MAX;
    const NOT_PREDICTED: BySide<u8> = BySide([Self::NO_PACKETS; 2]);

    /// Most packets of one prediction. Each has fewer than 2^16 bytes, so that they have fewer than
    /// 2^31 together, and fewer than 2^32 are unacknowledged behind the last.
    const PACKETS_MAX: u8 = Self::NO_PACKETS - 1;

    /// No prediction, of a flow with these traits.
    pub(crate) const fn none(traits: Traits) -> Self {
        const NOTHING: BySide<SeqNum> = BySide([SeqNum(0); 2]);
        Self {
            next: NOTHING,
            acknowledged: NOTHING,
            edge: NOTHING,
            window: BySide([0; 2]),
            packets: Self::NOT_PREDICTED,
            traits,
            mark: Mark::Live,
        }
    }

    /// Predicts nothing more.
    pub(crate) const fn clear(&mut self) {
        self.packets = Self::NOT_PREDICTED;
    }

    /// Whether anything is predicted.
    #[inline]
    pub(crate) const fn is_some(&self) -> bool {
        self.packets.0[0] != Self::NO_PACKETS
    }

    /// Accepts a plain segment that is the predicted one: of a steady connection, in order, within
    /// the window, acknowledging nothing that was not captured, and with a timestamp that is not
    /// older than the one before, or without one, as the connection has them.
    /// [`Connection::sync`] later does to the connection what [`Connection::on_segment`] would do
    /// now, except for the payload. `false`: it is another segment, and nothing was done.
    #[inline(always)]
    pub(crate) fn accept(&mut self, segment: &Segment<'_>, recent: &mut BySide<u32>) -> bool {
        debug_assert!(segment.is_plain(), "nothing else is predicted");
        let Self { next: BySide(next), acknowledged: BySide(acknowledged), .. } = self;
        // Numbers all along: from a `Side`, the compiler makes a comparison for each use.
        let from = self.traits.number_of(segment.from);
        let peer = from ^ 1;
        let end = segment.seq.plus(segment.payload_length);
        let outstanding = next[peer].bytes_since(segment.ack);
        let is_predicted = segment.seq == next[from]
            && self.packets.0[from] < Self::PACKETS_MAX
            && outstanding <= next[peer].bytes_since(acknowledged[peer])
            && self.edge.0[from].distance_from(end) >= 0;
        if !is_predicted || !predicts() {
            return false;
        }
        if self.traits.has(Trait::HasStamps) {
            let Some((stamp, rest)) = Options::split_stamp(segment.options) else { return false };
            let is_older = stamp.wrapping_sub(recent.0[from]).cast_signed() < 0;
            if is_older || !Options::is_only_sack(rest) {
                return false;
            }
            recent.0[from] = stamp;
        } else if !Options::is_only_sack(segment.options) {
            return false;
        }
        next[from] = end;
        self.packets.0[from] += 1;
        self.window.0[from] = segment.window;
        acknowledged[peer] = segment.ack;
        true
    }

    /// Whether a plain segment has the number that is predicted.
    pub(crate) fn is_next(&self, segment: &Segment<'_>, from: Side) -> bool {
        self.is_some() && segment.seq == self.next[from]
    }
}

impl Connection {
    /// Predicts the next segments, after one that was not predicted: data in order, if the
    /// connection is steady. `received` is what each side has received so far.
    pub(crate) fn predict_next(&self, received: Sides<StreamOffset>, on: &mut Prediction) {
        let Sides { client, server } = &self.sides;
        on.clear();
        let is_steady = self.is_established
            && self.ended.is_none()
            && self.pending_reset.is_none()
            && !on.traits.has(Trait::HasAside)
            && self.signature(Side::Client).is_none()
            && is_steady(client, received.server)
            && is_steady(server, received.client);
        if is_steady
            && let Some(of_client) = acknowledged(client, server)
            && let Some(of_server) = acknowledged(server, client)
        {
            if self.has_timestamps() {
                on.traits.set(Trait::HasStamps);
            } else {
                on.traits.clear(Trait::HasStamps);
            }
            on.next = BySide([client.next_seq(), server.next_seq()]);
            on.acknowledged = BySide([of_client, of_server]);
            on.edge = BySide([client.edge_seq(server), server.edge_seq(client)]);
            on.packets = BySide([0; 2]);
        }
    }

    /// Counts what was accepted as predicted.
    pub(crate) fn sync(&mut self, prediction: &Prediction) {
        if !prediction.is_some() {
            return;
        }
        for side in Side::BOTH {
            let Unsynced { packets, bytes } = self.unsynced(prediction, side);
            let sender = &mut self.sides[side];
            sender.packets += packets;
            sender.payload_bytes += bytes;
            sender.advance_to(sender.snd_nxt() + bytes);
        }
        for side in Side::BOTH.into_iter().filter(|side| prediction.packets[*side] > 0) {
            let peer = side.peer();
            let unanswered = prediction.next[peer].bytes_since(prediction.acknowledged[peer]);
            let acknowledged = self.sides[peer].snd_nxt().saturating_sub(u64::from(unanswered));
            let edge = self.granted(prediction, side, acknowledged.cast_signed());
            let receiver = &mut self.sides[peer];
            receiver.acknowledge(acknowledged);
            receiver.grant(edge);
        }
    }

    /// The edge that the last predicted segment of a side has granted; its peer has sent, and the
    /// side has acknowledged, everything before `una`. Without such a segment, `una`.
    pub(super) fn granted(&self, prediction: &Prediction, side: Side, una: i64) -> i64 {
        if prediction.packets[side] == 0 {
            return una;
        }
        let scale = known_scale(&self.sides[side], &self.sides[side.peer()]);
        let scale = scale.unwrap_or(WindowScale::NONE);
        una + i64::from(scale.apply(prediction.window[side]))
    }

    /// What a side has sent as predicted since the last [`Self::sync`].
    #[inline]
    pub(crate) fn unsynced(&self, prediction: &Prediction, side: Side) -> Unsynced {
        if !prediction.is_some() {
            return Unsynced::default();
        }
        let bytes = prediction.next[side].bytes_since(self.sides[side].next_seq());
        Unsynced { packets: prediction.packets[side].into(), bytes: bytes.into() }
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
        let outstanding = prediction.next[side].bytes_since(prediction.acknowledged[side]);
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

/// What the peer of a side has acknowledged; `None` if what its segments say of the peer could not
/// be understood.
fn acknowledged(side: &TcpSide, peer: &TcpSide) -> Option<SeqNum> {
    known_scale(side, peer).and_then(|_| side.acknowledged_seq())
}

/// The scale of the windows of `side`. If it is not known, the window is taken to be
/// [`WINDOW_UNKNOWN`].
fn known_scale(side: &TcpSide, peer: &TcpSide) -> Option<WindowScale> {
    let is_full = peer.edge(side) - peer.snd_una().cast_signed() >= i64::from(WINDOW_UNKNOWN);
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
