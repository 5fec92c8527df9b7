//! The embedded demo traffic: believable TCP conversations, made from a seed.
//!
//! ```text
//! waiting (FIFO of slots) ──▶ talking (a few) ──┐ one of them, at random, sends a frame
//!          ▲                                    │
//!          └──── an exchange is complete ◀──────┘   (over: the slot begins a new conversation)
//! ```
//!
//! Only a few conversations talk at a time, so that their frames interleave and yet a handshake
//! does not take minutes with many of them. Nothing here knows the time: the injector paces the
//! frames. All addresses are private or for documentation.

mod conversation;
mod frame;
mod random;

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use mos_stack::Sides;

use self::{
    conversation::{Conversation, Kind, Setup, Turn},
    random::Random,
};

/// Conversations that talk at the same time.
const TALKING: u32 = 24;
/// Conversations at once, at most: each has a client address of its own in 10.0.0.0/8.
const FLOWS_MAX: u32 = 1 << 22;
/// One slot in this many holds long conversations, one after another.
const LONG_ONE_IN: u32 = 4;
/// One conversation in this many runs over IPv6; one in this many is tagged with a VLAN.
const IPV6_ONE_IN: u32 = 4;
const VLAN_ONE_IN: u32 = 10;
/// Client ports go through this range before one is used again, as those of Linux.
const PORT_FIRST: u16 = 32_768;
const PORTS: u32 = 28_232;
/// Bytes of the text that payloads are made of.
const TEXT_BYTES: usize = 64 * 1024;

/// An endless stream of frames of many interleaved TCP conversations.
///
/// The same number of flows and the same seed make the same frames.
#[derive(Debug)]
pub struct Conversations {
    slots: Vec<Slot>,
    talking: Vec<u32>,
    waiting: VecDeque<u32>,
    random: Random,
    text: Box<[u8]>,
    tick: u32,
}

/// Runs one conversation after another.
#[derive(Debug)]
struct Slot {
    conversation: Conversation,
    /// Conversations before this one: a tuple is reused only after all ports were.
    turn: u32,
}

impl Conversations {
    /// Makes `flows` conversations that have not begun (1 to 4,194,304; other numbers are clamped).
    #[must_use]
    pub fn new(flows: u32, seed: u64) -> Self {
        let flows = flows.clamp(1, FLOWS_MAX);
        let mut random = Random::new(seed);
        let text = make_text(&mut random);
        let slots = (0..flows)
            .map(|slot| Slot { conversation: begin(slot, 0, &mut random), turn: 0 })
            .collect();
        let talking = flows.min(TALKING);
        Self {
            slots,
            talking: (0..talking).collect(),
            waiting: (talking..flows).collect(),
            random,
            text,
            tick: 1,
        }
    }

    /// Writes the next frame into `frame`, which is emptied first. At most 1518 bytes.
    pub fn next_frame(&mut self, frame: &mut Vec<u8>) {
        let speaker = self.random.below(u32::try_from(self.talking.len()).unwrap_or(1)) as usize;
        let index = self.talking[speaker];
        let slot = &mut self.slots[index as usize];
        self.tick = self.tick.wrapping_add(1);
        let turn = slot.conversation.next_frame(&self.text, self.tick, &mut self.random, frame);
        match turn {
            Turn::Continues => return,
            Turn::Pauses => {}
            Turn::Over => {
                slot.turn = slot.turn.wrapping_add(1);
                slot.conversation = begin(index, slot.turn, &mut self.random);
            }
        }
        self.waiting.push_back(index);
        if let Some(next) = self.waiting.pop_front() {
            self.talking[speaker] = next;
        }
    }
}

/// A new conversation for a slot that had `turn` conversations before.
fn begin(slot: u32, turn: u32, random: &mut Random) -> Conversation {
    let kind = if slot.is_multiple_of(LONG_ONE_IN) { Kind::Long } else { Kind::Short };
    let server_port = match kind {
        Kind::Short if random.chance(1, 3) => 8080,
        Kind::Short => 80,
        Kind::Long if random.chance(1, 2) => 22,
        Kind::Long => 443,
    };
    let client_port = PORT_FIRST + (turn % PORTS) as u16;
    let host = slot + 1;
    let [_, a, b, c] = host.to_be_bytes();
    let server = 10 + (random.below(16) & 0xff) as u8;
    let addresses = if random.chance(1, IPV6_ONE_IN) {
        let [high, low] = [(host >> 16) as u16, (host & 0xffff) as u16];
        Sides {
            client: (Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, high, low), client_port).into(),
            server: (Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, server.into()), server_port)
                .into(),
        }
    } else {
        Sides::<SocketAddr> {
            client: (Ipv4Addr::new(10, a, b, c), client_port).into(),
            server: (Ipv4Addr::new(192, 0, 2, server), server_port).into(),
        }
    };
    let vlan = random.chance(1, VLAN_ONE_IN).then_some(if kind == Kind::Long { 20 } else { 10 });
    let setup = Setup {
        kind,
        addresses,
        // Locally administered.
        macs: Sides { client: [2, 0, 0, a, b, c], server: [2, 0, 1, 0, 0, server] },
        vlan,
        timestamps: random.chance(1, 2),
    };
    Conversation::new(setup, random)
}

/// Lower-case words in lines: payloads that a person recognises.
fn make_text(random: &mut Random) -> Box<[u8]> {
    const LETTERS: &[u8; 26] = b"etaoinshrdlcumwfgypbvkjxqz";
    let mut text = Vec::with_capacity(TEXT_BYTES);
    let mut word_left = 0;
    while text.len() < TEXT_BYTES {
        if word_left == 0 {
            word_left = random.between(2, 9);
            text.push(if text.len() % 64 > 54 { b'\n' } else { b' ' });
        } else {
            // The lesser of two draws prefers the commoner letters at the front.
            let letter = random.below(26).min(random.below(26));
            text.push(LETTERS[letter as usize]);
            word_left -= 1;
        }
    }
    text.into_boxed_slice()
}

#[cfg(test)]
mod tests;
