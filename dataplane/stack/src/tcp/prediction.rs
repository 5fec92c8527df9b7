//! The common segment, taken in few steps.
//!
//! Jacobson's header prediction, "4BSD TCP Header Prediction" (1990), as a monitor needs it: once a
//! connection is established, most segments are just what was to be expected next.

use super::{Connection, TcpSide, TcpState, side::REACH_UNKNOWN, window_scale};
use crate::{
    Roles, Side, Sides, StreamOffset,
    wire::{Segment, WindowScale},
};

impl Connection {
    /// Looks ahead, after anything that was not foreseen: whether nothing but data in order comes
    /// next, if all goes well. `received` is what each side has received so far.
    pub(crate) fn look_ahead(&mut self, received: Sides<StreamOffset>) {
        let Sides { client, server } = &self.sides;
        let scales =
            [(client, server), (server, client)].map(|(side, peer)| known_scale(side, peer));
        self.is_steady = self.is_established
            && self.ended.is_none()
            && self.pending_reset.is_none()
            && is_steady(client, received.server)
            && is_steady(server, received.client);
        match scales {
            [Some(client), Some(server)] => {
                (self.sides.client.scale, self.sides.server.scale) = (client, server);
            }
            _ => self.is_steady = false,
        }
    }

    /// How much a side has sent, if all of it was received by now: while segments are predicted.
    #[inline]
    pub(crate) fn in_order(&self, side: Side) -> Option<StreamOffset> {
        if self.is_steady { Some(StreamOffset(self.sides[side].snd_nxt)) } else { None }
    }

    /// Takes a segment that is just what was to be expected next: of a steady connection, in order,
    /// and acknowledging nothing that was missed. It does what [`Self::on_segment`] would do, in
    /// few steps, up to the payload: returns where that goes. `None`: it is something else, and
    /// nothing was done.
    #[inline]
    pub(crate) fn take_expected(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
    ) -> Option<StreamOffset> {
        let Roles { sender, receiver } = self.sides.roles(from);
        let is_next = self.is_steady
            && segment.flags.is_plain_ack()
            && segment.seq == sender.next_seq()
            && segment.payload.len() as u64 == u64::from(segment.payload_length);
        if !is_next || !predicts() {
            return None;
        }
        let outstanding = u32::try_from(receiver.next_seq().distance_from(segment.ack)).ok()?;
        let acknowledged = receiver.snd_nxt.checked_sub(u64::from(outstanding))?;
        if acknowledged < receiver.snd_una {
            return None;
        }
        let (offset, length) = (sender.snd_nxt, u64::from(segment.payload_length));
        sender.packets += 1;
        sender.payload_bytes += length;
        sender.snd_nxt += length;
        sender.max_window = sender.max_window.max(sender.scale.apply(segment.window));
        receiver.acknowledge(acknowledged);
        Some(StreamOffset(offset))
    }
}

/// Whether a side only sends data, all of it was received, and it is watched.
const fn is_steady(side: &TcpSide, received: StreamOffset) -> bool {
    matches!(side.state, TcpState::Established)
        && side.frozen.is_none()
        && !side.is_unheard()
        && side.snd_nxt == received.0
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
