//! Verdicts: what mosd shows of each connection against what the kernel's sockets read and sent.

pub mod others;
pub mod undecided;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use mos_tests::program;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::ends::kernel::spoken;
use crate::scene::Played;
use crate::verdict::undecided::is_undecided;
use crate::wire::capture::{self, Framing};
use crate::wire::packet::{self, flags};

/// More than the replay of a thousand connections takes.
const LIMIT: Duration = Duration::from_secs(300);

/// What mosd shows of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its length.
    pub length: u64,
    /// Its SHA-256.
    pub digest: String,
    /// How far the receiver has acknowledged it.
    pub acknowledged: Option<u64>,
    /// Bytes that are told as missing.
    pub missing: u64,
    /// Bytes that differed from a copy that was held.
    pub conflicting: u64,
}

/// What mosd shows of one flow.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Client and server.
    pub ends: [SocketAddr; 2],
    /// What they sent.
    pub streams: [Stream; 2],
    /// Nothing of one end was captured: that the other one was received is told to be a guess.
    pub is_guess: bool,
    /// The record as it is.
    pub line: String,
}

/// How a connection was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As the kernel read and sent it.
    Right,
    /// With bytes besides, which the kernel answered with RST.
    Besides,
    /// Otherwise, where nobody can know, and it was told: conflicting copies, or a guess.
    Told,
    /// Otherwise.
    Wrong {
        /// The direction to the kernel.
        to: Option<String>,
        /// The direction from the kernel.
        from: Option<String>,
    },
}

/// Writes connections as one capture.
#[track_caller]
pub fn capture(framing: Framing, played: &[Played]) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    let mut packets: Vec<_> = played.iter().flat_map(|played| &played.packets).collect();
    packets.sort_by_key(|seen| seen.time);
    capture::write(file.path(), framing, &packets).expect("a file can be written");
    file
}

/// Replays a capture under a policy, and returns what mosd shows of each connection.
#[track_caller]
pub fn replay(mosd: &Path, policy: &str, capture: &Path, played: &[Played]) -> Vec<Vec<Flow>> {
    let words = ["replay", "--verify-checksums", "-o", "jsonl", "--overlap", policy];
    let mut command = program::command(mosd, words);
    let finished = program::run(command.arg(capture), LIMIT);
    let text = finished.text();
    assert!(!text.is_empty(), "{command:?}: {}", finished.stderr);
    let flow = |line| flow(line).unwrap_or_else(|| panic!("a record that nobody can read: {line}"));
    sort(text.lines().map(flow), played)
}

/// Gives each flow to the connection that has one of its addresses.
#[track_caller]
fn sort(flows: impl Iterator<Item = Flow>, played: &[Played]) -> Vec<Vec<Flow>> {
    let mut places: HashMap<IpAddr, usize> = HashMap::new();
    for (place, played) in played.iter().enumerate() {
        places.insert(played.raw.ip(), place);
        places.insert(played.kernel.ip(), place);
    }
    let mut shown = vec![Vec::new(); played.len()];
    for flow in flows {
        let place = flow.ends.iter().find_map(|end| places.get(&end.ip()));
        let place = place.unwrap_or_else(|| panic!("a flow of no connection: {}", flow.line));
        shown[*place].push(flow);
    }
    shown
}

fn flow(line: &str) -> Option<Flow> {
    let value: Value = serde_json::from_str(line).ok()?;
    let end = |side: &str| {
        let address = value.get(format!("{side}_ip"))?.as_str()?.parse().ok()?;
        let port = u16::try_from(value.get(format!("{side}_port"))?.as_u64()?).ok()?;
        Some(SocketAddr::new(address, port))
    };
    let stream = |name: &str| {
        let stream = value.get(name)?;
        Some(Stream {
            length: stream.get("stream_len")?.as_u64()?,
            digest: stream.get("sha256")?.as_str()?.to_owned(),
            acknowledged: stream.get("acknowledged_offset")?.as_u64(),
            missing: stream.get("missing_bytes")?.as_u64()?,
            conflicting: stream.get("conflicting_bytes")?.as_u64()?,
        })
    };
    Some(Flow {
        ends: [end("client")?, end("server")?],
        streams: [stream("c2s")?, stream("s2c")?],
        is_guess: value.get("one_sided")?.as_bool()?,
        line: line.to_owned(),
    })
}

