//! Many flows, one after another, over virtual days: nothing leaks, and no handle ever names
//! another flow.
//!
//! The source has a virtual clock. `SLOTS` clients take turns, a packet each. Most of their
//! connections end by FIN, some by RST, some become silent, half-open or established. Sometimes the
//! next connection has the tuple of the last.

use std::{collections::HashMap, net::SocketAddrV4, time::Duration};

use mos_stack::{
    Checksums, EndCause, Event, EventKind, EventKinds, EventSink, Fact, FlowId, FlowRef, FlowTuple,
    Frame, Instant, Limits, Link, Stack, Stat, WorkerId,
};

use super::{
    frame::{Segment, flags, write},
    memory::{Memory, Span},
    random::Random,
};

/// Clients that take turns.
const SLOTS: usize = 1000;
/// Time from one packet to the next; a flow takes some seconds.
const STEP: Duration = Duration::from_micros(1150);
/// One flow in `SAMPLE` is remembered by its handle.
const SAMPLE: u64 = 1024;
/// Bound of a worker's table, in flows.
const FLOWS_MAX: u32 = 16_384;
const POOL_BYTES: u64 = 64 << 20;
/// Timeouts that a worker handles in one turn.
const EXPIRY_BUDGET: u32 = 64;
/// Number of checks, each of which reads the memory and looks all handles up.
const LOOKS: u64 = 50;

/// Figures of a run.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Flows opened, all of which have ended.
    pub flows: u64,
    /// Packets handled.
    pub packets: u64,
    /// Virtual time that passed.
    pub virtual_time: Duration,
    /// Flows by cause: FIN, RST, timeout, reused.
    pub ended: [u64; 4],
    /// Flows at once, at most, at the checks.
    pub flows_most: u64,
    /// Handles that were remembered.
    pub handles: usize,
    /// Lookups of remembered handles.
    pub tries: u64,
    /// Resident memory after the first tenth.
    pub memory: Span,
}

/// The course of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Fin,
    Rst,
    SilentEstablished,
    SilentHalfOpen,
}

impl Course {
    /// Number of its packets.
    const fn packets(self) -> u8 {
        match self {
            Self::Fin => 7,
            Self::Rst => 5,
            Self::SilentEstablished => 4,
            Self::SilentHalfOpen => 1,
        }
    }
}

/// A client with its present connection.
#[derive(Debug, Clone, Copy)]
struct Client {
    source: SocketAddrV4,
    initial: [u32; 2],
    course: Course,
    sent: u8,
}

impl Client {
    fn begin(&mut self, random: &mut Random) {
        let port = self.source.port();
        // The tuple of the last connection is reused at once, or only after all others.
        let next = if random.one_in(8) { port } else { port.checked_add(1).unwrap_or(1024) };
        self.source.set_port(next);
        self.initial = [random.word(), random.word()];
        self.sent = 0;
        self.course = match random.below(16) {
            0 => Course::SilentEstablished,
            1 => Course::SilentHalfOpen,
            2..=4 => Course::Rst,
            _ => Course::Fin,
        };
    }

    /// Writes the next packet.
    fn speak(&mut self, server: SocketAddrV4, out: &mut Vec<u8>) {
        use flags::{ACK, FIN, RST, SYN};
        const PAYLOAD: [u8; 100] = [b'x'; 100];
        let [client_isn, server_isn] = self.initial;
        let client = client_isn.wrapping_add(1);
        let server_next = server_isn.wrapping_add(1);
        let after = client.wrapping_add(100);
        let nothing: &[u8] = &[];
        let (from_client, seq, ack, bits, payload) = match (self.sent, self.course) {
            (0, _) => (true, client_isn, 0, SYN, nothing),
            (1, _) => (false, server_isn, client, SYN | ACK, nothing),
            (2, _) => (true, client, server_next, ACK, nothing),
            (3, _) => (true, client, server_next, ACK, PAYLOAD.as_slice()),
            (_, Course::Rst) => (true, after, server_next, RST | ACK, nothing),
            (4, _) => (true, after, server_next, FIN | ACK, nothing),
            (5, _) => (false, server_next, after.wrapping_add(1), FIN | ACK, nothing),
            (_, _) => (true, after.wrapping_add(1), server_next.wrapping_add(1), ACK, nothing),
        };
        let (source, target) =
            if from_client { (self.source, server) } else { (server, self.source) };
        let segment = Segment { source, target, seq, ack, flags: bits, options: &[], payload };
        write(out, &segment);
        self.sent += 1;
    }
}

/// A flow that is remembered by its handle.
#[derive(Debug, Clone, Copy)]
struct Remembered {
    tuple: FlowTuple,
    started: Instant,
    ended: bool,
}

/// Remembers a sample of the flows that it gets events of.
#[derive(Debug, Default)]
struct Register {
    started: u64,
    ended: u64,
    sample: HashMap<FlowId, Remembered>,
}

impl EventSink for Register {
    fn wanted(&self) -> EventKinds {
        EventKinds::NONE.with(EventKind::FlowStarted).with(EventKind::FlowEnded)
    }

