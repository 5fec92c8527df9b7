//! SYNs with random tuples through a port of DPDK, while conversations run through the same port:
//! each of their bytes is read back under attack and compared.

use std::{
    net::SocketAddrV4,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use mos_proto::v1::Side;
use rustix::process::Signal;
use serde_json::Value;

use super::{
    frame::{Segment, flags, write},
    memory::{Memory, Span},
    pipe::{PcapPipe, accounted},
    random::{Random, scatter},
};
use crate::{
    program::within,
    rpc::Rpc,
    service::{Mosd, number},
};

/// The size of the attack.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// SYNs, at least. More follow until everything is read back.
    pub syns: u64,
    /// Conversations.
    pub conversations: u16,
    /// Rounds of [`ROUND_BYTES`] in both directions of each conversation.
    pub rounds: u64,
    /// Bound of the flow table.
    pub flows_max: u32,
    /// Allowed variation of resident memory in addition to 1 %, in bytes: small services need some
    /// slack.
    pub slack: u64,
}

/// Figures of a run.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// SYNs sent.
    pub syns: u64,
    /// Packets sent, all of which were accounted for.
    pub packets: u64,
    /// Bytes that were read back and compared.
    pub bytes: u64,
    /// Resident memory after the warm-up, which is three tenths of the SYNs and the first round.
    pub memory: Span,
    /// Readings of it.
    pub readings: u64,
    /// How long it took.
    pub time: Duration,
}

/// Bytes of one round in one direction: the capacity of a buffer.
pub const ROUND_BYTES: u32 = 8192;
const PIECE: u32 = 512;
const PORT: u16 = 4433;
const ISN: [u32; 2] = [7_000_000, 4_294_000_000];
const ROUND_MAX: Duration = Duration::from_secs(300);

/// Byte `at` of the stream of one end of a conversation. End 0 is the client.
fn byte(conversation: u16, end: usize, at: u32) -> u8 {
    let word = (u64::from(conversation) << 40) | ((end as u64) << 36) | u64::from(at / 8);
    scatter(word).to_le_bytes()[at as usize % 8]
}

/// The progress of the feeder.
#[derive(Debug, Default)]
struct Progress {
    /// Rounds that may be sent.
    allowed: AtomicU64,
    /// Rounds that were sent.
    sent: AtomicU64,
    /// Packets sent when the last of these rounds was complete.
    packets: AtomicU64,
    /// SYNs sent.
    syns: AtomicU64,
}

/// Sends the flood, and the conversations in between.
#[derive(Debug)]
struct Feeder<'a> {
    size: Size,
    pipe: PcapPipe,
    random: Random,
    frame: Vec<u8>,
    progress: &'a Progress,
}

