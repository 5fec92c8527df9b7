//! One TCP conversation: handshake, requests and responses, FIN or RST, segment by segment.
//!
//! ```text
//! Syn ─▶ SynAck ─▶ HandshakeAck ─▶ Talk ─▶ Talk ... ─▶ Fin ─▶ PeerFin ─▶ LastAck ─▶ Over
//!                                    └────────────▶ Reset ─────────────────────────▶ Over
//! ```
//!
//! At most one segment at a time is out of its place ([`Astray`]): late, or sent a second time.
//! Acknowledgements stop at it, as those of a receiver that still waits for it.

use std::{fmt::Write as _, net::SocketAddr};

use arrayvec::ArrayString;
use mos_stack::{Side, Sides};

use super::{
    frame::{Header, Path, TcpOptions, flags, write_frame},
    random::Random,
};

const WINDOW_SCALE: u8 = 7;
const WINDOW_SYN: u16 = 64_240;
const WINDOW_SCALED: u16 = 502;

/// Data segments of 1000 that are late, and that are repeated.
const LATE_PER_MILLE: u32 = 20;
const REPEATED_PER_MILLE: u32 = 10;
/// One repeated segment in this many has different bytes.
const GARBLED_ONE_IN: u32 = 20;
/// Conversations that end by a reset, in percent.
const RESET_PERCENT: u32 = 3;
/// Data segments for which a receiver sends one acknowledgement.
const ACK_EVERY: u8 = 2;

/// The kinds of conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A few requests with responses of up to hundreds of kilobytes.
    Short,
    /// Hundreds of small exchanges.
    Long,
}

/// The endpoints of a conversation, and everything decided before its first segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) kind: Kind,
    pub(super) addresses: Sides<SocketAddr>,
    pub(super) macs: Sides<[u8; 6]>,
    pub(super) vlan: Option<u16>,
    pub(super) timestamps: bool,
}

/// Whether a conversation goes on after a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It sends its next segment at once.
    Continues,
    /// An exchange is complete: others may send meanwhile.
    Pauses,
    /// That was its last segment.
    Over,
}

/// One TCP conversation.
#[derive(Debug)]
pub(super) struct Conversation {
    setup: Setup,
    step: Step,
    exchanges_left: u32,
    ends: Sides<End>,
    message: Message,
    astray: Option<Astray>,
    /// Data segments of the message since the last acknowledgement.
    unacknowledged: u8,
}

/// What one endpoint has sent.
#[derive(Debug, Clone, Copy)]
struct End {
    initial_seq: u32,
    /// Stream bytes sent for the first time, including those that are late.
    sent: u64,
    /// Sequence numbers that its FIN has taken: 1 once it is sent.
    fin: u32,
    /// Timestamp of its last segment, 0 before the first.
    stamp: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Syn,
    SynAck,
    HandshakeAck,
    Talk,
    Fin(Side),
    PeerFin(Side),
    LastAck(Side),
    Reset(Side),
}

/// The message that is being sent.
#[derive(Debug)]
struct Message {
    from: Side,
    start: u64,
    end: u64,
    /// Its first bytes; the rest is text.
    head: ArrayString<96>,
}

/// A stretch of the message's stream: one segment's payload.
#[derive(Debug, Clone, Copy)]
struct Piece {
    offset: u64,
    length: u16,
    /// Every byte is changed.
    garbled: bool,
}

/// A segment that is sent after later ones.
#[derive(Debug, Clone, Copy)]
struct Astray {
    piece: Piece,
    /// Segments that are still sent before it.
    segments_before: u32,
}

/// One segment before it has numbers and addresses.
#[derive(Debug, Clone, Copy)]
struct Planned {
    from: Side,
    flags: u8,
    piece: Piece,
}

impl Conversation {
    /// A conversation that has not begun.
    pub(super) fn new(setup: Setup, random: &mut Random) -> Self {
        let exchanges_left = match setup.kind {
            Kind::Short => random.between(1, 4),
            Kind::Long => random.between(200, 2000),
        };
        let mut end = || End { initial_seq: random.word(), sent: 0, fin: 0, stamp: 0 };
        Self {
            setup,
            step: Step::Syn,
            exchanges_left,
            ends: Sides { client: end(), server: end() },
            message: Message { from: Side::Client, start: 0, end: 0, head: ArrayString::new() },
            astray: None,
            unacknowledged: 0,
        }
    }

