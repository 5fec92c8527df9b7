//! One segment of a conversation, with its position in both streams.

use mos_stack::{Side, Sides};

use super::{
    endpoints, flow_number,
    frame::{Segment, flags},
    payload::Stream,
};

/// One segment, without the flow that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) sender: Side,
    pub(super) flags: u8,
    /// Bytes of payload.
    pub(super) length: u16,
    /// The position of the sender before the segment.
    pub(super) seq: Position,
    /// The position of the other side that the sender acknowledges.
    pub(super) ack: Position,
}

/// A position in the stream of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// Bytes of payload.
    pub(super) bytes: u32,
    /// SYN and FIN, which take a sequence number each.
    pub(super) controls: u32,
}

impl Step {
    /// Whether it carries data.
    pub(super) const fn is_data(&self) -> bool {
        self.length > 0
    }

    /// The segment in the flow that `slot` runs in its turn `turn`.
    pub(super) fn of_flow(&self, slot: u32, turn: u32) -> Segment {
        let (client, server) = endpoints(slot, turn);
        let (source, target) = match self.sender {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        let flow = flow_number(slot, turn);
        let [stream, other] = [self.sender, self.sender.peer()].map(|side| Stream::new(flow, side));
        let is_acknowledging = self.flags & flags::ACK != 0;
        Segment {
            source,
            target,
            seq: self.seq.number(stream),
            ack: if is_acknowledging { self.ack.number(other) } else { 0 },
            flags: self.flags,
            stream,
            offset: self.seq.bytes.into(),
            length: self.length.into(),
        }
    }
}

impl Position {
    const fn number(self, stream: Stream) -> u32 {
        stream.initial_seq().wrapping_add(self.bytes).wrapping_add(self.controls)
    }

    const fn after(self, step: &Step) -> Self {
        let controls = (step.flags & (flags::SYN | flags::FIN)).count_ones();
        Self { bytes: self.bytes + step.length as u32, controls: self.controls + controls }
    }
}

/// A conversation under construction. Each segment acknowledges all before it.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    at: Sides<Position>,
}

impl Script {
    /// A conversation of `length` blank segments, which allocates the memory.
    pub(super) fn of_length(length: usize) -> Self {
        let (seq, ack) = Default::default();
        let blank = Step { sender: Side::Client, flags: 0, length: 0, seq, ack };
        Self { steps: vec![blank; length], at: Sides::default() }
    }

    /// Discards all segments, and begins with the handshake.
    pub(super) fn open(&mut self) {
        self.steps.clear();
        self.at = Sides::default();
        self.say(Side::Client, flags::SYN, 0);
        self.say(Side::Server, flags::SYN | flags::ACK, 0);
        self.say(Side::Client, flags::ACK, 0);
    }

    /// Adds a segment with data.
    pub(super) fn data(&mut self, sender: Side, length: u16) {
        self.say(sender, flags::PSH | flags::ACK, length);
    }

    /// Adds an acknowledgement.
    pub(super) fn acknowledge(&mut self, sender: Side) {
        self.say(sender, flags::ACK, 0);
    }

    /// Ends the conversation.
    pub(super) fn close(&mut self) {
        self.say(Side::Client, flags::FIN | flags::ACK, 0);
        self.say(Side::Server, flags::FIN | flags::ACK, 0);
        self.acknowledge(Side::Client);
    }

    fn say(&mut self, sender: Side, flags: u8, length: u16) {
        let (seq, ack) = (self.at[sender], self.at[sender.peer()]);
        let step = Step { sender, flags, length, seq, ack };
        self.at[sender] = seq.after(&step);
        self.steps.push(step);
    }
}
