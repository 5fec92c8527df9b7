//! An honest endpoint of TCP, as simple as RFC 9293, 5961 and 7323 allow.
//!
//! Where they leave a choice, or where systems differ from them, its [`Taste`] chooses: nobody can
//! guess what a receiver does with a doubtful segment. It repeats nothing by itself and reads what
//! it is told to read. Numbers are relative to the SYN: the SYN is 0, the first byte of a stream 1.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "streams are short, and sequence numbers wrap"
)]
#![expect(
    clippy::fn_params_excessive_bools,
    clippy::struct_excessive_bools,
    reason = "facts that do not exclude each other"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};

use crate::Side;

/// The flags of the header.
pub(crate) mod flags {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const PSH: u8 = 0x08;
    pub(crate) const ACK: u8 = 0x10;
}
use flags::{ACK, FIN, PSH, RST, SYN};

/// One segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) flags: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) window: u16,
    /// Timestamp, and the echo of one.
    pub(crate) stamp: Option<(u32, u32)>,
    /// Whether it is signed.
    pub(crate) is_signed: bool,
    pub(crate) payload: Vec<u8>,
}

impl Said {
    pub(crate) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn length(&self) -> i64 {
        let counted = i64::from(self.has(SYN)) + i64::from(self.has(FIN));
        counted + self.payload.len() as i64
    }
}

/// What a receiver may do otherwise than the strictest reading of the RFCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Choice {
    /// Takes the payload of segments whose acknowledgement is too old.
    OldAck = 1,
    /// Takes the payload of segments that acknowledge what it has not sent.
    UnsentAck = 1 << 1,
    /// Takes segments with an old timestamp.
    OldStamp = 1 << 2,
    /// Refuses segments without the timestamp that was agreed on.
    NeedsStamp = 1 << 3,
    /// Ignores signatures.
    Signature = 1 << 4,
    /// Takes the whole of a segment that begins within the window.
    BeyondWindow = 1 << 5,
    /// Refuses the whole of a segment that ends beyond the window.
    WithinWindow = 1 << 6,
    /// Believes every reset within the window.
    AnyReset = 1 << 7,
    /// Takes the payload of a SYN.
    SynPayload = 1 << 8,
    /// The later copy of a byte that waits for those before it is taken.
    LaterCopy = 1 << 9,
    /// Bytes that come in order are taken in the place of those that waited.
    InOrderCopy = 1 << 10,
    /// Gives up a handshake when another SYN comes.
    SynGivesUp = 1 << 11,
    /// Answers nothing that it refuses.
    Quiet = 1 << 12,
}

/// A set of choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taste(u16);

impl Taste {
    /// Refuses whatever may be refused.
    pub(crate) const STRICT: Self = Self(Choice::NeedsStamp as u16 | Choice::WithinWindow as u16);
    /// Takes whatever may be taken.
    pub(crate) const LENIENT: Self = Self(
        Choice::OldAck as u16
            | Choice::UnsentAck as u16
            | Choice::OldStamp as u16
            | Choice::Signature as u16
            | Choice::BeyondWindow as u16
            | Choice::SynPayload as u16
            | Choice::InOrderCopy as u16,
    );

    pub(crate) const fn of(bits: u16) -> Self {
        Self(bits)
    }

    const fn has(self, choice: Choice) -> bool {
        self.0 & choice as u16 != 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Open,
}

/// What an endpoint received in one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    /// How many of them it has acknowledged.
    pub(crate) acknowledged: u64,
}

