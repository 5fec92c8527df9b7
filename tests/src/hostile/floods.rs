//! One kind of attack after another against one stack: the time per packet, and the memory.
//!
//! Costs are CPU time of the thread. Each batch of the attack is followed by one of believable
//! traffic at a stack of its own: a busy machine slows both, so their ratio is stable.

use std::{net::SocketAddrV4, ops::Range, time::Duration};

use mos_dataplane::traffic::Conversations;
use mos_stack::{
    Checksums, Frame, Instant, Limits, Link, Stack, Stat, Stats, WorkerId, limits::BURST,
};
use rustix::time::{ClockId, clock_gettime};

use super::{
    frame::{IP, Segment, flags, repair, write},
    memory::Memory,
    random::Random,
};

/// The kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Believable conversations, with which the others are compared.
    Plain,
    /// SYNs with random tuples.
    Syn,
    /// SYN and SYN/ACK of random tuples.
    PingPong,
    /// ACKs of no flow.
    Ack,
    /// RSTs of no flow.
    Rst,
    /// FINs of no flow.
    Fin,
    /// SYNs from one client to one server: tuples that differ only in their ports.
    NearTuples,
    /// SYNs with 40 bytes of options: many, long, of length 0, endless.
    OptionBomb,
    /// Established flows that send every other byte and never fill the holes.
    Hoarder,
    /// Established flows that send byte by byte.
    OneByte,
    /// Fragments that overlap and never make a whole packet.
    Fragments,
}

impl Kind {
    /// Every kind, beginning with believable conversations.
    pub const ALL: [Self; 11] = [
        Self::Plain,
        Self::Syn,
        Self::PingPong,
        Self::Ack,
        Self::Rst,
        Self::Fin,
        Self::NearTuples,
        Self::OptionBomb,
        Self::Hoarder,
        Self::OneByte,
        Self::Fragments,
    ];
}

/// CPU time per packet of the attack, and of believable traffic at the same time, in picoseconds:
/// the median of the batches.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Of the attack.
    pub attack: u64,
    /// Of believable traffic.
    pub plain: u64,
}

impl Cost {
    /// The attack's cost in percent of that of believable traffic.
    #[must_use]
    pub fn ratio(self) -> u64 {
        self.attack * 100 / self.plain.max(1)
    }
}

/// Figures of one flood.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// The kind of traffic.
    pub kind: Kind,
    /// Packets.
    pub packets: u64,
    /// Cost of a packet over the whole flood.
    pub cost: Cost,
    /// The same over the second tenth of the flood, when its state is established.
    pub early: Cost,
    /// The same over the last tenth.
    pub late: Cost,
    /// Flows at once, at most.
    pub flows_most: u64,
    /// Bytes of the pool in use, at most.
    pub pool_most: u64,
    /// Growth of resident memory over the flood, in bytes.
    pub grown: u64,
}

/// Flows that are established before the flood.
const BYSTANDERS: u16 = 100;
/// Established flows of the attackers.
const ATTACKERS: usize = 64;
/// Frames prepared at once, untimed: enough that the caches of a stack are warm for most of them.
const BATCH: usize = 8192;
/// Time from one packet to the next: ten million packets per second.
const STEP: Duration = Duration::from_nanos(100);
const EXPIRY_BUDGET: u32 = 64;
const POOL_BYTES: u64 = 64 << 20;
/// Bound of the memory of one slot with its share of index, timers and lists, in bytes. Generous.
const SLOT_BYTES: u64 = 1024;
/// Memory of the batch of frames, and the allocator's slack.
const SLACK_BYTES: u64 = 24 << 20;

fn limits() -> Limits {
    Limits { flows_max: 65_536, half_open_max: 16_384, pool_bytes: POOL_BYTES, ..Limits::default() }
}

/// Makes the frames of one kind.
#[derive(Debug)]
struct Attacker {
    kind: Kind,
    random: Random,
    plain: Conversations,
    count: u32,
    /// The SYN that is answered by the next SYN/ACK.
    asked: Option<(SocketAddrV4, SocketAddrV4, u32)>,
}

const CLIENT_ISN: u32 = 1000;
const SERVER_ISN: u32 = 9000;

