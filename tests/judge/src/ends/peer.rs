//! The raw peer: an honest end of a connection that never hears of the strange packets.

use std::net::SocketAddr;

use crate::ends::setup::{Offer, Setup};
use crate::wire::packet::{Heard, Ip, Packet, flags};

/// The shift count of its window scale option.
const SCALE: u8 = 7;

const MSS: [u8; 4] = [2, 4, 5, 0x78];

/// What the raw peer knows of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    setup: Setup,
    raw: SocketAddr,
    kernel: SocketAddr,
    /// Its initial sequence number.
    pub iss: u32,
    /// The number of its next byte.
    pub next: u32,
    /// Bytes of its stream sent.
    pub sent: usize,
    /// The kernel's initial sequence number.
    pub kernel_iss: u32,
    /// The number of the kernel's next byte.
    pub kernel_next: u32,
    /// What it has acknowledged of that.
    pub acked: u32,
    /// The right edge of the window that the kernel grants.
    pub edge: u32,
    /// Its next `TSval`.
    pub clock: u32,
    /// The kernel's latest `TSval`.
    pub kernel_clock: u32,
    /// The kernel's latest acknowledgement.
    pub heard_ack: u32,
    /// A SYN of the kernel was received.
    pub is_answered: bool,
    /// Both ends agreed on window scaling.
    scale: Option<u8>,
    /// The number of its FIN.
    fin: Option<u32>,
}

impl Peer {
    /// A peer that has sent nothing.
    #[must_use]
    pub fn new(setup: Setup, raw: SocketAddr, kernel: SocketAddr) -> Self {
        Self {
            setup,
            raw,
            kernel,
            iss: setup.iss,
            next: setup.iss.wrapping_add(1),
            sent: 0,
            kernel_iss: 0,
            kernel_next: 0,
            acked: 0,
            edge: 0,
            clock: setup.iss.rotate_left(7) | 0x10_0000,
            kernel_clock: 0,
            heard_ack: 0,
            is_answered: false,
            scale: None,
            fin: None,
        }
    }

    /// How the connection is set up.
    #[must_use]
    pub fn setup(&self) -> Setup {
        self.setup
    }

    /// Hears a segment of the kernel.
    pub fn hear(&mut self, heard: &Heard) {
        if heard.flags & flags::RST != 0 {
            return;
        }
        self.heard_ack = heard.ack;
        if heard.flags & flags::SYN != 0 {
            let answers = heard.flags & flags::ACK == 0 || heard.ack == self.iss.wrapping_add(1);
            if !self.is_answered && (answers || self.kernel_iss == 0) {
                self.is_answered = answers;
                self.kernel_iss = heard.seq;
                self.kernel_next = heard.seq.wrapping_add(1);
                self.scale = heard.scale.filter(|_| self.setup.offer == Offer::All);
                self.edge = heard.ack.wrapping_add(u32::from(heard.window));
            }
        } else if heard.seq == self.kernel_next {
            let fin = u32::from(heard.flags & flags::FIN != 0);
            let length = u32::try_from(heard.payload).unwrap_or(0) + fin;
            self.kernel_next = self.kernel_next.wrapping_add(length);
        }
        if heard.flags & (flags::ACK | flags::SYN) == flags::ACK {
            let window = u32::from(heard.window) << self.scale.unwrap_or(0);
            self.edge = heard.ack.wrapping_add(window);
        }
        if let Some(clock) = heard.timestamp {
            self.kernel_clock = clock;
        }
    }

    /// Its SYN, or with ACK its SYN/ACK.
    pub fn begin(&mut self, flags: u16) -> Packet {
        self.tick();
        if flags & flags::ACK != 0 {
            self.acked = self.kernel_next;
        }
        self.syn(flags)
    }

    /// Acknowledges all that it has received.
    pub fn acknowledge(&mut self) -> Packet {
        self.tick();
        self.acked = self.kernel_next;
        self.segment(self.next, flags::ACK, Vec::new())
    }

    /// The next bytes of its stream.
    pub fn data(&mut self, length: u16) -> Packet {
        self.acknowledge_syn();
        let packet = self.data_at(0, length);
        self.next = self.next.wrapping_add(length.into());
        self.sent += usize::from(length);
        packet
    }

    /// Bytes of its stream at a distance from the next one; they do not count as sent.
    pub fn data_at(&mut self, distance: i32, length: u16) -> Packet {
        self.tick();
        let payload = words(self.sent.saturating_add_signed(distance as isize), length);
        self.segment(self.next.wrapping_add_signed(distance), flags::ACK | flags::PSH, payload)
    }

    /// Its FIN.
    pub fn fin(&mut self) -> Packet {
        self.tick();
        self.acknowledge_syn();
        let fin = *self.fin.get_or_insert(self.next);
        self.next = fin.wrapping_add(1);
        self.segment(fin, flags::FIN | flags::ACK, Vec::new())
    }

    /// Refuses the kernel's latest segment.
    pub fn refuse(&mut self) -> Packet {
        self.tick();
        self.segment(self.heard_ack, flags::RST, Vec::new())
    }

    /// Forgets the connection, as after a reboot: it has another number next time.
    pub fn forget(&mut self) {
        let setup = Setup { iss: self.iss.wrapping_add(500_000), ..self.setup };
        let clock = self.clock.wrapping_add(1000);
        *self = Self { clock, ..Self::new(setup, self.raw, self.kernel) };
    }

    fn tick(&mut self) {
        self.clock = self.clock.wrapping_add(1);
    }

    /// A segment as this peer would send it now.
    #[must_use]
    pub fn segment(&self, seq: u32, flags: u16, payload: Vec<u8>) -> Packet {
        let window = self.setup.grants >> self.scale.map_or(0, |_| SCALE);
        let echo = if flags & flags::ACK == 0 { 0 } else { self.kernel_clock };
        Packet {
            source: self.raw,
            target: self.kernel,
            seq,
            ack: if flags & flags::ACK == 0 { 0 } else { self.acked },
            flags,
            window,
            urgent: 0,
            before: Vec::new(),
            timestamps: (self.setup.offer == Offer::All).then_some((self.clock, echo)),
            behind: Vec::new(),
            payload,
            words: None,
            checksum: crate::wire::packet::Checksum::Right,
            ip: Ip::default(),
        }
    }

    /// A SYN or a SYN/ACK as this peer would send it.
    #[must_use]
    pub fn syn(&self, flags: u16) -> Packet {
        let mut packet = self.segment(self.iss, flags, Vec::new());
        packet.window = self.setup.grants;
        packet.before = MSS.to_vec();
        if self.setup.offer == Offer::All {
            packet.behind = vec![4, 2, 3, 3, SCALE, 0];
        }
        packet
    }

    /// An end that sends data has received the SYN.
    fn acknowledge_syn(&mut self) {
        if self.acked == 0 {
            self.acked = self.kernel_next;
        }
    }
}

/// Bytes of the honest stream from an offset on.
#[must_use]
pub fn words(offset: usize, length: u16) -> Vec<u8> {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (offset..offset + usize::from(length)).map(|at| ALPHABET[at % 36]).collect()
}