/// An honest endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    side: Side,
    taste: Taste,
    state: State,
    /// What it sends: its SYN, the first number that the peer has not acknowledged, the next one to
    /// send, its FIN, the right edge of the peer's window, and the largest window.
    iss: u32,
    una: i64,
    nxt: i64,
    fin: Option<i64>,
    edge: i64,
    window_max: i64,
    /// What it receives: the peer's SYN, the next number, the right edge of its own window, and how
    /// much it has room for.
    irs: u32,
    rcv_nxt: i64,
    rcv_edge: i64,
    capacity: i64,
    unread: i64,
    /// Bytes, and FINs, that wait for what comes before them.
    waiting: BTreeMap<i64, u8>,
    fins: BTreeSet<i64>,
    is_closed_by_peer: bool,
    is_first_to_close: bool,
    received: Received,
    /// What it received in connections that it gave up.
    former: Vec<Received>,
    wants_stamps: bool,
    has_stamps: bool,
    /// Whether both ends have agreed on signatures, out of band.
    signs: bool,
    /// `TS.Recent` and `Last.ACK.sent` of RFC 7323.
    recent: u32,
    last_ack: i64,
    clock: u32,
    out: Vec<Said>,
}

/// The byte that an honest endpoint sends at an offset: a lower-case letter.
pub(crate) fn honest_byte(side: Side, offset: usize) -> u8 {
    let salt = if side == Side::Client { 0 } else { 13 };
    b'a' + ((offset + offset / 26 + salt) % 26) as u8
}

fn relative(base: u32, seq: u32) -> i64 {
    i64::from(seq.wrapping_sub(base).cast_signed())
}

impl Endpoint {
    pub(crate) fn new(
        side: Side,
        taste: Taste,
        iss: u32,
        capacity: u16,
        wants_stamps: bool,
    ) -> Self {
        Self {
            side,
            taste,
            state: if side == Side::Client { State::Closed } else { State::Listen },
            iss,
            una: 0,
            nxt: 0,
            fin: None,
            edge: 0,
            window_max: 0,
            irs: 0,
            rcv_nxt: 0,
            rcv_edge: 0,
            capacity: capacity.into(),
            unread: 0,
            waiting: BTreeMap::new(),
            fins: BTreeSet::new(),
            is_closed_by_peer: false,
            is_first_to_close: true,
            received: Received::default(),
            former: vec![],
            wants_stamps,
            has_stamps: false,
            signs: false,
            recent: 0,
            last_ack: 0,
            clock: 0,
            out: vec![],
        }
    }

    /// The same with signatures: its peer has them, too.
    pub(crate) fn signing(self, signs: bool) -> Self {
        Self { signs, ..self }
    }

    /// What it has said since the last call.
    pub(crate) fn take_said(&mut self) -> Vec<Said> {
        core::mem::take(&mut self.out)
    }

    /// What it received, one entry for each connection, the last one last.
    pub(crate) fn received(&self) -> impl Iterator<Item = &Received> {
        self.former.iter().chain([&self.received])
    }

    /// The next number to send, the first that is not acknowledged, and its SYN; of its peer, the
    /// next number to receive, and the right edge of the window.
    pub(crate) fn numbers(&self) -> [u32; 5] {
        let sends = |at: i64| self.iss.wrapping_add(at as u32);
        let receives = |at: i64| self.irs.wrapping_add(at as u32);
        [
            sends(self.nxt),
            sends(self.una),
            self.iss,
            receives(self.rcv_nxt),
            receives(self.rcv_edge),
        ]
    }

    /// Its timestamp, and the last one of its peer.
    pub(crate) const fn stamps(&self) -> (u32, u32) {
        (self.clock, self.recent)
    }

    /// Whether it has asked for a connection.
    pub(crate) const fn has_asked(&self) -> bool {
        self.nxt > 0
    }

    /// Whether its connection is open.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// The window that it grants.
    pub(crate) fn window(&self) -> u16 {
        (self.rcv_edge - self.rcv_nxt).clamp(0, u16::MAX.into()) as u16
    }

    /// Whether both sides send timestamps.
    pub(crate) const fn has_stamps(&self) -> bool {
        self.has_stamps
    }

    /// Moves its clock.
    pub(crate) const fn set_clock(&mut self, clock: u32) {
        self.clock = clock;
    }