/// Judges what mosd shows of a connection.
#[must_use]
pub fn judge(played: &Played, flows: &[Flow]) -> Verdict {
    let side = |flow: &Flow| usize::from(flow.ends[0] != played.raw);
    let to: Vec<_> = flows.iter().map(|flow| &flow.streams[side(flow)]).collect();
    let from: Vec<_> = flows.iter().map(|flow| &flow.streams[1 - side(flow)]).collect();
    let read: Vec<_> = played.read.iter().map(|read| read.bytes.as_slice()).collect();
    let read: Vec<_> = read.into_iter().filter(|bytes| !bytes.is_empty()).collect();
    let sent: Vec<Vec<u8>> =
        played.sent.iter().map(|length| (0..*length).map(spoken).collect()).collect();
    let sent: Vec<_> = sent.iter().map(Vec::as_slice).collect();
    let other = flows.iter().find_map(|flow| stranger(played, flow)).or_else(|| gap(&to, &from));
    let (wrong_to, wrong_from) = (differs(&to, &read), differs(&from, &sent));
    if let Some(other) = other {
        return Verdict::Wrong { to: Some(other), from: wrong_from };
    }
    if wrong_from.is_none() && wrong_to.is_none() {
        return match acknowledged_otherwise(played, &to, &read) {
            Some(otherwise) => Verdict::Wrong { to: Some(otherwise), from: None },
            None => Verdict::Right,
        };
    }
    let is_told = to.iter().any(|stream| stream.conflicting > 0);
    if wrong_from.is_none() && played.resets > 0 && has_all(&to, &read, played) {
        Verdict::Besides
    } else if wrong_from.is_none() && is_told && is_undecided(played)
        || is_guessed(played, flows, &read, &sent)
    {
        Verdict::Told
    } else {
        Verdict::Wrong { to: wrong_to, from: wrong_from }
    }
}

/// Judges the direction to the kernel alone, of a tool that says nothing but bytes.
#[must_use]
pub fn judge_to_kernel(played: &Played, flows: &[Flow]) -> Verdict {
    let to = flows.iter().flat_map(|flow| {
        let by_raw = |(end, stream): (&SocketAddr, _)| (*end == played.raw).then_some(stream);
        flow.ends.iter().zip(&flow.streams).filter_map(by_raw)
    });
    let to: Vec<_> = to.collect();
    let read: Vec<_> = played.read.iter().map(|read| read.bytes.as_slice()).collect();
    let read: Vec<_> = read.into_iter().filter(|bytes| !bytes.is_empty()).collect();
    match differs(&to, &read) {
        None => Verdict::Right,
        Some(_) if played.resets > 0 && has_all(&to, &read, played) => Verdict::Besides,
        to => Verdict::Wrong { to, from: None },
    }
}

/// Whether what differs belongs to flows that are told to be guessed.
fn is_guessed(played: &Played, flows: &[Flow], read: &[&[u8]], sent: &[&[u8]]) -> bool {
    let sure = flows.iter().filter(|flow| !flow.is_guess);
    let sides = sure.map(|flow| (flow, usize::from(flow.ends[0] != played.raw)));
    let streams = sides.map(|(flow, side)| (&flow.streams[side], &flow.streams[1 - side]));
    let (to, from): (Vec<_>, Vec<_>) = streams.unzip();
    differs(&to, read).is_none() && differs(&from, sent).is_none()
}

/// A flow between other ends than those of the connection.
fn stranger(played: &Played, flow: &Flow) -> Option<String> {
    let [client, server] = flow.ends;
    let ends = [played.raw, played.kernel];
    let is_ours = [client, server] == ends || [server, client] == ends;
    (!is_ours).then(|| format!("a flow of {client} and {server}"))
}

/// A gap that is told although the capture holds every packet.
fn gap(to: &[&Stream], from: &[&Stream]) -> Option<String> {
    let gap = to.iter().chain(from).find(|stream| stream.missing > 0)?;
    Some(format!("a gap of {} bytes where none is missing", gap.missing))
}