    /// Writes the next segment as a frame. `tick` is a number that grows from frame to frame.
    pub(super) fn next_frame(
        &mut self,
        text: &[u8],
        tick: u32,
        random: &mut Random,
        out: &mut Vec<u8>,
    ) -> Turn {
        let (planned, turn) = self.plan(random);
        let Planned { from, flags, piece } = planned;
        let header = self.header(planned, tick);
        let path = self.path(from, tick);
        write_frame(out, &path, &header, piece.length, |out| {
            let start = out.len();
            self.message.write(piece, text, out);
            if piece.garbled {
                out[start..].iter_mut().for_each(|byte| *byte ^= 0x20);
            }
        });
        if flags & flags::FIN != 0 {
            self.ends[from].fin = 1;
        }
        self.ends[from].stamp = tick;
        turn
    }

    fn plan(&mut self, random: &mut Random) -> (Planned, Turn) {
        use flags::{ACK, FIN, RST, SYN};
        let (step, from, flags, turn) = match self.step {
            Step::Talk => return self.talk(random),
            Step::Syn => (Step::SynAck, Side::Client, SYN, Turn::Continues),
            Step::SynAck => (Step::HandshakeAck, Side::Server, SYN | ACK, Turn::Continues),
            Step::HandshakeAck => {
                self.begin_request(random);
                (Step::Talk, Side::Client, ACK, Turn::Continues)
            }
            Step::Fin(first) => (Step::PeerFin(first), first, FIN | ACK, Turn::Continues),
            Step::PeerFin(first) => {
                (Step::LastAck(first), first.peer(), FIN | ACK, Turn::Continues)
            }
            Step::LastAck(first) => (Step::LastAck(first), first, ACK, Turn::Over),
            Step::Reset(from) => (Step::Reset(from), from, RST | ACK, Turn::Over),
        };
        self.step = step;
        (self.without_payload(from, flags), turn)
    }

    /// The next segment of an exchange.
    fn talk(&mut self, random: &mut Random) -> (Planned, Turn) {
        let from = self.message.from;
        if let Some(astray) = self.astray.take_if(|astray| {
            astray.segments_before == 0 || self.ends[from].sent == self.message.end
        }) {
            return (self.data(astray.piece), Turn::Continues);
        }
        let complete = self.ends[from].sent == self.message.end;
        if complete && from == Side::Client {
            self.begin_response(random);
            return self.talk(random);
        }
        if complete {
            self.unacknowledged = 0;
            self.exchanges_left -= 1;
            let end_of_exchange = self.without_payload(Side::Client, flags::ACK);
            if self.exchanges_left > 0 {
                self.begin_request(random);
            } else {
                self.begin_end(random);
            }
            return (end_of_exchange, Turn::Pauses);
        }
        if self.unacknowledged >= ACK_EVERY {
            self.unacknowledged = 0;
            return (self.without_payload(from.peer(), flags::ACK), Turn::Continues);
        }
        (self.new_data(random), Turn::Continues)
    }

    /// The next piece of the message; the one after it, if the next one is to be late.
    fn new_data(&mut self, random: &mut Random) -> Planned {
        let mut piece = self.cut();
        if let Some(astray) = &mut self.astray {
            astray.segments_before = astray.segments_before.saturating_sub(1);
        } else {
            let fate = random.below(1000);
            let is_last = self.ends[self.message.from].sent == self.message.end;
            let segments_before = random.below(3);
            if fate < LATE_PER_MILLE && !is_last {
                self.astray = Some(Astray { piece, segments_before });
                piece = self.cut();
            } else if fate >= 1000 - REPEATED_PER_MILLE {
                let again = Piece { garbled: random.chance(1, GARBLED_ONE_IN), ..piece };
                self.astray = Some(Astray { piece: again, segments_before });
            }
        }
        self.data(piece)
    }

    /// Cuts the next piece off the message.
    fn cut(&mut self) -> Piece {
        let length_max = self.segment_bytes();
        let sent = &mut self.ends[self.message.from].sent;
        let left = self.message.end - *sent;
        let length = u16::try_from(left).map_or(length_max, |left| left.min(length_max));
        let piece = Piece { offset: *sent, length, garbled: false };
        *sent += u64::from(length);
        piece
    }

    const fn data(&mut self, piece: Piece) -> Planned {
        self.unacknowledged += 1;
        let is_last = piece.offset + piece.length as u64 == self.message.end;
        let flags = if is_last { flags::ACK | flags::PSH } else { flags::ACK };
        Planned { from: self.message.from, flags, piece }
    }

    fn without_payload(&self, from: Side, flags: u8) -> Planned {
        let piece = Piece { offset: self.ends[from].sent, length: 0, garbled: false };
        Planned { from, flags, piece }
    }