    /// Asks for a connection.
    pub(crate) fn connect(&mut self) {
        if self.state == State::Closed && self.nxt == 0 {
            (self.state, self.nxt) = (State::SynSent, 1);
            self.say(SYN, 0, 0);
        }
    }

    /// Sends new bytes, as far as the peer has room.
    pub(crate) fn send(&mut self, count: i64) {
        let end = (self.nxt + count).min(self.edge);
        if self.state == State::Open && self.fin.is_none() && end > self.nxt {
            let start = core::mem::replace(&mut self.nxt, end);
            self.say(PSH | ACK, start, end - start);
        }
    }

    /// Sends what was not acknowledged once more, at most so many bytes.
    pub(crate) fn repeat(&mut self, count: i64) {
        match self.state {
            State::SynSent => return self.say(SYN, 0, 0),
            State::SynReceived => return self.say(SYN | ACK, 0, 0),
            State::Open if self.una < self.nxt => {}
            State::Open | State::Closed | State::Listen => return,
        }
        let end = (self.una + count).min(self.nxt);
        match self.fin {
            Some(fin) if fin < end => self.say(FIN | ACK, self.una, fin - self.una),
            _ => self.say(PSH | ACK, self.una, end - self.una),
        }
    }

    /// Ends what it sends.
    pub(crate) fn close(&mut self) {
        if self.state == State::Open && self.fin.is_none() && self.nxt < self.edge {
            self.fin = Some(self.nxt);
            self.nxt += 1;
            self.is_first_to_close = !self.is_closed_by_peer;
            self.say(FIN | ACK, self.nxt - 1, 0);
        }
    }

    /// Acknowledges what it has.
    pub(crate) fn acknowledge(&mut self) {
        if self.state == State::Open {
            self.say(ACK, self.nxt, 0);
        }
    }

    /// Its application reads, which opens the window.
    pub(crate) const fn read(&mut self) {
        self.unread = 0;
    }

    /// Says something: the flags, where it begins, and how many bytes of the stream it holds.
    fn say(&mut self, flags: u8, at: i64, length: i64) {
        let room = self.rcv_nxt + self.capacity - self.unread;
        self.rcv_edge = self.rcv_edge.max(room);
        let offset = |at: i64| usize::try_from(at - 1).unwrap_or_default();
        let bytes = offset(at)..offset(at) + usize::try_from(length).unwrap_or_default();
        let has_stamp = if flags == SYN { self.wants_stamps } else { self.has_stamps };
        if flags & ACK != 0 {
            self.last_ack = self.rcv_nxt;
            let taken = self.rcv_nxt - 1 - i64::from(self.is_closed_by_peer);
            self.received.acknowledged = taken.max(0).cast_unsigned();
        }
        self.out.push(Said {
            flags,
            seq: self.iss.wrapping_add(at as u32),
            ack: if flags & ACK == 0 { 0 } else { self.irs.wrapping_add(self.rcv_nxt as u32) },
            window: self.window(),
            stamp: has_stamp.then_some((self.clock, self.recent)),
            is_signed: self.signs,
            payload: bytes.map(|offset| honest_byte(self.side, offset)).collect(),
        });
    }

    /// Refuses a segment of no connection: RFC 9293 section 3.10.7.1.
    fn refuse(&mut self, said: &Said) {
        if said.has(RST) {
            return;
        }
        let (flags, seq, ack) = if said.has(ACK) {
            (RST, said.ack, 0)
        } else {
            (RST | ACK, 0, said.seq.wrapping_add(said.length() as u32))
        };
        self.out.push(Said { flags, seq, ack, ..Said::default() });
    }

    /// Answers a segment that is not acceptable.
    fn challenge(&mut self) {
        if !self.taste.has(Choice::Quiet) {
            self.say(ACK, self.nxt, 0);
        }
    }

