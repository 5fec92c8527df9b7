//! The common segment, taken in few steps.
//!
//! Jacobson's header prediction, "4BSD TCP Header Prediction" (1990), as a monitor needs it: once a
//! connection is established, most segments are just what was to be expected next.

use super::{Connection, TcpState, Witness, Workbench, window};
use crate::{Roles, Side, Stat, StreamOffset, wire::Segment};

impl Connection {
    /// Takes a segment that is just what was to be expected next: of an established connection, in
    /// order, acknowledging nothing that was missed. It does then what the general way does, in
    /// few steps. `false`: it is something else, and nothing was done.
    #[inline]
    pub(super) fn on_expected<W: Witness>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        on: &mut Workbench<'_, W>,
    ) -> bool {
        let Roles { sender, receiver } = self.sides.roles(from);
        let offset = StreamOffset(sender.snd_nxt);
        let acknowledged = receiver.offset_of(segment.ack).map(u64::try_from);
        let (Some(seq), Some(Ok(acknowledged))) = (sender.seq_of(offset), acknowledged) else {
            return false;
        };
        let both = [&*sender, &*receiver];
        let is_expected = segment.flags.is_plain_ack()
            && segment.seq == seq
            && (receiver.snd_una..=receiver.snd_nxt).contains(&acknowledged)
            && segment.payload.len() as u64 == u64::from(segment.payload_length)
            && on.buffers[from].next().0 >= acknowledged
            && on.buffers[from.peer()].next() == offset
            && both.iter().all(|tcp| tcp.state == TcpState::Established && tcp.frozen.is_none())
            && self.is_established
            && self.ended.is_none()
            && self.pending_reset.is_none();
        if !is_expected || !predicts() {
            return false;
        }
        let length = u64::from(segment.payload_length);
        sender.packets += 1;
        sender.payload_bytes += length;
        sender.snd_nxt += length;
        sender.max_window = sender.max_window.max(window(segment, sender, receiver));
        receiver.acknowledge(acknowledged);
        on.stats.add(Stat::PayloadBytes, length);
        if length > 0 {
            on.place(from.peer(), offset, segment.payload);
        }
        true
    }
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
