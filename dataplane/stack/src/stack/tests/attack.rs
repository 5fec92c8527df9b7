//! Fuzz target: a connection between two honest endpoints, and an attacker who speaks as one.
//!
//! What the stack shows, up to what was acknowledged, is what the receiver's application reads, or
//! the difference is told. The endpoints take what the RFCs let them, or what their taste adds: so
//! no rule of the stack can be a guess that happens to be right for one system.

#![expect(clippy::cast_possible_truncation, reason = "choices of the input are small")]

use core::ops::Range;
use std::{
    collections::{BTreeMap, VecDeque},
    vec,
    vec::Vec,
};

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;
use crate::{
    Event, EventKinds, FlowRef, FlowTuple, StreamOffset, Suspicion,
    aside::STRETCHES_MAX,
    tcp::prediction,
    testing::{
        Input, check_seeds,
        endpoint::{Endpoint, Received, Said, Taste, flags, honest_byte},
    },
};
use flags::{ACK, FIN, PSH, RST, SYN};

#[test]
fn attacked_connection() {
    bolero::check!()
        .with_iterations(2_000)
        .with_max_len(100)
        .for_each(|input| run(input, 0).check());
}

/// What the stack has shown of one direction.
#[derive(Debug, Default)]
struct Shown {
    bytes: Vec<Option<u8>>,
    conflicts: Vec<Range<u64>>,
    gaps: Vec<Range<u64>>,
    acknowledged: u64,
    /// Whether it was told that the stream may end elsewhere.
    is_end_doubtful: bool,
}

/// What the stack has shown of one flow: by the sender of each direction.
#[derive(Debug)]
struct Seen {
    tuple: FlowTuple,
    sent: Sides<Shown>,
}

/// Hears everything that the stack tells.
#[derive(Default)]
struct Witness {
    events: Vec<Event>,
    flows: BTreeMap<FlowId, Seen>,
    /// Whether the stack has seen the end of a connection.
    has_ended: bool,
}

impl EventSink for Witness {
    fn wanted(&self) -> EventKinds {
        EventKinds::ALL
    }

    fn on_event(&mut self, event: &Event) {
        self.events.push(*event);
        let Some(id) = event.flow else { return };
        let new = || Seen { tuple: event.tuple, sent: Sides::default() };
        let seen = self.flows.entry(id).or_insert_with(new);
        match event.fact {
            Fact::Gap { side, offset, length } => {
                seen.sent[side.peer()].gaps.push(offset.0..offset.0 + length);
            }
            Fact::OverlapConflict { side, offset, length, .. } => {
                seen.sent[side.peer()].conflicts.push(offset.0..offset.0 + length);
            }
            Fact::SuspiciousSegment { side, reason: Suspicion::Fin } => {
                seen.sent[side].is_end_doubtful = true;
            }
            Fact::StateChanged { to: TcpState::Closed | TcpState::TimeWait, .. } => {
                self.has_ended = true;
            }
            Fact::FlowStarted
            | Fact::FlowEstablished
            | Fact::StateChanged { .. }
            | Fact::NewData { .. }
            | Fact::Retransmission { .. }
            | Fact::BufferOverrun { .. }
            | Fact::SuspiciousSegment { .. }
            | Fact::OrphanPacket
            | Fact::FlowEnded(_)
            | Fact::OptionsChanged { .. }
            | Fact::FlowStatus { .. } => {}
        }
    }

    fn wants_streams(&self) -> bool {
        true
    }

    fn on_stream(&mut self, flow: FlowId, side: Side, offset: StreamOffset, bytes: &[u8]) {
        let shown = &mut self.flows.get_mut(&flow).expect("it has begun").sent[side.peer()].bytes;
        let start = usize::try_from(offset.0).expect("short");
        assert!(shown.len() <= start, "every byte once, and in order");
        shown.resize(start, None);
        shown.extend(bytes.iter().copied().map(Some));
    }

    fn flow_ended(&mut self, flow: &FlowRef<'_>, _cause: Option<EndCause>) {
        let summary = flow.summary();
        let seen = self.flows.get_mut(&summary.id).expect("it has begun");
        for from in Side::BOTH {
            let acknowledged = summary.sides[from].acknowledged;
            seen.sent[from].acknowledged = acknowledged.unwrap_or_default().0;
        }
    }
}