impl Feeder<'_> {
    /// Sends until everything is sent and read back. Returns the number of packets.
    fn run(mut self) -> u64 {
        let size = self.size;
        let turns = size.rounds * u64::from(size.conversations) * u64::from(ROUND_BYTES / PIECE);
        let spacing = (size.syns / turns.max(1)).max(1);
        for round in 0..size.rounds {
            while self.progress.allowed.load(Ordering::Acquire) <= round {
                self.flood(64);
            }
            self.round(u32::try_from(round).unwrap_or(u32::MAX) * ROUND_BYTES, spacing);
            self.progress.packets.store(self.pipe.sent(), Ordering::Release);
            self.progress.sent.store(round + 1, Ordering::Release);
        }
        let is_read = |progress: &Progress| progress.allowed.load(Ordering::Acquire) > size.rounds;
        while self.progress.syns.load(Ordering::Relaxed) < size.syns || !is_read(self.progress) {
            self.flood(64);
        }
        self.pipe.finish()
    }

    /// Sends one round of every conversation from offset `first` on, piece by piece in turn.
    fn round(&mut self, first: u32, spacing: u64) {
        for step in 0..ROUND_BYTES / PIECE {
            for conversation in 0..self.size.conversations {
                self.speak(conversation, first + step * PIECE);
                self.flood(spacing);
            }
        }
    }

    fn flood(&mut self, count: u64) {
        for _ in 0..count {
            // From 128.0.0.0 to 191.255.255.255: all of these are hosts.
            let ends = [0; 2].map(|_: u8| {
                let address = 0x8000_0000 | (self.random.word() >> 2);
                SocketAddrV4::new(address.into(), self.random.half().max(1))
            });
            let (seq, [source, target]) = (self.random.word(), ends);
            let (options, payload) = (&[2, 4, 5, 0xb4], &[]);
            self.send(&Segment {
                source,
                target,
                seq,
                ack: 0,
                flags: flags::SYN,
                options,
                payload,
            });
        }
        self.progress.syns.fetch_add(count, Ordering::Relaxed);
    }

    /// Sends one exchange of pieces. The handshake precedes the first one.
    fn speak(&mut self, conversation: u16, first: u32) {
        use flags::{ACK, SYN};
        let ends = [client(conversation), SocketAddrV4::new([192, 0, 2, 7].into(), PORT)];
        let [client_next, server_next] = ISN.map(|isn| isn.wrapping_add(1 + first));
        let bare = |from: usize, seq, ack, flags| {
            let (source, target) = (ends[from], ends[1 - from]);
            Segment { source, target, seq, ack, flags, options: &[], payload: &[] }
        };
        if first == 0 {
            self.send(&bare(0, ISN[0], 0, SYN));
            self.flood(8);
            self.send(&bare(1, ISN[1], client_next, SYN | ACK));
            self.flood(8);
            self.send(&bare(0, client_next, server_next, ACK));
        }
        let say = |end| (first..first + PIECE).map(|at| byte(conversation, end, at)).collect();
        let said: [Vec<u8>; 2] = [say(0), say(1)];
        let request = bare(0, client_next, server_next, ACK);
        self.send(&Segment { payload: &said[0], ..request });
        let heard = client_next.wrapping_add(PIECE);
        let answer = bare(1, server_next, heard, ACK);
        self.send(&Segment { payload: &said[1], ..answer });
        self.send(&bare(0, heard, server_next.wrapping_add(PIECE), ACK));
    }

    fn send(&mut self, segment: &Segment<'_>) {
        write(&mut self.frame, segment);
        self.pipe.send(&self.frame);
    }
}

fn client(conversation: u16) -> SocketAddrV4 {
    SocketAddrV4::new([10, 0, 0, 1].into(), 1024 + conversation)
}

/// Reads the service's buffers, and its memory.
#[derive(Debug)]
struct Reader<'a> {
    size: Size,
    mosd: &'a Mosd,
    progress: &'a Progress,
    bytes: u64,
    readings: u64,
    memory: Option<Span>,
}