fn server() -> SocketAddrV4 {
    SocketAddrV4::new([192, 0, 2, 1].into(), 443)
}

/// The client end of an established flow: those of attackers are in 10.1, bystanders in 10.2.
fn established(net: u8, number: u16) -> SocketAddrV4 {
    SocketAddrV4::new([10, net, 0, 1].into(), 2000 + number)
}

const fn segment(source: SocketAddrV4, target: SocketAddrV4, flags: u8) -> Segment<'static> {
    Segment { source, target, seq: 0, ack: 0, flags, options: &[], payload: &[] }
}

impl Attacker {
    fn new(kind: Kind, seed: u64) -> Self {
        let plain = Conversations::new(1000, seed);
        Self { kind, random: Random::new(seed), plain, count: 0, asked: None }
    }

    /// Writes the next frame into `out`.
    fn next(&mut self, out: &mut Vec<u8>) {
        use flags::{ACK, FIN, RST, SYN};
        self.count = self.count.wrapping_add(1);
        match self.kind {
            Kind::Plain => self.plain.next_frame(out),
            Kind::Syn => self.stray(SYN, &[], out),
            Kind::Ack => self.stray(ACK, &[], out),
            Kind::Rst => self.stray(RST, &[], out),
            Kind::Fin => self.stray(FIN | ACK, &[], out),
            Kind::OptionBomb => {
                let options = self.bomb();
                self.stray(SYN, &options, out);
            }
            Kind::PingPong => self.ping_pong(out),
            Kind::NearTuples => {
                let [a, b, c, d] = self.count.to_be_bytes();
                let ends = [[a, b], [c, d]].map(u16::from_be_bytes);
                let source = SocketAddrV4::new([10, 0, 0, 1].into(), ends[1]);
                let target = SocketAddrV4::new([192, 0, 2, 9].into(), ends[0].wrapping_add(1));
                write(out, &segment(source, target, SYN));
            }
            Kind::Hoarder => self.piece(2, out),
            Kind::OneByte => self.piece(1, out),
            Kind::Fragments => self.fragment(out),
        }
    }

    /// An endpoint somewhere from 128.0.0.0 to 191.255.255.255: all of these are hosts.
    fn random_end(&mut self) -> SocketAddrV4 {
        let address = 0x8000_0000 | (self.random.word() >> 2);
        SocketAddrV4::new(address.into(), self.random.half().max(1))
    }

    /// A segment of a random tuple.
    fn stray(&mut self, flags: u8, options: &[u8], out: &mut Vec<u8>) {
        let (source, target) = (self.random_end(), self.random_end());
        let (seq, ack) = (self.random.word(), self.random.word());
        write(out, &Segment { seq, ack, options, ..segment(source, target, flags) });
    }

    fn ping_pong(&mut self, out: &mut Vec<u8>) {
        if let Some((client, server, seq)) = self.asked.take() {
            let ack = seq.wrapping_add(1);
            let answer = segment(server, client, flags::SYN | flags::ACK);
            write(out, &Segment { seq: self.random.word(), ack, ..answer });
        } else {
            let (client, server, seq) = (self.random_end(), self.random_end(), self.random.word());
            write(out, &Segment { seq, ..segment(client, server, flags::SYN) });
            self.asked = Some((client, server, seq));
        }
    }

    /// Forty bytes of options, one recipe after another.
    fn bomb(&mut self) -> [u8; 40] {
        let mut options = [1; 40];
        match self.count % 5 {
            0 => {} // nothing but no-operations
            1 => options[0..2].copy_from_slice(&[8, 0]),
            2 => options[0..2].copy_from_slice(&[3, 255]),
            3 => options.chunks_exact_mut(2).for_each(|option| option.copy_from_slice(&[4, 2])),
            _ => options.fill_with(|| self.random.byte()),
        }
        options
    }

    /// A byte of an attacker's established flow, `stride` after the last one. With a stride above
    /// 1, the holes fill the span of a buffer, and then the bytes repeat.
    fn piece(&mut self, stride: u32, out: &mut Vec<u8>) {
        let flow = self.count as usize % ATTACKERS;
        let round = self.count / 64;
        let at = if stride == 1 { round } else { 1 + stride * (round % 4096) };
        let source = established(1, u16::try_from(flow).unwrap_or_default());
        let seq = (CLIENT_ISN + 1).wrapping_add(at);
        let bare = segment(source, server(), flags::ACK);
        write(out, &Segment { seq, ack: SERVER_ISN + 1, payload: b"x", ..bare });
    }