/// What mosd says of how far the only stream was received, where the kernel said otherwise.
fn acknowledged_otherwise(played: &Played, to: &[&Stream], read: &[&[u8]]) -> Option<String> {
    let ([stream], [read]) = (to, read) else { return None };
    let truth = read.len().min(acknowledged(played) as usize);
    let shown = usize::try_from(stream.acknowledged?).unwrap_or(usize::MAX);
    (shown != truth).then(|| format!("acknowledged up to {shown}, the truth is {truth}"))
}

/// The highest offset that the kernel acknowledged after a number of the raw peer.
fn acknowledged(played: &Played) -> u32 {
    let iss = played.script.setup.iss;
    let heard = played.packets.iter().filter(|seen| seen.by_kernel);
    let heard = heard.filter_map(|seen| packet::hear(&seen.packet));
    let acks = heard.filter(|heard| heard.flags & (flags::ACK | flags::RST) == flags::ACK);
    let offsets = acks.map(|heard| heard.ack.wrapping_sub(iss).wrapping_sub(1));
    let sent = end_of_raw(played);
    offsets.filter(|offset| *offset <= sent).max().unwrap_or(0)
}

/// The end of what the raw peer has sent behind its number, a FIN counted. What is acknowledged
/// behind that belongs to another connection.
fn end_of_raw(played: &Played) -> u32 {
    let first = played.script.setup.iss.wrapping_add(1);
    let sent = played.packets.iter().filter(|seen| !seen.by_kernel);
    let heard = sent.filter_map(|seen| packet::hear(seen.plain.as_ref()?));
    let ends = heard.filter(|heard| heard.flags & flags::SYN == 0).map(|heard| {
        let length = u32::try_from(heard.payload).unwrap_or(0);
        heard.seq.wrapping_sub(first).wrapping_add(length).wrapping_add(1)
    });
    ends.filter(|end| *end < 1 << 20).max().unwrap_or(0)
}

/// Whether all that was read is shown, and nothing besides is shown as received.
fn has_all(shown: &[&Stream], read: &[&[u8]], played: &Played) -> bool {
    let sent = sent_by_raw(played);
    // The length that a stream has in common with what was read.
    let common = |stream: &Stream| -> usize {
        let length = usize::try_from(stream.length).unwrap_or(usize::MAX);
        let longer = sent.get(..length).filter(|longer| digest(longer) == stream.digest);
        let is_in = |bytes: &&&[u8]| {
            digest(bytes) == stream.digest || longer.is_some_and(|longer| longer.starts_with(bytes))
        };
        read.iter().filter(is_in).map(|bytes| bytes.len()).max().unwrap_or(0)
    };
    let is_honest = |stream: &&Stream| stream.acknowledged.unwrap_or(0) <= common(stream) as u64;
    let is_shown = |bytes: &&[u8]| shown.iter().any(|stream| common(stream) == bytes.len());
    let total: usize = read.iter().map(|bytes| bytes.len()).sum();
    read.iter().all(is_shown)
        && shown.iter().all(is_honest)
        && acknowledged(played) as usize <= total + 1
}

/// The stream that the raw peer has sent, the first copy of each byte, up to the first hole.
fn sent_by_raw(played: &Played) -> Vec<u8> {
    let first = played.script.setup.iss.wrapping_add(1);
    let mut stream = Vec::new();
    for seen in played.packets.iter().filter(|seen| !seen.by_kernel) {
        let Some(heard) = packet::hear(&seen.packet) else { continue };
        let known = stream.len().wrapping_sub(heard.seq.wrapping_sub(first) as usize);
        let payload = seen.packet.get(heard.at..).unwrap_or_default();
        stream.extend_from_slice(payload.get(known..).unwrap_or_default());
    }
    stream
}

fn differs(shown: &[&Stream], truth: &[&[u8]]) -> Option<String> {
    let shown: Vec<_> = shown.iter().filter(|stream| stream.length > 0).collect();
    let is_same = shown.len() == truth.len()
        && shown.iter().zip(truth).all(|(shown, truth)| shown.digest == digest(truth));
    if is_same {
        return None;
    }
    let shown: Vec<_> = shown.iter().map(|stream| stream.length).collect();
    let truth: Vec<_> = truth.iter().map(|bytes| bytes.len()).collect();
    Some(format!("mosd holds {shown:?} bytes, the truth is {truth:?}"))
}

/// Bytes in hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of bytes in hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