impl Reader<'_> {
    fn read_all(&mut self) {
        let mut rpc = Rpc::connect(self.mosd);
        let mut names = Vec::new();
        for round in 0..self.size.rounds {
            self.progress.allowed.store(round + 1, Ordering::Release);
            self.await_round(round + 1);
            if names.is_empty() {
                names = self.flows();
            }
            let first = u32::try_from(round).expect("few rounds") * ROUND_BYTES;
            for (conversation, name) in &names {
                self.compare(&mut rpc, *conversation, name, first);
                self.read_memory(round);
            }
        }
        // No flow was lost meanwhile: the same flows have the same names.
        let mut left = self.flows();
        left.sort();
        names.sort();
        assert_eq!(left, names, "flows were lost");
        self.progress.allowed.store(self.size.rounds + 1, Ordering::Release);
        let (progress, syns) = (self.progress, self.size.syns);
        let done = || progress.syns.load(Ordering::Relaxed) >= syns;
        while !within(Duration::from_millis(20), done) {
            self.read_memory(self.size.rounds);
        }
    }

    /// Waits until the service has received a round.
    #[track_caller]
    fn await_round(&mut self, round: u64) {
        let arrived = within(ROUND_MAX, || {
            self.read_memory(round - 1);
            let sent = self.progress.sent.load(Ordering::Acquire) >= round;
            let packets = self.progress.packets.load(Ordering::Acquire);
            let count = i64::try_from(packets).unwrap_or(i64::MAX);
            sent && self.mosd.core_total("rxPacketCount") >= count
        });
        assert!(arrived, "round {round} did not arrive:\n{}", self.mosd.log());
    }

    /// The conversations and the names of their flows. Asserts that all are established.
    #[track_caller]
    fn flows(&self) -> Vec<(u16, String)> {
        let port = PORT.to_string();
        let flows = self.mosd.flows(&["--port", &port, "--state", "established"]);
        let named = |flow: &Value| {
            let port = u16::try_from(number(flow.pointer("/tuple/clientPort"))).ok()?;
            let name = flow.get("name").and_then(Value::as_str)?.to_owned();
            Some((port.checked_sub(1024)?, name))
        };
        let names: Vec<_> = flows.iter().filter_map(named).collect();
        assert_eq!(names.len(), usize::from(self.size.conversations), "conversations are missing");
        names
    }

    /// Asserts that both buffers hold exactly the last round.
    #[track_caller]
    fn compare(&mut self, rpc: &mut Rpc, conversation: u16, name: &str, first: u32) {
        for (side, end) in [(Side::Server, 0), (Side::Client, 1)] {
            let held = rpc.held(name, side);
            let said: Vec<u8> =
                (first..first + ROUND_BYTES).map(|at| byte(conversation, end, at)).collect();
            let shape: Vec<_> = held.iter().map(|(at, run)| (*at, run.len())).collect();
            let is_whole = held.len() == 1 && held[0].0 == first as usize && held[0].1 == said;
            assert!(is_whole, "{name}, the {side:?}'s buffer: {shape:?} for a round from {first}");
            self.bytes += u64::from(ROUND_BYTES);
        }
    }

    /// Reads the memory after the warm-up.
    fn read_memory(&mut self, rounds_read: u64) {
        let warm = self.progress.syns.load(Ordering::Relaxed) > self.size.syns / 10 * 3;
        if warm && rounds_read > 0 {
            let resident = Memory::of(self.mosd.pid()).resident;
            self.memory.get_or_insert_with(|| Span::of(resident)).take(resident);
            self.readings += 1;
        }
    }
}

/// Floods a service while conversations run.
///
/// # Panics
///
/// When a conversation is lost, one of its bytes is wrong, a packet is not accounted for, or
/// memory grows.
#[must_use]
pub fn run(size: Size, seed: u64) -> Figures {
    let flows_max = size.flows_max;
    let config =
        format!("[server]\npayload = true\n[limits]\nflows_max = {flows_max}\npool = \"64MiB\"\n");
    let (pipe, mosd) = PcapPipe::start(&config);
    let progress = Progress::default();
    let began = Instant::now();
    let (memory, readings) = (None, 0);
    let mut reader = Reader { size, mosd: &mosd, progress: &progress, bytes: 0, readings, memory };
    let random = Random::new(seed);
    let feeder = Feeder { size, pipe, random, frame: Vec::new(), progress: &progress };
    let packets = thread::scope(|scope| {
        let feeder = scope.spawn(|| feeder.run());
        reader.read_all();
        feeder.join().expect("the feeder ends")
    });
    let (bytes, readings) = (reader.bytes, reader.readings);
    let memory = reader.memory.expect("memory was read after the warm-up");
    accounted(&mosd, packets);
    let time = began.elapsed();
    let allowed = memory.least / 100 + size.slack;
    assert!(memory.spread() <= allowed, "resident memory is not flat: {memory:?}");
    mosd.stop(Signal::INT).in_order();
    let syns = progress.syns.load(Ordering::Relaxed);
    Figures { syns, packets, bytes, memory, readings, time }
}