    fn begin_request(&mut self, random: &mut Random) {
        let length = match self.setup.kind {
            Kind::Short if random.chance(1, 10) => random.between(2_000, 20_000),
            Kind::Short => random.between(120, 900),
            Kind::Long => random.between(16, 200),
        };
        let mut head = ArrayString::new();
        if self.setup.kind == Kind::Short {
            let item = random.below(10_000);
            // The head has room for any number of these digits.
            let _fits = write!(head, "GET /items/{item} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        }
        self.begin_message(Side::Client, length, head);
    }

    fn begin_response(&mut self, random: &mut Random) {
        let length = match self.setup.kind {
            // Log-uniform: sizes from 256 to 512 bytes are as frequent as from 256 to 512 KiB.
            Kind::Short => {
                let magnitude = 1 << random.between(8, 18);
                magnitude + random.below(magnitude)
            }
            Kind::Long => random.between(16, 1_200),
        };
        let mut head = ArrayString::new();
        if self.setup.kind == Kind::Short {
            let _fits = write!(head, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        }
        let length = length.saturating_add(u32::try_from(head.len()).unwrap_or(0));
        self.begin_message(Side::Server, length, head);
    }

    fn begin_message(&mut self, from: Side, length: u32, head: ArrayString<96>) {
        let start = self.ends[from].sent;
        self.message = Message { from, start, end: start + u64::from(length), head };
        self.unacknowledged = 0;
    }

    const fn begin_end(&mut self, random: &mut Random) {
        let first = if random.chance(1, 2) { Side::Client } else { Side::Server };
        self.step =
            if random.chance(RESET_PERCENT, 100) { Step::Reset(first) } else { Step::Fin(first) };
    }

    /// Payload bytes of a full-sized segment.
    const fn segment_bytes(&self) -> u16 {
        self.mss() - self.later_options().length()
    }

    const fn mss(&self) -> u16 {
        if self.setup.addresses.client.is_ipv4() { 1460 } else { 1440 }
    }

    const fn later_options(&self) -> TcpOptions {
        if self.setup.timestamps { TcpOptions::Timestamps(0, 0) } else { TcpOptions::None }
    }

    fn header(&self, planned: Planned, tick: u32) -> Header {
        let Planned { from, flags, piece, .. } = planned;
        let is_syn = flags & flags::SYN != 0;
        let sender = &self.ends[from];
        let times = (tick, self.ends[from.peer()].stamp);
        Header {
            seq: if is_syn {
                sender.initial_seq
            } else {
                sender.number(piece.offset).wrapping_add(sender.fin)
            },
            ack: if flags & flags::ACK == 0 { 0 } else { self.ack_number(from) },
            flags,
            window: if is_syn { WINDOW_SYN } else { WINDOW_SCALED },
            options: match (is_syn, self.setup.timestamps) {
                (true, timestamps) => TcpOptions::Syn {
                    mss: self.mss(),
                    window_scale: WINDOW_SCALE,
                    timestamps: timestamps.then_some(times),
                },
                (false, true) => TcpOptions::Timestamps(times.0, times.1),
                (false, false) => TcpOptions::None,
            },
        }
    }

    /// What `from` acknowledges: everything the other endpoint sent, up to a missing segment.
    fn ack_number(&self, from: Side) -> u32 {
        let peer = &self.ends[from.peer()];
        match &self.astray {
            Some(astray) if self.message.from == from.peer() => peer.number(astray.piece.offset),
            Some(_) | None => peer.number(peer.sent).wrapping_add(peer.fin),
        }
    }

    fn path(&self, from: Side, tick: u32) -> Path {
        let Setup { addresses, macs, vlan, .. } = &self.setup;
        Path {
            source_mac: macs[from],
            target_mac: macs[from.peer()],
            vlan: *vlan,
            source: addresses[from],
            target: addresses[from.peer()],
            ip_id: (tick & 0xffff) as u16,
            ttl: match from {
                Side::Client => 64,
                Side::Server => 57,
            },
        }
    }
}

impl End {
    /// The sequence number of a stream offset.
    const fn number(&self, offset: u64) -> u32 {
        self.initial_seq.wrapping_add(1).wrapping_add((offset & 0xffff_ffff) as u32)
    }
}

impl Message {
    /// Appends the bytes of a piece: those of the head, then text that depends on the offset only.
    fn write(&self, piece: Piece, text: &[u8], out: &mut Vec<u8>) {
        let end = out.len() + usize::from(piece.length);
        let into_message = usize::try_from(piece.offset - self.start.min(piece.offset)).ok();
        if let Some(head) = into_message.and_then(|at| self.head.as_bytes().get(at..)) {
            out.extend_from_slice(&head[..head.len().min(usize::from(piece.length))]);
        }
        let period = text.len() as u64;
        let mut offset = piece.offset + u64::from(piece.length) - (end - out.len()) as u64;
        while out.len() < end {
            let at = usize::try_from(offset % period).unwrap_or(0);
            let run = &text[at..text.len().min(at + end - out.len())];
            out.extend_from_slice(run);
            offset += run.len() as u64;
        }
    }
}