    /// Receives a segment. What it answers comes out of [`Self::take_said`].
    pub(crate) fn receive(&mut self, said: &Said) {
        if said.is_signed != self.signs && !self.taste.has(Choice::Signature) {
            return;
        }
        match self.state {
            State::Closed => self.refuse(said),
            State::Listen => self.receive_in_listen(said),
            State::SynSent => self.receive_in_syn_sent(said),
            State::SynReceived | State::Open => self.receive_synchronized(said),
        }
    }

    fn receive_in_listen(&mut self, said: &Said) {
        if said.has(ACK) {
            self.refuse(said);
        } else if said.has(SYN) && !said.has(RST) {
            self.state = State::SynReceived;
            self.nxt = 1;
            self.begin(said);
            self.say(SYN | ACK, 0, 0);
        }
    }

    /// RFC 9293 section 3.10.7.3.
    fn receive_in_syn_sent(&mut self, said: &Said) {
        let ack = relative(self.iss, said.ack);
        if said.has(ACK) && !(1..=self.nxt).contains(&ack) {
            return self.refuse(said);
        }
        if said.has(RST) {
            if said.has(ACK) {
                self.state = State::Closed;
            }
        } else if said.has(SYN) {
            self.begin(said);
            if said.has(ACK) {
                self.una = ack;
                self.state = State::Open;
                self.say(ACK, self.nxt, 0);
            } else {
                self.state = State::SynReceived;
                self.say(SYN | ACK, 0, 0);
            }
        }
    }

    /// Takes the peer's SYN.
    fn begin(&mut self, said: &Said) {
        (self.irs, self.rcv_nxt, self.rcv_edge) = (said.seq, 1, 1 + self.capacity);
        self.grant(self.una.max(1) + i64::from(said.window), said.window);
        self.has_stamps = self.wants_stamps && said.stamp.is_some();
        self.recent = said.stamp.map_or(0, |(value, _)| value);
        if self.taste.has(Choice::SynPayload) {
            self.place(1, &said.payload, false);
        }
    }

    fn grant(&mut self, edge: i64, window: u16) {
        self.edge = self.edge.max(edge);
        self.window_max = self.window_max.max(window.into());
    }

    /// RFC 9293 section 3.10.7.4.
    fn receive_synchronized(&mut self, said: &Said) {
        let start = relative(self.irs, said.seq);
        if self.is_outdated(said) {
            return;
        }
        if !self.is_acceptable(start, start + said.length()) {
            if self.state == State::SynReceived && said.flags == SYN && start == 0 {
                self.say(SYN | ACK, 0, 0);
            } else if !said.has(RST) {
                self.challenge();
            }
            return;
        }
        if said.has(RST) {
            return self.receive_reset(start);
        }
        if said.has(SYN) {
            let is_given_up =
                self.state == State::SynReceived && self.taste.has(Choice::SynGivesUp);
            return if is_given_up { self.give_up() } else { self.challenge() };
        }
        if said.has(ACK) && self.takes_acknowledgement(said) {
            if let Some((value, _)) = said.stamp.filter(|_| start <= self.last_ack) {
                self.recent = value;
            }
            if said.length() > 0 {
                self.place(start, &said.payload, said.has(FIN));
                self.say(ACK, self.nxt, 0);
            }
            if self.is_closed_by_peer && !self.is_first_to_close && self.una == self.nxt {
                // LAST-ACK ends with that; TIME-WAIT lasts.
                self.state = State::Closed;
            }
        }
    }

    /// RFC 7323 section 5.3. Answers what it refuses.
    fn is_outdated(&mut self, said: &Said) -> bool {
        if !self.has_stamps || said.has(RST) {
            return false;
        }
        match said.stamp {
            None => self.taste.has(Choice::NeedsStamp),
            Some((value, _)) => {
                let is_old = value.wrapping_sub(self.recent).cast_signed() < 0;
                let is_refused = is_old && !self.taste.has(Choice::OldStamp);
                if is_refused {
                    self.challenge();
                }
                is_refused
            }
        }
    }

