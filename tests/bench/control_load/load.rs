//! The load: a packet source like a port with a queue of 1024 packets, on a link that brings them
//! at a steady rate. What falls due while the queue is full is lost, and counted.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arrayvec::ArrayVec;
use mos_dataplane::source::{PacketSource, Received};
use mos_stack::{Checksums, Frame, FrameSet, Instant, Link, Side, limits::BURST};

/// The rate of a link that always has packets: as many as the worker takes, and none is lost.
pub(crate) const UNPACED: u64 = u64::MAX;

/// Packets that the queue holds: the receive descriptors of a port of mosd.
const QUEUE: u128 = 1024;

/// One flow in so many has data, and half of all packets; the others only acknowledge.
const DATA_ONE_IN: u32 = 64;
const DATA_BYTES: u16 = 64;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const HEADERS: usize = 54;
const FRAME: usize = HEADERS + DATA_BYTES as usize;
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const NANOS: u128 = 1_000_000_000;

/// What the source and those who measure tell each other.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Packets a second.
    pub(crate) rate: AtomicU64, // measurement: wo, worker: ro
    /// Packets that the worker took.
    pub(crate) taken: AtomicU64, // worker: wo, measurement: ro
    /// Packets that found the queue full.
    pub(crate) lost: AtomicU64, // worker: wo, measurement: ro
}

/// The source. It begins with the handshakes of all flows.
#[derive(Debug)]
pub(crate) struct Load {
    meter: Arc<Meter>,
    flows: u32,
    step: u64,
    /// The flow that speaks now.
    flow: u32,
    /// Bytes that each flow with data has sent.
    said: Vec<u32>,
    random: u64,
    last: Option<Instant>,
    /// Packets in the queue, in billionths.
    waiting: u128,
    frames: Vec<([u8; FRAME], usize)>,
}

impl Load {
    pub(crate) fn new(flows: u32, meter: Arc<Meter>) -> Self {
        let said = vec![0; flows.div_ceil(DATA_ONE_IN) as usize];
        let frames = vec![([0; FRAME], 0); BURST];
        Self { meter, flows, step: 0, flow: 0, said, random: 1, last: None, waiting: 0, frames }
    }

    /// Packets that wait, one burst at most.
    fn due(&mut self, now: Instant) -> usize {
        let elapsed = self.last.replace(now).map_or(0, |last| now.since(last).as_nanos());
        let rate = self.meter.rate.load(Relaxed);
        if rate == UNPACED || self.step < 3 * u64::from(self.flows) {
            self.waiting = 0;
            return BURST;
        }
        self.waiting += elapsed * u128::from(rate);
        let over = (self.waiting / NANOS).saturating_sub(QUEUE);
        if over > 0 {
            self.waiting -= over * NANOS;
            self.meter.lost.fetch_add(u64::try_from(over).unwrap_or(u64::MAX), Relaxed);
        }
        let due = usize::try_from(self.waiting / NANOS).unwrap_or(BURST).min(BURST);
        self.waiting -= due as u128 * NANOS;
        due
    }

    /// The next packet: of the handshakes, one after another; then a packet of some client, and
    /// its server's acknowledgement.
    fn next(&mut self) -> ([u8; FRAME], usize) {
        let step = self.step;
        self.step += 1;
        let handshakes = 3 * u64::from(self.flows);
        if step < handshakes {
            let flow = u32::try_from(step / 3).unwrap_or(u32::MAX);
            return match step % 3 {
                0 => frame(flow, Side::Client, SYN, [0, 0], 0),
                1 => frame(flow, Side::Server, SYN | ACK, [0, 1], 0),
                _ => frame(flow, Side::Client, ACK, [1, 1], 0),
            };
        }
        if (step - handshakes).is_multiple_of(2) {
            let some = self.some();
            let has_data = some & 1 == 0;
            self.flow = (some >> 1) % self.flows;
            if has_data {
                self.flow -= self.flow % DATA_ONE_IN;
            }
        }
        let is_client = (step - handshakes).is_multiple_of(2);
        let said = &mut self.said[(self.flow / DATA_ONE_IN) as usize];
        let has_data = self.flow.is_multiple_of(DATA_ONE_IN);
        let next = if has_data { said.wrapping_add(1) } else { 1 };
        if !is_client {
            return frame(self.flow, Side::Server, ACK, [1, next], 0);
        }
        let bytes = if has_data { DATA_BYTES } else { 0 };
        *said = said.wrapping_add(bytes.into());
        frame(self.flow, Side::Client, ACK, [next, 1], bytes)
    }

    /// The upper bits of a linear congruential generator (Knuth's).
    fn some(&mut self) -> u32 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u32::try_from(self.random >> 32).unwrap_or_default()
    }
}

impl PacketSource for Load {
    fn receive(
        &mut self,
        now: Instant,
        mut handle: impl FnMut(&[Frame<'_>]) -> FrameSet,
    ) -> Received {
        let due = self.due(now);
        if due == 0 {
            return Received::Nothing;
        }
        for at in 0..due {
            self.frames[at] = self.next();
        }
        let burst = self.frames.iter().take(due).map(|(bytes, length)| Frame {
            arrival: now,
            link: Link::Ethernet,
            bytes: &bytes[..*length],
            wire_length: u32::try_from(*length).unwrap_or(u32::MAX),
            checksums: Checksums::Good,
        });
        handle(&burst.collect::<ArrayVec<Frame<'_>, BURST>>());
        self.meter.taken.fetch_add(due as u64, Relaxed);
        Received::Frames(due)
    }
}

/// One segment of a flow, and its length. The checksums are left out: the port vouches for them.
fn frame(
    flow: u32,
    sender: Side,
    flags: u8,
    [seq, ack]: [u32; 2],
    payload: u16,
) -> ([u8; FRAME], usize) {
    let client = (Ipv4Addr::from_bits((10 << 24) + flow), 40_000_u16);
    let server = (SERVER, 80_u16);
    let (source, target) = match sender {
        Side::Client => (client, server),
        Side::Server => (server, client),
    };
    let mut bytes = [0; FRAME];
    bytes[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    bytes[16..18].copy_from_slice(&(40 + payload).to_be_bytes());
    bytes[22..24].copy_from_slice(&[64, 6]);
    bytes[26..30].copy_from_slice(&source.0.octets());
    bytes[30..34].copy_from_slice(&target.0.octets());
    bytes[34..36].copy_from_slice(&source.1.to_be_bytes());
    bytes[36..38].copy_from_slice(&target.1.to_be_bytes());
    bytes[38..42].copy_from_slice(&seq.to_be_bytes());
    bytes[42..46].copy_from_slice(&ack.to_be_bytes());
    bytes[46..50].copy_from_slice(&[5 << 4, flags, 0xff, 0xff]);
    (bytes, HEADERS + usize::from(payload))
}