    fn on_event(&mut self, event: &Event) {
        let Some(id) = event.flow else { return };
        if event.fact == Fact::FlowStarted {
            self.started += 1;
            let flow = Remembered { tuple: event.tuple, started: event.time, ended: false };
            let known = self.sample.contains_key(&id);
            assert!(!known, "the handle {id} was given out twice");
            if self.started.is_multiple_of(SAMPLE) {
                self.sample.insert(id, flow);
            }
        } else {
            self.ended += 1;
            if let Some(flow) = self.sample.get_mut(&id) {
                assert!(!flow.ended && flow.tuple == event.tuple, "{id} ends as another flow");
                flow.ended = true;
            }
        }
    }

    fn flow_ended(&mut self, _flow: &FlowRef<'_>, _cause: Option<EndCause>) {}
}

impl Register {
    /// Looks every handle up: it must name the flow that it was issued for, and only while that is
    /// live.
    fn try_all(&self, stack: &Stack) -> u64 {
        for (id, flow) in &self.sample {
            match stack.summary(*id) {
                Ok(found) => {
                    assert!(!flow.ended, "the handle {id} of an ended flow answers");
                    assert_eq!((found.id, found.tuple), (*id, flow.tuple));
                    assert_eq!(found.started, flow.started, "another flow answers for {id}");
                }
                Err(error) => assert!(flow.ended, "a live flow does not answer: {error:?}"),
            }
        }
        self.sample.len() as u64
    }
}

/// Opens and closes `flows` flows.
///
/// # Panics
///
/// When something leaks, or a handle names another flow.
#[must_use]
pub fn run(flows: u64, seed: u64) -> Figures {
    let limits = Limits { flows_max: FLOWS_MAX, pool_bytes: POOL_BYTES, ..Limits::default() };
    let mut stack = Stack::new(WorkerId::default(), limits, seed).expect("limits in range");
    let mut register = Register::default();
    let mut random = Random::new(seed);
    let server = SocketAddrV4::new([192, 0, 2, 1].into(), 443);
    let mut clients: Vec<Client> = (0..SLOTS).map(|slot| client(slot, &mut random)).collect();
    let begin = Instant::EPOCH.after(Duration::from_secs(1_700_000_000));
    let (mut now, mut packets, mut next_look, mut tries) = (begin, 0, 0, 0);
    let (mut memory, mut flows_most) = (None::<Span>, 0);
    let mut out = Vec::new();
    while register.started < flows {
        for client in &mut clients {
            if client.sent == client.course.packets() {
                client.begin(&mut random);
            }
            client.speak(server, &mut out);
            now = now.after(STEP);
            stack.handle_burst(&[frame(&out, now)], &mut register);
            packets += 1;
        }
        // As often as a worker would, with its budget for each turn.
        for _ in 0..SLOTS / 32 {
            stack.handle_timeout(now, EXPIRY_BUDGET, &mut register);
        }
        if register.started >= next_look {
            next_look += flows / LOOKS;
            tries += register.try_all(&stack);
            flows_most = flows_most.max(stack.gauges().flows);
            let resident = Memory::own().resident;
            if register.started > flows / 10 {
                memory.get_or_insert_with(|| Span::of(resident)).take(resident);
            }
        }
    }
    now = wind_down(&mut stack, now, &mut register);
    tries += register.try_all(&stack);
    check(&stack, &register, packets);
    let ended =
        [Stat::FlowsEndedFin, Stat::FlowsEndedRst, Stat::FlowsEndedTimeout, Stat::FlowsEndedReused];
    Figures {
        flows: register.started,
        packets,
        virtual_time: now.since(begin),
        ended: ended.map(|stat| stack.stats().get(stat)),
        flows_most,
        handles: register.sample.len(),
        tries,
        memory: memory.unwrap_or(Span::of(0)),
    }
}

fn client(slot: usize, random: &mut Random) -> Client {
    let [.., a, b] = slot.to_be_bytes();
    let source = SocketAddrV4::new([10, 0, a, b].into(), 1024);
    let mut client = Client { source, initial: [0; 2], course: Course::Fin, sent: 0 };
    client.begin(random);
    client
}

fn frame(bytes: &[u8], arrival: Instant) -> Frame<'_> {
    let wire_length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let checksums = Checksums::Unknown;
    Frame { arrival, link: Link::Ethernet, bytes, wire_length, checksums }
}

/// Advances the time until every timer has expired.
fn wind_down(stack: &mut Stack, mut now: Instant, register: &mut Register) -> Instant {
    for _ in 0..7200 {
        now = now.after(Duration::from_millis(100));
        for _ in 0..16 {
            stack.handle_timeout(now, EXPIRY_BUDGET, register);
        }
    }
    now
}

fn check(stack: &Stack, register: &Register, packets: u64) {
    let (stats, gauges) = (stack.stats(), stack.gauges());
    assert_eq!(gauges.flows, 0, "flows are left behind");
    assert_eq!(gauges.pool_used_bytes, 0, "buffers are left behind");
    assert_eq!(stats.packets(), packets, "packets in = packets accounted");
    assert_eq!(stats.get(Stat::PacketsTableFull), 0);
    assert_eq!(stats.get(Stat::FlowsStarted), register.started);
    assert_eq!(register.started, register.ended, "each flow ends exactly once");
    assert!(register.sample.values().all(|flow| flow.ended));
}