    /// Whether a segment lies in the window: RFC 9293 section 3.10.7.4, first check.
    fn is_acceptable(&self, start: i64, end: i64) -> bool {
        let window = self.rcv_nxt..self.rcv_edge;
        if self.taste.has(Choice::BeyondWindow) {
            return end >= window.start && start <= window.end;
        }
        if window.is_empty() || end == start {
            return end == start && (start == window.start || window.contains(&start));
        }
        let is_within = end <= window.end || !self.taste.has(Choice::WithinWindow);
        is_within && (window.contains(&start) || window.contains(&(end - 1)))
    }

    /// RFC 5961 section 3.2.
    fn receive_reset(&mut self, start: i64) {
        if start != self.rcv_nxt && !self.taste.has(Choice::AnyReset) {
            self.challenge();
        } else if self.state == State::SynReceived && self.side == Side::Server {
            self.give_up();
        } else {
            self.state = State::Closed;
        }
    }

    /// Waits for another SYN.
    fn give_up(&mut self) {
        self.former.push(core::mem::take(&mut self.received));
        let Self { side, taste, iss, capacity, wants_stamps, .. } = *self;
        let capacity = capacity as u16;
        let fresh = Self::new(side, taste, iss.wrapping_add(100_000), capacity, wants_stamps);
        let old = core::mem::replace(self, fresh);
        (self.former, self.clock, self.out) = (old.former, old.clock, old.out);
        if side == Side::Client {
            self.state = State::Closed;
        }
    }

    /// RFC 9293 section 3.10.7.4, fifth check; RFC 5961 section 5.2. `false`: it is dropped.
    fn takes_acknowledgement(&mut self, said: &Said) -> bool {
        let ack = relative(self.iss, said.ack);
        if self.state == State::SynReceived {
            if !(self.una + 1..=self.nxt).contains(&ack) {
                self.refuse(said);
                return false;
            }
            self.state = State::Open;
        }
        if ack > self.nxt {
            self.challenge();
            return self.taste.has(Choice::UnsentAck);
        }
        if ack < self.una - self.window_max {
            self.challenge();
            return self.taste.has(Choice::OldAck);
        }
        if ack >= self.una {
            self.una = ack;
            self.grant(ack + i64::from(said.window), said.window);
        }
        true
    }

    /// Takes payload and FIN as far as they come next, and lets the rest wait.
    fn place(&mut self, start: i64, payload: &[u8], is_fin: bool) {
        if self.is_closed_by_peer {
            return;
        }
        let end = start + payload.len() as i64;
        let edge = if self.taste.has(Choice::BeyondWindow) { end } else { self.rcv_edge };
        let is_next = start <= self.rcv_nxt;
        let replaces =
            self.taste.has(Choice::LaterCopy) || is_next && self.taste.has(Choice::InOrderCopy);
        for (at, byte) in (start..edge).zip(payload).filter(|(at, _)| *at >= self.rcv_nxt) {
            let held = self.waiting.entry(at).or_insert(*byte);
            if replaces {
                *held = *byte;
            }
        }
        if is_fin && end <= edge && end >= self.rcv_nxt {
            self.fins.insert(end);
        }
        // What comes in order is taken at once, FINs in between or not.
        while is_next && self.rcv_nxt < end.min(edge) {
            self.take_next();
        }
        while !self.fins.contains(&self.rcv_nxt) && self.take_next() {}
        if self.fins.contains(&self.rcv_nxt) {
            self.is_closed_by_peer = true;
            self.rcv_nxt += 1;
        }
    }

    fn take_next(&mut self) -> bool {
        let Some(byte) = self.waiting.remove(&self.rcv_nxt) else { return false };
        self.received.bytes.push(byte);
        self.rcv_nxt += 1;
        self.unread += 1;
        true
    }
}
