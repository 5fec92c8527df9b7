//! Strange packets: a type of segment with changes that no honest peer makes, as data.

pub mod change;
pub mod extension;
pub mod fragments;

use crate::ends::peer::Peer;
use crate::strange::change::Change;
use crate::wire::packet::{Packet, flags};

/// The payload of a strange packet, in bytes.
pub const PAYLOAD: u16 = 24;

/// The type of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Data.
    Data,
    /// One byte.
    Byte,
    /// No payload.
    Ack,
    /// FIN.
    Fin,
    /// FIN with data.
    FinData,
    /// RST without ACK.
    Rst,
    /// RST with ACK.
    RstAck,
    /// RST with data.
    RstData,
    /// SYN.
    Syn,
    /// SYN with data.
    SynData,
    /// SYN with ACK.
    SynAck,
    /// SYN with ACK and data.
    SynAckData,
    /// SYN with FIN.
    SynFin,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Data,
        Self::Byte,
        Self::Ack,
        Self::Fin,
        Self::FinData,
        Self::Rst,
        Self::RstAck,
        Self::RstData,
        Self::Syn,
        Self::SynData,
        Self::SynAck,
        Self::SynAckData,
        Self::SynFin,
    ];

    fn flags(self) -> u16 {
        match self {
            Self::Data | Self::Byte => flags::ACK | flags::PSH,
            Self::Ack => flags::ACK,
            Self::Fin | Self::FinData => flags::FIN | flags::ACK,
            Self::Rst => flags::RST,
            Self::RstAck | Self::RstData => flags::RST | flags::ACK,
            Self::Syn | Self::SynData => flags::SYN,
            Self::SynAck | Self::SynAckData => flags::SYN | flags::ACK,
            Self::SynFin => flags::SYN | flags::FIN,
        }
    }

    fn payload(self) -> u16 {
        match self {
            Self::Data | Self::FinData | Self::RstData | Self::SynData | Self::SynAckData => {
                PAYLOAD
            }
            Self::Byte => 1,
            Self::Ack
            | Self::Fin
            | Self::Rst
            | Self::RstAck
            | Self::Syn
            | Self::SynAck
            | Self::SynFin => 0,
        }
    }

    /// Whether it carries the SYN flag.
    #[must_use]
    pub fn is_syn(self) -> bool {
        self.flags() & flags::SYN != 0
    }
}

/// A strange packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strange {
    /// The type of segment.
    pub kind: Kind,
    /// Distance of its number from the raw peer's next one.
    pub at: i32,
    /// Length of its payload in place of that of its kind.
    pub length: Option<u16>,
    /// The first of its letters, which tells copies apart.
    pub letter: u8,
    /// Its payload is what the honest peer sends at this place.
    pub honest: bool,
    /// Changes, in this order.
    pub changes: [Option<Change>; 2],
}

impl Strange {
    /// A segment of a kind without a change.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, at: 0, length: None, letter: 0, honest: false, changes: [None; 2] }
    }

    /// The same with one more change.
    #[must_use]
    pub fn with(mut self, change: Change) -> Self {
        if let Some(free) = self.changes.iter_mut().find(|change| change.is_none()) {
            *free = Some(change);
        }
        self
    }

    /// The same at another place.
    #[must_use]
    pub fn at(mut self, at: i32) -> Self {
        self.at = at;
        self
    }

    /// The same with another length.
    #[must_use]
    pub fn long(mut self, length: u16) -> Self {
        self.length = Some(length);
        self
    }

    /// The same with other letters.
    #[must_use]
    pub fn spelt(mut self, letter: u8) -> Self {
        self.letter = letter;
        self
    }

    /// The packet, where the raw peer stands now.
    #[must_use]
    pub fn packet(&self, peer: &Peer) -> Packet {
        let letter = |at: u16| b'A' + u8::try_from((u16::from(self.letter) + at) % 26).unwrap_or(0);
        let length = self.length.unwrap_or_else(|| self.kind.payload());
        let mut packet = if self.kind.is_syn() {
            let mut syn = peer.syn(self.kind.flags());
            syn.seq = if peer.sent == 0 { peer.iss } else { peer.next };
            syn
        } else {
            peer.segment(peer.next, self.kind.flags(), Vec::new())
        };
        packet.seq = packet.seq.wrapping_add_signed(self.at);
        packet.payload = if self.honest {
            let offset = peer.sent.saturating_add_signed(self.at as isize);
            crate::ends::peer::words(offset, length)
        } else {
            (0..length).map(letter).collect()
        };
        for change in self.changes.iter().flatten() {
            change.apply(&mut packet, peer);
        }
        packet
    }

    /// What it is, for a label.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = format!("{:?}", self.kind);
        if self.at != 0 {
            name.push_str(&format!("{:+}", self.at));
        }
        for change in self.changes.iter().flatten() {
            name.push_str(&format!(" {change:?}"));
        }
        name
    }
}