/// Two endpoints, the path between them, and the stack that watches it.
struct Run {
    stack: Stack,
    witness: Witness,
    addresses: Sides<SocketAddr>,
    ends: Sides<Endpoint>,
    /// What is under way to each side.
    under_way: Sides<VecDeque<Said>>,
    /// The side in whose name the attacker speaks.
    villain: Side,
    now: Instant,
    clock: u32,
    /// Bytes that the attacker has made up.
    made_up: u8,
    /// Segments with payload, or a FIN, that the attacker has sent.
    stretches: usize,
    /// Whether the applications read only when they are told to.
    is_slow: bool,
    /// The largest window that the attacker grants.
    forged_window: u16,
}

/// How many segments may answer each other: endpoints that disagree never stop.
const ANSWERS_MAX: usize = 12;

impl Run {
    fn new(input: &mut Input<'_>, forged_window: u16) -> Self {
        let switches = input.byte();
        let has_stamps = switches & 1 != 0;
        let signs = switches & 0x30 == 0x30;
        let limits = Limits { pool_bytes: 1 << 20, flows_max: 64, ..Limits::default() };
        let limits = with_policy(limits, input.pick(&OverlapPolicy::ALL));
        let mut taste = || match input.byte() {
            0 => Taste::STRICT,
            1 => Taste::LENIENT,
            high => Taste::of(u16::from(high) << 8 | u16::from(input.byte())),
        };
        let tastes = Sides { client: taste(), server: taste() };
        let mut end = |side| {
            let iss = u32::from(input.u16()) << 16;
            let capacity = input.pick(&[4096, 40, 9, 65_535]);
            Endpoint::new(side, tastes[side], iss, capacity, has_stamps).signing(signs)
        };
        let ends = Sides { client: end(Side::Client), server: end(Side::Server) };
        let mut run = Self {
            stack: Stack::new(WorkerId::default(), limits, 1).expect("limits"),
            witness: Witness::default(),
            addresses: Sides {
                client: SocketAddr::from(([10, 0, 0, 1], 4000)),
                server: SocketAddr::from(([192, 0, 2, 1], 80)),
            },
            ends,
            under_way: Sides::default(),
            villain: if switches & 2 == 0 { Side::Client } else { Side::Server },
            now: Instant::from_nanos(1_700_000_000_000_000_000),
            clock: 1000,
            made_up: 0,
            stretches: 0,
            is_slow: switches & 8 != 0,
            forged_window,
        };
        run.tick();
        if switches & 4 == 0 {
            run.ends.client.connect();
            run.deliver_all();
        }
        run
    }

    fn tick(&mut self) {
        self.now = self.now.after(Duration::from_millis(1));
        self.clock += 1;
        for side in Side::BOTH {
            self.ends[side].set_clock(self.clock);
            if !self.is_slow {
                self.ends[side].read();
            }
        }
    }

    /// The stack sees a segment, which then is under way to the other side.
    fn pass(&mut self, by: Side, said: Said) {
        let mut options = vec![];
        if let Some((value, echo)) = said.stamp {
            options.extend([1, 1, 8, 10]);
            options.extend([value.to_be_bytes(), echo.to_be_bytes()].concat());
        }
        if said.is_signed {
            options.extend([1, 1, 19, 18]);
            options.extend([7; 16]);
        }
        let frame = FrameBuilder::between(self.addresses[by], self.addresses[by.peer()])
            .flag_bits(said.flags)
            .seq(said.seq, said.ack)
            .window(said.window)
            .tcp_options(&options)
            .payload(&said.payload)
            .build();
        let frame = FrameBuilder::arriving(&frame, self.now);
        self.stack.handle_burst(&[frame], &mut self.witness);
        self.under_way[by.peer()].push_back(said);
    }

    /// What an endpoint has said goes on its way.
    fn listen_to(&mut self, by: Side) {
        for said in self.ends[by].take_said() {
            self.pass(by, said);
        }
    }

    fn deliver_all(&mut self) {
        for side in Side::BOTH {
            self.listen_to(side);
        }
        for side in [Side::Server, Side::Client].into_iter().cycle().take(2 * ANSWERS_MAX) {
            if let Some(said) = self.under_way[side].pop_front() {
                self.ends[side].receive(&said);
                self.listen_to(side);
            }
        }
    }

    /// The first segment under way to each side comes last.
    fn overtake(&mut self) {
        for under_way in [&mut self.under_way.client, &mut self.under_way.server] {
            under_way.rotate_left(usize::from(under_way.len() > 1));
        }
    }

