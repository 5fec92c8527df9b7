//! Two honest endpoints that exchange a stream each over a path that loses, repeats and reorders.
//!
//! The monitor sees what is sent, lost segments included. Endpoints repeat what was not
//! acknowledged, so every conversation ends with both streams delivered.

#![expect(clippy::cast_possible_truncation, reason = "patterns and random numbers are cut to size")]

use std::{net::SocketAddr, vec, vec::Vec};

use super::FrameBuilder;
use crate::{Side, Sides};

/// What the path does, in 256ths of the segments.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Lost on the way, after the monitor has seen them.
    pub(crate) loss: u8,
    /// Seen twice.
    pub(crate) repeat: u8,
    /// Overtaken by the next segment of the same round.
    pub(crate) reorder: u8,
}

/// One segment, by its stream offsets, so that it can be told with any addresses and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spoken {
    pub(crate) by: Side,
    pub(crate) flags: &'static str,
    /// Sequence number relative to the sender's ISN.
    pub(crate) seq: u32,
    /// Acknowledgement relative to the receiver's ISN.
    pub(crate) ack: u32,
    pub(crate) payload: Vec<u8>,
}

/// A whole conversation as the monitor sees it.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) spoken: Vec<Spoken>,
    /// What each side has sent.
    pub(crate) streams: Sides<Vec<u8>>,
    pub(crate) isn: Sides<u32>,
}

/// Segments of one handshake.
pub(crate) const HANDSHAKE_LENGTH: usize = 3;

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "two facts that do not exclude each other")]
struct Endpoint {
    /// Bytes that it has to send.
    length: usize,
    /// Acknowledged by the peer, without the FIN.
    acknowledged: usize,
    is_fin_acknowledged: bool,
    /// Which of the peer's bytes have come.
    has: Vec<bool>,
    has_fin: bool,
}

/// Random numbers by `SplitMix64`: the conversations of a seed never change.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end as u64).expect("below end")
    }

    fn happens(&mut self, of_256: u8) -> bool {
        self.below(256) < usize::from(of_256)
    }
}

impl Endpoint {
    /// First byte of the peer's that is missing.
    fn next(&self) -> usize {
        self.has.iter().position(|has| !has).unwrap_or(self.has.len())
    }

    /// What it acknowledges, relative to the peer's ISN.
    fn ack(&self) -> u32 {
        let fin = self.has_fin && self.next() == self.has.len();
        u32::try_from(1 + self.next() + usize::from(fin)).expect("short")
    }

    fn receive(&mut self, segment: &Spoken) {
        let start = segment.seq as usize - 1;
        if let Some(new) = self.has.get_mut(start..start + segment.payload.len()) {
            new.fill(true);
        }
        self.has_fin |= segment.flags.contains('F');
        let acknowledged = segment.ack as usize - 1;
        self.acknowledged = self.acknowledged.max(acknowledged.min(self.length));
        self.is_fin_acknowledged |= acknowledged > self.length;
    }
}

impl Conversation {
    /// The conversation of a seed; each side sends at most `length_max` bytes.
    pub(crate) fn new(seed: u64, faults: Faults, length_max: usize) -> Self {
        let mut dice = Dice(seed);
        let mut stream = |salt: u8| -> Vec<u8> {
            let length = dice.below(length_max + 1);
            (0..length).map(|at| (at % 251) as u8 ^ salt).collect()
        };
        let streams = Sides { client: stream(0), server: stream(0x80) };
        let isn = Sides { client: dice.roll() as u32, server: dice.roll() as u32 };
        let mut ends = Sides::<Endpoint>::default();
        for side in Side::BOTH {
            ends[side].length = streams[side].len();
            ends[side].has = vec![false; streams[side.peer()].len()];
        }
        let mut this = Self { spoken: handshake(), streams, isn };
        while Side::BOTH.into_iter().any(|side| !ends[side].is_fin_acknowledged) {
            for side in Side::BOTH {
                let round = this.round(side, &ends, &mut dice);
                this.deliver(round, &mut ends, faults, &mut dice);
            }
        }
        this
    }

    /// What a side sends next: some of what is not acknowledged, or a bare acknowledgement.
    fn round(&self, by: Side, ends: &Sides<Endpoint>, dice: &mut Dice) -> Vec<Spoken> {
        let (stream, end) = (&self.streams[by], &ends[by]);
        let mut at = end.acknowledged;
        let mut round = vec![];
        for _ in 0..=dice.below(4) {
            let length = (1 + dice.below(1460)).min(stream.len() - at);
            let is_last = at + length == stream.len() && !end.is_fin_acknowledged;
            let flags = match (length, is_last) {
                (_, true) => "F.",
                (0, false) => ".",
                (_, false) => "P.",
            };
            let seq = u32::try_from(1 + at).expect("short") + u32::from(end.is_fin_acknowledged);
            let payload = stream[at..at + length].to_vec();
            round.push(Spoken { by, flags, seq, ack: end.ack(), payload });
            at += length;
            if at == stream.len() {
                break;
            }
        }
        round
    }

    /// The monitor sees a round, and the peer gets what is not lost of it.
    fn deliver(
        &mut self,
        mut round: Vec<Spoken>,
        ends: &mut Sides<Endpoint>,
        faults: Faults,
        dice: &mut Dice,
    ) {
        for at in 1..round.len() {
            if dice.happens(faults.reorder) {
                round.swap(at - 1, at);
            }
        }
        for segment in round {
            for _ in 0..=u8::from(dice.happens(faults.repeat)) {
                self.spoken.push(segment.clone());
            }
            if !dice.happens(faults.loss) {
                ends[segment.by.peer()].receive(&segment);
            }
        }
    }

    /// The frames in order; `client` and `server` are the addresses of the sides.
    pub(crate) fn frames(&self, client: SocketAddr, server: SocketAddr) -> Vec<Vec<u8>> {
        let address = Sides { client, server };
        let build = |spoken: &Spoken| {
            let (by, peer) = (spoken.by, spoken.by.peer());
            let seq = self.isn[by].wrapping_add(spoken.seq);
            let has_ack = spoken.flags.contains('.');
            let ack = if has_ack { self.isn[peer].wrapping_add(spoken.ack) } else { 0 };
            FrameBuilder::between(address[by], address[peer])
                .flags(spoken.flags)
                .seq(seq, ack)
                .payload(&spoken.payload)
                .build()
        };
        self.spoken.iter().map(build).collect()
    }

    /// The same, but after the handshake each side says what the other one did.
    pub(crate) fn with_roles_exchanged(&self) -> Self {
        let mut other = self.clone();
        for spoken in &mut other.spoken[HANDSHAKE_LENGTH..] {
            spoken.by = spoken.by.peer();
        }
        core::mem::swap(&mut other.streams.client, &mut other.streams.server);
        other
    }
}

fn handshake() -> Vec<Spoken> {
    let say = |by, flags, seq, ack| Spoken { by, flags, seq, ack, payload: vec![] };
    vec![say(Side::Client, "S", 0, 0), say(Side::Server, "S.", 0, 1), say(Side::Client, ".", 1, 1)]
}