    /// A middle fragment of 64 bytes at a random multiple of 8, of one of a million packets.
    fn fragment(&mut self, out: &mut Vec<u8>) {
        let source = SocketAddrV4::new([10, 3, 0, 1].into(), 1);
        let bare = segment(source, server(), flags::ACK);
        write(out, &Segment { payload: &[b'f'; 44], ..bare });
        let [identification, offset] = [self.random.half(), self.random.half() % 8000];
        out[IP + 4..IP + 6].copy_from_slice(&identification.to_be_bytes());
        out[IP + 6..IP + 8].copy_from_slice(&(0x2000 | offset).to_be_bytes());
        out[IP + 15] = self.random.byte() & 0xf;
        repair(out);
    }
}

/// The stack under attack, with its clock.
#[derive(Debug)]
struct Target {
    stack: Stack,
    now: Instant,
    flows_most: u64,
    pool_most: u64,
}

impl Target {
    fn new() -> Self {
        let stack = Stack::new(WorkerId::default(), limits(), 7).expect("limits in range");
        let now = Instant::EPOCH.after(Duration::from_secs(1_700_000_000));
        let mut target = Self { stack, now, flows_most: 0, pool_most: 0 };
        for (net, count) in [(1, 64), (2, BYSTANDERS)] {
            for number in 0..count {
                target.establish(established(net, number));
            }
        }
        target
    }

    fn establish(&mut self, client: SocketAddrV4) {
        use flags::{ACK, SYN};
        let (next, answered) = (CLIENT_ISN + 1, SERVER_ISN + 1);
        let steps = [
            Segment { seq: CLIENT_ISN, ..segment(client, server(), SYN) },
            Segment { seq: SERVER_ISN, ack: next, ..segment(server(), client, SYN | ACK) },
            Segment { seq: next, ack: answered, ..segment(client, server(), ACK) },
        ];
        let frames = steps.map(|step| {
            let mut frame = Vec::new();
            write(&mut frame, &step);
            frame
        });
        self.take(&frames);
    }

    /// Handles frames as a worker does; returns the CPU time that it took.
    fn take(&mut self, frames: &[Vec<u8>]) -> Duration {
        let arriving = |bytes: &Vec<u8>| {
            self.now = self.now.after(STEP);
            let wire_length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let (arrival, link, checksums) = (self.now, Link::Ethernet, Checksums::Unknown);
            (arrival, link, checksums, wire_length)
        };
        let times: Vec<_> = frames.iter().map(arriving).collect();
        let frames: Vec<_> = frames
            .iter()
            .zip(times)
            .map(|(bytes, (arrival, link, checksums, wire_length))| Frame {
                arrival,
                link,
                bytes,
                wire_length,
                checksums,
            })
            .collect();
        let began = cpu_time();
        for burst in frames.chunks(BURST) {
            self.stack.handle_burst(burst, &mut ());
            let now = burst.last().map_or(self.now, |last| last.arrival);
            self.stack.handle_timeout(now, EXPIRY_BUDGET, &mut ());
        }
        let taken = cpu_time().saturating_sub(began);
        let gauges = self.stack.gauges();
        self.flows_most = self.flows_most.max(gauges.flows);
        self.pool_most = self.pool_most.max(gauges.pool_used_bytes);
        taken
    }

    /// Established flows that are still monitored.
    fn bystanders(&self) -> usize {
        let is_there = |number: &u16| {
            let client = established(2, *number);
            self.stack.find(client.into(), server().into(), None).len() == 1
        };
        (0..BYSTANDERS).filter(is_there).count()
    }
}

/// CPU time that this thread has used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// A stack and its sender; handles one batch after another.
#[derive(Debug)]
struct Trial {
    target: Target,
    attacker: Attacker,
    frames: Vec<Vec<u8>>,
    /// CPU time per packet of each batch, in picoseconds.
    costs: Vec<u64>,
}

