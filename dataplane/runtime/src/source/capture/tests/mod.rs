//! Captures written byte by byte here, read back by the source.

use std::io::Write as _;

use super::*;
use crate::traffic::Conversations;

const ETHERNET: u16 = 1;
const USB: u16 = 220;
const SECOND: u64 = 1_000_000_000;

/// Byte order of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// Writes captures.
struct Writer {
    order: Order,
    bytes: Vec<u8>,
}

impl Writer {
    fn new(order: Order) -> Self {
        Self { order, bytes: Vec::new() }
    }

    fn half(&mut self, value: u16) {
        match self.order {
            Order::Little => self.bytes.extend_from_slice(&value.to_le_bytes()),
            Order::Big => self.bytes.extend_from_slice(&value.to_be_bytes()),
        }
    }

    fn word(&mut self, value: u32) {
        match self.order {
            Order::Little => self.bytes.extend_from_slice(&value.to_le_bytes()),
            Order::Big => self.bytes.extend_from_slice(&value.to_be_bytes()),
        }
    }

    fn words(&mut self, values: &[u32]) {
        values.iter().for_each(|value| self.word(*value));
    }

    fn pcap(order: Order, magic: u32, link: u16) -> Self {
        let mut writer = Self::new(order);
        writer.word(magic);
        writer.half(2);
        writer.half(4);
        writer.words(&[0, 0, 65_535, u32::from(link)]);
        writer
    }

    fn record(&mut self, seconds: u32, fraction: u32, data: &[u8], wire_length: u32) {
        self.words(&[seconds, fraction, len(data), wire_length]);
        self.bytes.extend_from_slice(data);
    }

    fn block(&mut self, kind: u32, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.word(kind);
        self.word(0);
        body(self);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let length = len(&self.bytes[start..]) + 4;
        self.word(length);
        let length = self.bytes[self.bytes.len() - 4..].to_vec();
        self.bytes[start + 4..start + 8].copy_from_slice(&length);
    }

    fn section(&mut self) {
        self.block(0x0a0d_0d0a, |w| {
            w.word(0x1a2b_3c4d);
            w.half(1);
            w.half(0);
            w.bytes.extend_from_slice(&[0xff; 8]);
        });
    }

    fn interface(&mut self, link: u16, snaplen: u32, resolution: Option<u8>, offset: Option<i64>) {
        self.block(1, |w| {
            w.half(link);
            w.half(0);
            w.word(snaplen);
            if let Some(resolution) = resolution {
                w.half(9);
                w.half(1);
                w.bytes.extend_from_slice(&[resolution, 0, 0, 0]);
            }
            if let Some(offset) = offset {
                w.half(14);
                w.half(8);
                match w.order {
                    Order::Little => w.bytes.extend_from_slice(&offset.to_le_bytes()),
                    Order::Big => w.bytes.extend_from_slice(&offset.to_be_bytes()),
                }
            }
            w.word(0);
        });
    }

    fn enhanced(&mut self, interface: u32, units: u64, data: &[u8], wire_length: u32) {
        self.block(6, |w| {
            w.word(interface);
            w.word(u32::try_from(units >> 32).unwrap());
            w.word(u32::try_from(units & 0xffff_ffff).unwrap());
            w.word(len(data));
            w.word(wire_length);
            w.bytes.extend_from_slice(data);
        });
    }

    fn simple(&mut self, data: &[u8], wire_length: u32) {
        self.block(3, |w| {
            w.word(wire_length);
            w.bytes.extend_from_slice(data);
        });
    }

    fn obsolete(&mut self, interface: u16, units: u64, data: &[u8], wire_length: u32) {
        self.block(2, |w| {
            w.half(interface);
            w.half(7);
            w.word(u32::try_from(units >> 32).unwrap());
            w.word(u32::try_from(units & 0xffff_ffff).unwrap());
            w.word(len(data));
            w.word(wire_length);
            w.bytes.extend_from_slice(data);
        });
    }
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

/// Arrival in nanoseconds, bytes, and length on the wire.
type Seen = (u64, Vec<u8>, u32);

fn open_bytes(bytes: &[u8], share: Share) -> Result<CaptureSource, CaptureError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    CaptureSource::open(file.path(), share)
}

fn drain(source: &mut CaptureSource) -> Vec<Seen> {
    let mut seen = Vec::new();
    loop {
        let before = source.time().unwrap();
        let received = source.receive(Instant::EPOCH, |frames| {
            assert!(!frames.is_empty() && frames.len() <= BURST);
            seen.extend(
                frames.iter().map(|f| (f.arrival.as_nanos(), f.bytes.to_vec(), f.wire_length)),
            );
            FrameSet::NONE
        });
        assert!(source.time().unwrap() >= before, "time runs backwards");
        match received {
            Received::Frames(_) => {}
            Received::Nothing => panic!("a capture always has frames or has ended"),
            Received::End => return seen,
        }
    }
}

#[track_caller]
fn read(bytes: &[u8]) -> (Vec<Seen>, Option<CaptureProblem>) {
    let mut source = open_bytes(bytes, Share::ALL).unwrap();
    let seen = drain(&mut source);
    (seen, source.problem().cloned())
}

#[track_caller]
fn check(bytes: &[u8], expected: &[(u64, &[u8], u32)]) {
    let (seen, problem) = read(bytes);
    assert_eq!(problem, None);
    let expected: Vec<Seen> =
        expected.iter().map(|(time, data, wire)| (*time, data.to_vec(), *wire)).collect();
    assert_eq!(seen, expected);
}

fn demo_capture(frames: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut conversations = Conversations::new(40, 11);
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_3c4d, ETHERNET);
    let mut all = Vec::new();
    for index in 0..frames {
        let mut frame = Vec::new();
        conversations.next_frame(&mut frame);
        writer.record(1, u32::try_from(index).unwrap(), &frame, len(&frame));
        all.push(frame);
    }
    (writer.bytes, all)
}

mod damage;
mod formats;
mod inputs;
mod links;
mod sizes;
mod times;
