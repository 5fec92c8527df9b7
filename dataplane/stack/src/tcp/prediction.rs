//! The common segment, taken in few steps.
//!
//! Jacobson's header prediction, "4BSD TCP Header Prediction" (1990), as a monitor needs it: once a
//! connection is established, most segments are just what was to be expected next.

use super::{Connection, TcpState, Witness, Workbench, window};
use crate::{Roles, Side, Sides, Stat, StreamOffset, reassembly::Reassembler, wire::Segment};

impl Connection {
    /// Whether a segment is just what was to be expected next: of an established connection, in
    /// order, acknowledging nothing that was missed. If so: what it acknowledges.
    #[inline]
    pub(crate) fn expects(
        &self,
        segment: &Segment<'_>,
        from: Side,
        buffers: &Sides<Reassembler>,
    ) -> Option<u64> {
        let (sender, receiver) = (&self.sides[from], &self.sides[from.peer()]);
        let offset = StreamOffset(sender.snd_nxt);
        let is_next = segment.flags.is_plain_ack()
            && sender.seq_of(offset) == Some(segment.seq)
            && buffers[from.peer()].next() == offset
            && segment.payload.len() as u64 == u64::from(segment.payload_length);
        let is_open = self.is_established
            && self.ended.is_none()
            && self.pending_reset.is_none()
            && sender.state == TcpState::Established
            && receiver.state == TcpState::Established
            && sender.frozen.is_none()
            && receiver.frozen.is_none();
        if !is_next || !is_open || !predicts() {
            return None;
        }
        let acknowledged = u64::try_from(receiver.offset_of(segment.ack)?).ok()?;
        let is_known = receiver.snd_una <= acknowledged && acknowledged <= receiver.snd_nxt;
        (is_known && buffers[from].next().0 >= acknowledged).then_some(acknowledged)
    }

    /// Takes a segment that [`Self::expects`] has told to acknowledge this much. It does what
    /// [`Self::on_segment`] would do, in few steps.
    #[inline]
    pub(crate) fn on_expected<W: Witness>(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        acknowledged: u64,
        on: &mut Workbench<'_, W>,
    ) {
        let Roles { sender, receiver } = self.sides.roles(from);
        let (offset, length) = (StreamOffset(sender.snd_nxt), u64::from(segment.payload_length));
        sender.packets += 1;
        sender.payload_bytes += length;
        sender.snd_nxt += length;
        sender.max_window = sender.max_window.max(window(segment, sender, receiver));
        receiver.acknowledge(acknowledged);
        on.stats.add(Stat::PayloadBytes, length);
        if length > 0 {
            on.place(from.peer(), offset, segment.payload);
        }
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
