//! Whether the capture of a connection leaves open which copy of a byte was taken.
//!
//! An acknowledgement says what its sender took. Where two different copies of a byte came before
//! the first acknowledgement of it, it does not say which: nobody can know without guessing at the
//! receiver, and a monitor is right if it tells of the conflict.
//!
//! A packet with a strange IP header is a copy only if the kernel shows that it had it.

use crate::scene::Played;
use crate::wire::capture::Seen;
use crate::wire::packet::{self, Heard, flags};

/// Streams of connections here are shorter.
const STREAM_MAX: u32 = 1 << 20;

/// A segment that was sent and not yet decided about: its offset and its payload.
type Open<'a> = (u32, &'a [u8]);

/// Whether two different copies of a byte came before an acknowledgement that decides, both in
/// segments that a receiver may take.
#[must_use]
pub fn is_undecided(played: &Played) -> bool {
    let first = played.script.setup.iss.wrapping_add(1);
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut acknowledged = 0;
    for (at, seen) in played.packets.iter().enumerate() {
        let Some(plain) = &seen.plain else { continue };
        let Some(heard) = packet::hear(plain) else { continue };
        if seen.by_kernel {
            let offset = heard.ack.wrapping_sub(first);
            if heard.flags & flags::ACK != 0 && offset < STREAM_MAX {
                acknowledged = offset.max(acknowledged);
                // What was next was taken or not; of what lies behind a hole this says nothing.
                open.retain(|(begin, _)| *begin > acknowledged);
            }
        } else if packet::is_sound(plain) && is_plausible(&heard) {
            // What lies before the stream is cut off.
            let before = first.wrapping_sub(heard.seq) as usize;
            let skipped = if before < heard.payload { before } else { 0 };
            let begin = if skipped > 0 { 0 } else { heard.seq.wrapping_sub(first) };
            let payload = plain.get(heard.at + skipped..).unwrap_or_default();
            if !packet::is_sound(&seen.packet) && !was_taken(played, at, begin, payload) {
                continue;
            }
            if open.iter().any(|other| differ(*other, (begin, payload))) {
                return true;
            }
            open.push((begin, payload));
        }
    }
    false
}

/// Whether the kernel has answered the packet at a place at once, or its application has read some
/// of the payload: then the IP header was no reason to discard it.
fn was_taken(played: &Played, at: usize, begin: u32, payload: &[u8]) -> bool {
    let begin = begin as usize;
    let is_answered = played.packets.get(at + 1).is_some_and(|seen: &Seen| seen.by_kernel);
    let is_in = |bytes: &[u8]| {
        let rest = bytes.get(begin..).unwrap_or_default();
        rest.iter().zip(payload).any(|(read, sent)| read == sent)
    };
    is_answered || played.read.iter().any(|read| is_in(&read.bytes))
}

/// Whether two segments have different bytes at the same place.
fn differ((a, first): Open<'_>, (b, second): Open<'_>) -> bool {
    let (a, b) = (u64::from(a), u64::from(b));
    let begin = a.max(b);
    let part = |from: u64, of: &[u8]| {
        let skip = usize::try_from(begin - from).unwrap_or(usize::MAX);
        of.get(skip..).unwrap_or_default().to_vec()
    };
    part(a, first).iter().zip(&part(b, second)).any(|(one, other)| one != other)
}

/// Whether the flags are those of a segment with data.
fn is_plausible(heard: &Heard) -> bool {
    heard.flags & (flags::ACK | flags::SYN | flags::RST) == flags::ACK
}