    fn op(&mut self, input: &mut Input<'_>) {
        self.tick();
        let what = input.byte();
        let side = if what & 0x10 == 0 { Side::Client } else { Side::Server };
        let end = &mut self.ends[side];
        match what % 16 {
            0..2 => end.send(1 + i64::from(input.byte() % 32)),
            2 => end.repeat(1 + i64::from(input.byte() % 64)),
            3 => end.acknowledge(),
            4 => end.close(),
            5 => end.read(),
            6 if side == Side::Client => end.connect(),
            6 => self.overtake(),
            7 => self.under_way[side].clear(),
            _ => {
                let said = self.forge(input);
                self.pass(self.villain, said);
            }
        }
        self.listen_to(side);
        // Lost behind the stack, late, or there at once.
        match what >> 5 {
            0 => drop(self.under_way[side.peer()].pop_back()),
            1 | 2 => {}
            _ => self.deliver_all(),
        }
    }

    /// A segment in the name of the villain's side, near what its victim expects. It grants no
    /// window: the victim sends nothing that its true peer has no room for.
    fn forge(&mut self, input: &mut Input<'_>) -> Said {
        let (near, distance) = (input.byte(), input.byte());
        let [seq_next, seq_una, iss, ..] = self.ends[self.villain].numbers();
        let [ack_next, ack_una, victim_iss, expected, edge] =
            self.ends[self.villain.peer()].numbers();
        let seq = [expected, expected, seq_next, seq_una, edge, iss][usize::from(near % 8) % 6];
        let ack = [ack_next, ack_next, ack_una, victim_iss][usize::from(near >> 3 & 3)];
        let (how, what) = (input.byte(), input.byte());
        let flags = [PSH | ACK, ACK, FIN | ACK, RST, RST | ACK, SYN, SYN | ACK, PSH];
        let off = [0, 0, 0, 0, 0, 1, -1, 5, -5, 1000, -1000, 70_000, -70_000, -200_000];
        let off = off.get(usize::from(how >> 3 & 15)).copied().unwrap_or(i32::MIN);
        let mut flags = flags[usize::from(how & 7)];
        // After the end of a flow, a SYN begins another one at once; and nobody can answer a SYN
        // before it was sent.
        let is_question = flags == SYN && !self.witness.has_ended;
        let is_answer = flags == SYN | ACK && self.ends.client.has_asked();
        if flags & SYN != 0 && !is_question && !is_answer {
            flags = ACK;
        }
        let length = usize::from(what % 24).saturating_sub(4);
        let (clock, echo) = self.ends[self.villain].stamps();
        let has_stamps = self.ends[self.villain.peer()].has_stamps();
        let stamp = match near >> 5 {
            0..3 if has_stamps => Some((clock, echo)),
            3 if has_stamps => Some((clock.wrapping_sub(500), echo)),
            4 => Some((clock.wrapping_add(500), echo)),
            5 => Some((clock.wrapping_sub(1), echo)),
            6 => Some((clock.wrapping_add(1 << 31), 0)),
            _ => None,
        };
        let mut said = Said {
            flags,
            seq: seq.wrapping_add_signed(i32::from(distance.cast_signed())),
            ack: if flags & ACK == 0 { 0 } else { ack.wrapping_add_signed(off) },
            window: self.ends[self.villain].window().min(self.forged_window),
            stamp,
            is_signed: what >= 240,
            payload: vec![],
        };
        // Of several SYNs, the stack keeps the payload of none but the one that stands.
        // Before the handshake is complete, no payload and no FIN is forged.
        let is_early = Side::BOTH.into_iter().any(|side| !self.ends[side].is_open());
        if flags & (RST | SYN) == 0 {
            said.payload = (0..length).map(|_| self.make_up()).collect();
        }
        // The stack keeps no more stretches of a side than that, one of which may be honest.
        self.stretches += usize::from(!said.payload.is_empty() || said.has(FIN));
        if self.stretches >= STRETCHES_MAX || is_early {
            said.payload.clear();
            said.flags &= !FIN;
        }
        said
    }

    /// A byte that no honest endpoint sends.
    const fn make_up(&mut self) -> u8 {
        self.made_up = (self.made_up + 1) % 26;
        b'A' + self.made_up
    }

    /// The honest ones say again what they have to say.
    fn settle(&mut self) {
        for _ in 0..4 {
            self.tick();
            for side in Side::BOTH {
                self.ends[side].read();
                self.ends[side].acknowledge();
                self.ends[side].repeat(64);
                self.deliver_all();
            }
        }
    }

