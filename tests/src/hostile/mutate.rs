//! Adversarial frames: believable traffic, and captures if there are any, with one to three faults
//! in each frame.

use std::path::Path;

use mos_dataplane::{
    source::{
        PacketSource, Received,
        capture::{CaptureSource, Share},
    },
    traffic::Conversations,
};
use mos_stack::{Instant, Link};

use super::{
    frame::{ip_header, repair},
    random::Random,
};

/// Frames of captures that are used as material, at most.
const MATERIAL_MAX: usize = 50_000;
const FRAME_MAX: usize = 1600;
/// Recent frames that may be repeated.
const RECENT: usize = 64;

/// An endless source of adversarial frames. The same seed and material make the same frames.
#[derive(Debug)]
pub struct Mutator {
    traffic: Conversations,
    material: Vec<Vec<u8>>,
    recent: Vec<Vec<u8>>,
    random: Random,
}

impl Mutator {
    /// Uses `material` in addition to the generated traffic.
    #[must_use]
    pub fn new(material: Vec<Vec<u8>>, seed: u64) -> Self {
        let traffic = Conversations::new(500, seed);
        Self { traffic, material, recent: vec![Vec::new(); RECENT], random: Random::new(seed) }
    }

    /// Writes the next frame into `frame`.
    pub fn next(&mut self, frame: &mut Vec<u8>) {
        let place = self.random.below(RECENT);
        match self.random.below(8) {
            0 | 1 if !self.material.is_empty() => {
                let at = self.random.below(self.material.len());
                frame.clone_from(&self.material[at]);
            }
            2 if !self.recent[place].is_empty() => frame.clone_from(&self.recent[place]),
            _ => self.traffic.next_frame(frame),
        }
        for _ in 0..self.random.below(4) {
            self.mutate(frame);
        }
        // With wrong checksums, most frames would be dropped before anything else is parsed.
        if !self.random.one_in(4) {
            repair(frame);
        }
        frame.truncate(FRAME_MAX);
        self.recent[place].clone_from(frame);
    }

    fn mutate(&mut self, frame: &mut Vec<u8>) {
        match self.random.below(8) {
            0 => self.flip(frame),
            1 => self.cut(frame),
            2 => self.lie_about_lengths(frame).unwrap_or_default(),
            3 => self.bomb_options(frame).unwrap_or_default(),
            4 => self.fragment(frame).unwrap_or_default(),
            5 => self.renumber(frame).unwrap_or_default(),
            6 => self.flag(frame).unwrap_or_default(),
            _ => self.chain_headers(frame).unwrap_or_default(),
        }
    }

    /// Flips one to eight bits.
    fn flip(&mut self, frame: &mut [u8]) {
        for _ in 0..=self.random.below(8) {
            let at = self.random.below(frame.len());
            if let Some(byte) = frame.get_mut(at) {
                *byte ^= 1 << self.random.below(8);
            }
        }
    }

    /// Truncates the frame anywhere, in half of the cases within its first 80 bytes.
    fn cut(&mut self, frame: &mut Vec<u8>) {
        let most = if self.random.one_in(2) { frame.len() } else { frame.len().min(80) };
        frame.truncate(self.random.below(most));
    }

    /// Writes a wrong length of the packet or of a header.
    fn lie_about_lengths(&mut self, frame: &mut [u8]) -> Option<()> {
        let (ip, is_ipv6) = ip_header(frame)?;
        let (length, tcp) = if is_ipv6 { (ip + 4, ip + 40) } else { (ip + 2, ip + 20) };
        match self.random.below(3) {
            0 => {
                let lie = self.random.half().to_be_bytes();
                frame.get_mut(length..length + 2)?.copy_from_slice(&lie);
            }
            1 => *frame.get_mut(ip)? = self.random.byte() & 0xf | if is_ipv6 { 0x60 } else { 0x40 },
            _ => *frame.get_mut(tcp + 12)? = self.random.byte(),
        }
        Some(())
    }

