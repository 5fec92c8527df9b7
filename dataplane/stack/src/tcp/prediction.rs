//! The common segment, taken in few steps.
//!
//! Jacobson's header prediction, "4BSD TCP Header Prediction" (1990), as a monitor needs it: once a
//! connection is established, most segments are just what was to be expected next. What that is
//! takes few bytes, in the one line of the cache that every packet needs; all else that is known of
//! the connection catches up when something else comes, or when somebody asks.

use super::{Connection, TcpSide, TcpState, side::REACH_UNKNOWN, window_scale};
use crate::{
    Roles, SeqNum, Side, Sides, StreamOffset,
    wire::{Segment, WindowScale},
};

/// What both sides of a connection send next, if all goes well, and what has come true of it.
#[derive(Debug)]
pub(crate) struct Forecast(Sides<Outlook>);

/// What one side sends next, and what it has sent as foreseen.
#[derive(Debug, Clone, Copy)]
struct Outlook {
    /// The number of its next byte.
    next: SeqNum,
    /// What its peer has acknowledged.
    acknowledged: SeqNum,
    /// Segments that came as foreseen, or [`Self::UNKNOWN`].
    packets: u16,
    /// The largest window that they advertised, unscaled.
    window: u16,
}

/// By what one side is ahead of what the connection knows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ahead {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Outlook {
    /// In place of a number of packets: nothing is foreseen.
    const UNKNOWN: u16 = u16::MAX;

    /// Packets that one forecast reaches for. None has 2^16 bytes, so that all of them have less
    /// than 2^31, and what is not acknowledged at their end less than 2^32.
    const PACKETS_MAX: u16 = (1 << 15) - 1;
}

impl Forecast {
    /// That nothing is foreseen.
    pub(crate) const UNKNOWN: Self = {
        let (next, acknowledged) = (SeqNum(0), SeqNum(0));
        let side = Outlook { next, acknowledged, packets: Outlook::UNKNOWN, window: 0 };
        Self(Sides { client: side, server: side })
    };

    /// Whether anything is foreseen.
    #[inline]
    pub(crate) const fn is_known(&self) -> bool {
        self.0.client.packets != Outlook::UNKNOWN
    }

    /// Takes a plain segment that is just what was to be expected next: of a steady connection, in
    /// order, and acknowledging nothing that was missed. The connection need not be touched until
    /// it catches up: it will be as if [`Connection::on_segment`] had taken the segment, but for
    /// the payload. `false`: it is something else, and nothing was done.
    #[inline]
    pub(crate) fn take(&mut self, segment: &Segment<'_>, from: Side) -> bool {
        debug_assert!(segment.is_plain(), "nothing else is predicted");
        let Roles { sender, receiver } = self.0.roles(from);
        let next = segment.seq.plus(segment.payload_length);
        let outstanding = receiver.next.bytes_since(segment.ack);
        let is_expected = segment.seq == sender.next
            && sender.packets < Outlook::PACKETS_MAX
            && outstanding <= receiver.next.bytes_since(receiver.acknowledged);
        if !is_expected || !predicts() {
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
    /// Looks ahead, after anything that was not foreseen: whether nothing but data in order comes
    /// next, if all goes well. `received` is what each side has received so far.
    pub(crate) fn look_ahead(&self, received: Sides<StreamOffset>) -> Forecast {
        let Sides { client, server } = &self.sides;
        let is_steady = self.is_established
            && self.ended.is_none()
            && self.pending_reset.is_none()
            && is_steady(client, received.server)
            && is_steady(server, received.client);
        let outlooks = || Some((outlook(client, server)?, outlook(server, client)?));
        match is_steady.then(outlooks).flatten() {
            Some((client, server)) => Forecast(Sides { client, server }),
            None => Forecast::UNKNOWN,
        }
    }

    /// Catches up with what came as foreseen.
    pub(crate) fn catch_up(&mut self, forecast: &Forecast) {
        if !forecast.is_known() {
            return;
        }
        for side in Side::BOTH {
            let Ahead { packets, bytes } = self.ahead(forecast, side);
            let Outlook { next, acknowledged, window, .. } = forecast.0[side];
            let is_answered = forecast.0[side.peer()].packets > 0;
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

    /// What a side has sent as foreseen.
    #[inline]
    pub(crate) fn ahead(&self, forecast: &Forecast, side: Side) -> Ahead {
        if !forecast.is_known() {
            return Ahead::default();
        }
        let Outlook { next, packets, .. } = forecast.0[side];
        let bytes = next.bytes_since(self.sides[side].next_seq());
        Ahead { packets: packets.into(), bytes: bytes.into() }
    }

    /// How much a side has sent.
    #[inline]
    pub(crate) fn sent(&self, forecast: &Forecast, side: Side) -> StreamOffset {
        StreamOffset(self.sides[side].snd_nxt() + self.ahead(forecast, side).bytes)
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
fn outlook(side: &TcpSide, peer: &TcpSide) -> Option<Outlook> {
    let (next, acknowledged) = (side.next_seq(), side.acknowledged_seq()?);
    known_scale(side, peer).map(|_| Outlook { next, acknowledged, packets: 0, window: 0 })
}

/// By what the windows of `side` are scaled. A window of unknown scale that has come to the size
/// that is assumed at most does not grow any more, and need not be scaled.
fn known_scale(side: &TcpSide, peer: &TcpSide) -> Option<WindowScale> {
    let is_full = side.max_window >= REACH_UNKNOWN;
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

    /// What is known of a flow after so many segments from the client, of which the server
    /// acknowledges every so many.
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
    }

    /// More packets and more bytes than one forecast can count, and numbers that wrap.
    #[test]
    fn a_long_upload_is_counted_as_without_prediction() {
        is_the_same_without_prediction(80_000, 2);
    }

    #[test]
    fn an_upload_that_is_never_acknowledged_is_counted_as_without_prediction() {
        is_the_same_without_prediction(80_000, 80_001);
    }
}