    fn check(&self) {
        let victim = self.villain.peer();
        let from_villain: Vec<_> = self.shown(self.villain).collect();
        for received in self.ends[victim].received().filter(|of| of.acknowledged > 0) {
            let is_shown = from_villain.iter().any(|shown| is_same(shown, received));
            assert!(is_shown, "{received:?}\nis not shown:\n{from_villain:?}");
        }
        for shown in from_villain.iter().filter(|shown| shown.acknowledged > 0) {
            let is_received = self.ends[victim].received().any(|of| is_same(shown, of));
            assert!(is_received || is_told(shown), "nobody received {shown:?}");
        }
        for shown in self.shown(victim) {
            let honest = |(at, byte): (usize, &Option<u8>)| *byte == Some(honest_byte(victim, at));
            assert!(shown.bytes.iter().enumerate().all(honest), "{shown:?}");
            assert_eq!((&shown.gaps, &shown.conflicts), (&vec![], &vec![]));
        }
    }

    /// What the stack has shown of a direction, flow by flow.
    fn shown(&self, from: Side) -> impl Iterator<Item = &Shown> {
        self.witness.flows.values().map(move |seen| {
            let is_mirrored = seen.tuple.client != self.addresses.client;
            &seen.sent[if is_mirrored { from.peer() } else { from }]
        })
    }
}

impl Shown {
    fn at(&self, offset: u64) -> Option<u8> {
        self.bytes.get(offset as usize).copied().flatten()
    }

    /// Whether it was told that a byte may be another one, or that it is missing.
    fn is_told(&self, offset: u64) -> bool {
        let told = if self.at(offset).is_some() { &self.conflicts } else { &self.gaps };
        told.iter().any(|range| range.contains(&offset))
    }
}

/// Whether a flow shows what was received, or tells of each difference.
fn is_same(shown: &Shown, received: &Received) -> bool {
    let is_right = |(at, byte): (u64, &u8)| shown.at(at) == Some(*byte) || shown.is_told(at);
    // A FIN and a byte in the same place are acknowledged by the same number.
    let further = shown.acknowledged.abs_diff(received.acknowledged);
    further <= u64::from(shown.is_end_doubtful)
        && (0..shown.acknowledged).zip(&received.bytes).all(is_right)
}

/// Whether a flow tells of all that it shows, or does not show, that it may be otherwise.
fn is_told(shown: &Shown) -> bool {
    (0..shown.acknowledged).all(|at| shown.is_told(at))
}

fn with_policy(mut limits: Limits, policy: OverlapPolicy) -> Limits {
    limits.defaults.overlap = Sides::both(policy);
    limits.defaults.buffer_bytes = Sides::both(1 << 20);
    limits
}

/// Runs a program.
fn run(input: &[u8], forged_window: u16) -> Run {
    let mut input = Input::new(input);
    let mut run = Run::new(&mut input, forged_window);
    while !input.is_empty() {
        run.op(&mut input);
    }
    run.settle();
    run.stack.finish(&mut run.witness);
    run
}

/// Programs for [`run`]: an exchange, something forged, and the exchange goes on.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    const STAMPS: u8 = 1;
    const AS_SERVER: u8 = 2;
    const FROM_THE_SYN: u8 = 4;
    const SIGNS: u8 = 0x30;
    const BYTES: u8 = 4 + 6;
    const SIGNED: u8 = 250;
    let setup = |switches: u8| vec![switches, 0, 0, 1, 0x12, 0x34, 0, 0xff, 0xff, 0];
    let (says, answers, late) = ([0x60, 9], [0x70, 5], 0x20);
    let forged =
        |near: u8, flags: u8, off: u8, what: u8| [0x60 | 8, near, 0, off << 3 | flags, what];
    let close = [0x64, 0x74, 0x63];
    let seed = |switches: u8, forged: [u8; 5]| {
        [&setup(switches)[..], &says, &answers, &forged, &says, &answers, &close].concat()
    };
    vec![
        ("honest", [&setup(STAMPS)[..], &says, &answers, &says, &close].concat()),
        ("in-order", seed(0, forged(0, 0, 0, BYTES))),
        ("ahead", seed(0, [0x68, 0, 5, 0, BYTES])),
        ("ack-too-old", seed(0, forged(0, 0, 13, BYTES))),
        ("ack-not-sent", seed(AS_SERVER, forged(0, 0, 9, BYTES))),
        ("old-stamp", seed(STAMPS, forged(0x60, 0, 0, BYTES))),
        ("no-stamp", seed(STAMPS, forged(0xe0, 0, 0, BYTES))),
        ("signed", seed(AS_SERVER, forged(0, 0, 0, SIGNED))),
        ("not-signed", seed(SIGNS, forged(0, 0, 0, BYTES))),
        ("beyond-the-window", seed(0, forged(4, 0, 0, BYTES))),
        ("fin", seed(0, forged(0, 2, 0, 0))),
        ("doubtful-fin", seed(0, forged(0, 2, 9, BYTES))),
        ("reset", seed(AS_SERVER, forged(0, 3, 0, 0))),
        ("reset-in-the-window", seed(0, [0x68, 0, 3, 3, 0])),
        ("syn", seed(0, forged(0, 5, 0, 0))),
        ("syn-ack", seed(AS_SERVER, forged(0, 6, 0, BYTES))),
        ("no-ack", seed(0, forged(0, 7, 0, BYTES))),
        (
            "syn-before",
            [&setup(FROM_THE_SYN)[..], &forged(0, 5, 0, BYTES), &[0x66], &says, &close].concat(),
        ),
        (
            "lost-and-late",
            [&setup(0)[..], &[0, 9, late, 9], &forged(0, 0, 0, BYTES), &[0x62, 64]].concat(),
        ),
    ]
}