    /// Overwrites the TCP header with random options of the maximum length.
    fn bomb_options(&mut self, frame: &mut [u8]) -> Option<()> {
        let tcp = tcp_header(frame)?;
        *frame.get_mut(tcp + 12)? |= 0xf0;
        for option in frame.get_mut(tcp + 20..tcp + 60)?.chunks_exact_mut(4) {
            // Known kinds, and lengths around the right ones.
            option[0] = self.random.byte() % 9;
            option[1] = self.random.byte() % 12;
            option[2] = self.random.byte();
        }
        Some(())
    }

    /// Makes a fragment of an IPv4 packet. There are few ids and offsets, so that fragments
    /// overlap.
    fn fragment(&mut self, frame: &mut [u8]) -> Option<()> {
        let (ip, is_ipv6) = ip_header(frame)?;
        if is_ipv6 {
            return None;
        }
        let more = if self.random.one_in(3) { 0 } else { 0x2000 };
        let offset = self.random.half() % 200;
        frame.get_mut(ip + 4..ip + 6)?.copy_from_slice(&[0, self.random.byte() & 0x1f]);
        frame.get_mut(ip + 6..ip + 8)?.copy_from_slice(&(more | offset).to_be_bytes());
        Some(())
    }

    /// Moves the sequence or the acknowledgement number, near by or far away.
    fn renumber(&mut self, frame: &mut [u8]) -> Option<()> {
        let tcp = tcp_header(frame)?;
        let at = tcp + if self.random.one_in(2) { 4 } else { 8 };
        let field = frame.get_mut(at..at + 4)?;
        let old = u32::from_be_bytes([field[0], field[1], field[2], field[3]]);
        let new = match self.random.below(3) {
            0 => self.random.word(),
            1 => old.wrapping_add(self.random.word() >> 20),
            _ => old.wrapping_sub(self.random.word() >> 20),
        };
        field.copy_from_slice(&new.to_be_bytes());
        Some(())
    }

    /// Writes random flags and a random window.
    fn flag(&mut self, frame: &mut [u8]) -> Option<()> {
        let tcp = tcp_header(frame)?;
        let [flags, window] = [self.random.byte(), self.random.byte()];
        frame.get_mut(tcp + 13..tcp + 15)?.copy_from_slice(&[flags, window]);
        Some(())
    }

    /// Writes the number of an IPv6 extension header as the protocol. In IPv6, the payload is then
    /// parsed as a chain of headers.
    fn chain_headers(&mut self, frame: &mut [u8]) -> Option<()> {
        const EXTENSIONS: [u8; 7] = [0, 43, 44, 50, 51, 60, 135];
        let (ip, is_ipv6) = ip_header(frame)?;
        let extension = EXTENSIONS[self.random.below(EXTENSIONS.len())];
        *frame.get_mut(if is_ipv6 { ip + 6 } else { ip + 9 })? = extension;
        Some(())
    }
}

/// Offset of the TCP header, in a packet without further headers.
fn tcp_header(frame: &[u8]) -> Option<usize> {
    ip_header(frame).map(|(ip, is_ipv6)| ip + if is_ipv6 { 40 } else { 20 })
}

/// Ethernet frames of the captures in a folder; none if there is no such folder.
#[must_use]
pub fn material(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut captures: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    captures.retain(|path| path.extension().is_some_and(|extension| extension == "pcap"));
    captures.sort();
    let share = (MATERIAL_MAX / captures.len().max(1)).max(1);
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for capture in captures {
        let Ok(mut source) = CaptureSource::open(&capture, Share::ALL) else { continue };
        let room = frames.len() + share;
        let mut take = |bursts: &[mos_stack::Frame<'_>]| {
            let ethernet = bursts.iter().filter(|frame| frame.link == Link::Ethernet);
            frames.extend(ethernet.take(share).map(|frame| frame.bytes.to_vec()));
            mos_stack::FrameSet::NONE
        };
        let mut calls = 0;
        while calls < share && source.receive(Instant::EPOCH, &mut take) != Received::End {
            calls += 1;
        }
        frames.truncate(room);
    }
    frames
}
