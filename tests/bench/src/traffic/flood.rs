//! T6, floods: segments of connections that are never established, from random clients.

use mos_stack::Side;

use super::{
    Endpoint, Shape, Traffic,
    frame::{Segment, flags},
    payload::{Stream, mix},
};

/// The kind of flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flooding {
    /// One SYN of each client.
    Syn,
    /// A SYN, and its answer.
    SynAck,
    /// Acknowledgements of no connection.
    Ack,
}

/// The traffic.
#[derive(Debug)]
pub struct Flood {
    kind: Flooding,
    /// Segments before this one.
    sent: u64,
}

impl Flood {
    /// A flood of one kind.
    #[must_use]
    pub const fn new(kind: Flooding) -> Self {
        Self { kind, sent: 0 }
    }
}

impl Traffic for Flood {
    fn next_frame(&mut self, out: &mut [u8]) -> Option<usize> {
        let (number, is_answer) = match self.kind {
            Flooding::SynAck => (self.sent / 2, self.sent % 2 == 1),
            Flooding::Syn | Flooding::Ack => (self.sent, false),
        };
        self.sent += 1;
        let random = mix(number);
        let [a0, a1, a2, p0, p1, s0, s1, _] = random.to_le_bytes();
        let client = Endpoint {
            address: u32::from_be_bytes([10, a0, a1, a2]),
            port: u16::from_be_bytes([p0, p1]),
        };
        let server = Endpoint { address: u32::from_be_bytes([172, 16, s0, s1]), port: 443 };
        let [asked, answer] = Side::BOTH.map(|side| Stream::new(number, side));
        let (source, target, stream) =
            if is_answer { (server, client, answer) } else { (client, server, asked) };
        let (flags, ack) = match self.kind {
            Flooding::Ack => (flags::ACK, answer.initial_seq()),
            _ if is_answer => (flags::SYN | flags::ACK, asked.initial_seq().wrapping_add(1)),
            Flooding::Syn | Flooding::SynAck => (flags::SYN, 0),
        };
        let seq = stream.initial_seq();
        let segment = Segment { source, target, seq, ack, flags, stream, offset: 0, length: 0 };
        Some(segment.write(out))
    }

    fn shape(&self) -> Shape {
        Shape::flood()
    }
}