/// One change of a program: where, relative to its length, and what.
#[derive(Debug, Clone)]
enum Change {
    Set(u8),
    /// A byte more: what follows means something else.
    Insert(u8),
    /// One honest step.
    Step(u8, u8),
    /// Something forged, as in the seeds: near, distance, how, what.
    Forge(u8, [u8; 4]),
    /// The exchange of a seed follows.
    Append(usize),
}

/// The setup of a program: what comes before its first step.
const SETUP: usize = 10;

impl Change {
    fn apply(self, program: &mut Vec<u8>, at: u16) {
        let at = usize::from(at) % program.len();
        match self {
            Self::Set(byte) => program[at] = byte,
            Self::Insert(byte) => program.insert(at, byte),
            Self::Step(what, more) => drop(program.splice(at..at, [0x60 | (what % 32), more])),
            Self::Forge(when, forged) => {
                let step = [0x08, 0x28, 0x68][usize::from(when % 3)] | (when & 0x10);
                program.splice(at..at, [&[step][..], &forged].concat());
            }
            Self::Append(seed) => {
                let seeds = seeds();
                program.extend(&seeds[seed % seeds.len()].1[SETUP..]);
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let mostly_zero = || prop_oneof![Just(0), any::<u8>()];
    let forged = (mostly_zero(), mostly_zero(), any::<u8>(), 0..30u8);
    prop_oneof![
        any::<u8>().prop_map(Change::Set),
        any::<u8>().prop_map(Change::Insert),
        any::<(u8, u8)>().prop_map(|(what, more)| Change::Step(what, more)),
        (any::<u8>(), forged).prop_map(|(when, (near, distance, how, what))| {
            Change::Forge(when, [near, distance % 8, how, what])
        }),
        any::<usize>().prop_map(Change::Append),
    ]
}

fn seed() -> RngSeed {
    let given = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok());
    RngSeed::Fixed(given.unwrap_or(1))
}

/// A seed with other tastes and numbers, and some changes.
fn programs() -> impl Strategy<Value = Vec<u8>> {
    let setup =
        prop::array::uniform6(prop_oneof![2 => Just(None), 1 => any::<u8>().prop_map(Some)]);
    let changes = prop::collection::vec((any::<u16>(), change()), 0..12);
    (any::<usize>(), changes, setup).prop_map(|(seed, changes, setup)| {
        let seeds = seeds();
        let mut program = seeds[seed % seeds.len()].1.clone();
        for (at, change) in changes {
            change.apply(&mut program, at);
        }
        for (byte, other) in program[3..].iter_mut().zip(setup) {
            *byte = other.unwrap_or(*byte);
        }
        program
    })
}

proptest! {
    // The same programs each time, unless `PROPTEST_RNG_SEED` says otherwise: a search is for those
    // who want to find something.
    #![proptest_config(ProptestConfig {
        rng_seed: seed(),
        failure_persistence: None,
        ..ProptestConfig::with_cases(20_000)
    })]

    /// Finds in seconds what bytes without a form find in hours.
    #[test]
    fn a_changed_attack_shows_what_was_received(program in programs()) {
        run(&program, 0).check();
    }

    /// A predicted segment that takes back a window hides what was granted before, so nothing does:
    /// what is sent there is kept aside until it is acknowledged.
    #[test]
    fn a_changed_attack_is_told_the_same_without_prediction(program in programs()) {
        let told = || {
            let Run { stack, witness, .. } = run(&program, u16::MAX);
            (witness.events, stack.stats().clone())
        };
        prop_assert!(told() == prediction::without(told));
    }
}

#[test]
fn the_seeds_are_those_of_the_generators() {
    check_seeds(file!(), "stack::tests::attack::attacked_connection", &seeds());
}