impl Trial {
    fn new(kind: Kind, seed: u64) -> Self {
        let frames = vec![Vec::new(); BATCH];
        let (target, attacker) = (Target::new(), Attacker::new(kind, seed));
        Self { target, attacker, frames, costs: Vec::new() }
    }

    fn batch(&mut self, size: usize) {
        let frames = &mut self.frames[..size];
        frames.iter_mut().for_each(|frame| self.attacker.next(frame));
        let picoseconds = self.target.take(frames).as_nanos() * 1000 / size.max(1) as u128;
        self.costs.push(u64::try_from(picoseconds).unwrap_or(u64::MAX));
    }
}

/// Floods a fresh stack with `packets` packets of one kind.
///
/// # Panics
///
/// When a packet is not accounted for, memory exceeds its bound, or an established flow is lost.
#[must_use]
pub fn run(kind: Kind, packets: u64, seed: u64) -> Figures {
    let (mut attack, mut plain) = (Trial::new(kind, seed), Trial::new(Kind::Plain, seed));
    let established = attack.target.stack.stats().clone();
    let (mut left, mut grown) = (packets, 0_i64);
    while left > 0 {
        let size = usize::try_from(left).map_or(BATCH, |left| left.min(BATCH));
        let before = Memory::own().resident;
        attack.batch(size);
        grown += Memory::own().resident.cast_signed() - before.cast_signed();
        plain.batch(size);
        left -= size as u64;
    }
    let grown = u64::try_from(grown).unwrap_or_default();
    check(kind, &attack.target, &established, packets, grown);
    let (count, tenth) = (attack.costs.len(), (attack.costs.len() / 10).max(1));
    let cost = |batches: Range<usize>| Cost {
        attack: median(&attack.costs[batches.clone()]),
        plain: median(&plain.costs[batches]),
    };
    Figures {
        kind,
        packets,
        cost: cost(0..count),
        early: cost(tenth.min(count - 1)..(2 * tenth).min(count)),
        late: cost(count - tenth..count),
        flows_most: attack.target.flows_most,
        pool_most: attack.target.pool_most,
        grown,
    }
}

/// The median, because a busy machine disturbs single batches.
fn median(costs: &[u64]) -> u64 {
    let mut costs = costs.to_vec();
    costs.sort_unstable();
    costs.get(costs.len() / 2).copied().unwrap_or_default()
}

fn check(kind: Kind, target: &Target, before: &Stats, packets: u64, grown: u64) {
    let stats = target.stack.stats();
    let since = |stat: Stat| stats.get(stat) - before.get(stat);
    let limits = limits();
    assert_eq!(stats.packets() - before.packets(), packets, "{kind:?}: packets unaccounted");
    assert_eq!(target.bystanders(), usize::from(BYSTANDERS), "{kind:?}: a bystander is lost");
    assert!(target.pool_most <= limits.pool_bytes, "{kind:?}");
    let bound = limits.pool_bytes + u64::from(limits.flows_max) * SLOT_BYTES + SLACK_BYTES;
    assert!(grown <= bound, "{kind:?}: {grown} bytes, bound {bound}");
    let established = 64 + u64::from(BYSTANDERS);
    match kind {
        Kind::Ack | Kind::Rst | Kind::Fin => {
            assert_eq!(since(Stat::PacketsOrphan), packets, "{kind:?}");
            assert_eq!(target.flows_most, established, "{kind:?} opens flows");
        }
        Kind::Syn | Kind::PingPong | Kind::NearTuples | Kind::OptionBomb => {
            let most = u64::from(limits.half_open_max) + established;
            assert!(target.flows_most <= most, "{kind:?}: {} flows", target.flows_most);
            assert_eq!(since(Stat::PacketsTableFull), 0, "{kind:?}");
        }
        Kind::Hoarder => assert!(since(Stat::RefusedBytes) > 0, "{kind:?} was not bounded"),
        Kind::OneByte => assert_eq!(since(Stat::RefusedBytes), 0, "{kind:?}"),
        Kind::Fragments => {
            let held = since(Stat::PacketsFragment) + since(Stat::PacketsFragmentRefused);
            assert_eq!(held + since(Stat::PacketsFragmentOverlap), packets, "{kind:?}");
        }
        Kind::Plain => assert!(since(Stat::PacketsMonitored) > 0, "{kind:?}"),
    }
}
