//! What the control plane does while a worker is busy, and what that costs its packets.
//!
//! `make bench-control`, or
//! `cargo run --release -p mos-bench --example control_load [ROUNDS [FLOWS]]`.
//! Seven rounds on a million flows unless told otherwise. The worker, its stack, the services and
//! the CPUs that each may use are those of mosd; in the place of a port of DPDK stands a source
//! that counts what a port would have lost.
//!
//! Every step is done again and again, next to as long a span in which nothing is asked, and at
//! full load to one in which another CPU is merely busy; medians are told. "80 % load" is 80 % of
//! what the worker has just taken at most, measured again for every round.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement: a step that fails ends it, and the figures are its output"
)]

mod calls;
mod load;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use mos_control::{
    Command, CommandPort, EVENT_RING, EventFeed, EventTap, PortMonitor, PortStatus, Reply, Request,
    WorkerLink, WorkerPort, event_ring, link,
};
use mos_dataplane::{
    clock::{Clock as _, MonotonicClock},
    config::IdleMode,
    cpu::{self, Cpus},
    idle::Idle,
    worker::{AtEnd, Worker},
};
use mos_stack::{Limits, Stack, WorkerId};
use mos_text::Address;
use mosd::{
    Audit, Control, Descriptors, Grants, Listeners, PlainTcp, Policies, Settings, boot::serve,
};
use tokio::runtime::{Builder, Runtime};

use self::load::{Load, Meter, UNPACED};

/// Threads of the control plane, as in mosd.
const CONTROL_THREADS: usize = 2;

/// Time from one call to the next.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a step takes that ends by its time.
const SPAN: Duration = Duration::from_secs(2);

/// How long it is measured what the worker takes at most.
const CALIBRATION: Duration = Duration::from_secs(1);

/// What is copied again and again to keep a CPU busy, as it fits into the caches of a core.
const OCCUPIED_BYTES: usize = 1 << 20;

/// By how much one change of every flow differs from the one before.
const BUFFER_BYTES: i64 = 16_384;

/// No step ends by its time.
const FOR_EVER: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct NoPorts;

impl PortMonitor for NoPorts {
    fn ports(&self) -> Vec<PortStatus> {
        Vec::new()
    }
}

/// The worker's side of a span.
#[derive(Debug, Clone, Copy)]
struct Figures {
    span: Duration,
    per_second: u64,
    /// Packets lost, in millionths.
    lost: u64,
}

/// The worker, seen from outside.
struct Bench {
    meter: Arc<Meter>,
    rounds: u32,
}

/// How busy the worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    /// With 80 % of the packets that it takes at most.
    Mostly,
    /// With as many packets as it takes.
    Always,
}

impl Bench {
    /// What became of the packets in some span.
    fn measure<T>(&self, span: impl FnOnce() -> T) -> (T, Figures) {
        let count = || (self.meter.taken.load(Relaxed), self.meter.lost.load(Relaxed));
        let (begin, before) = (Instant::now(), count());
        let outcome = span();
        let (span, after) = (begin.elapsed(), count());
        let (taken, lost) = (after.0 - before.0, after.1 - before.1);
        let per_second = u128::from(taken) * 1_000_000 / span.as_micros().max(1);
        let per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
        (outcome, Figures { span, per_second, lost: lost * 1_000_000 / (taken + lost).max(1) })
    }

    /// Brings the worker to a load.
    fn load(&self, busy: Busy) {
        self.meter.rate.store(UNPACED, Relaxed);
        let ((), most) = self.measure(|| thread::sleep(CALIBRATION));
        if busy == Busy::Mostly {
            self.meter.rate.store(most.per_second / 5 * 4, Relaxed);
            // What was waiting at the old rate is gone then.
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Does a step in every round, and as long nothing; tells the medians. Returns what came of
    /// each.
    fn contrast<T>(&self, name: &str, busy: Busy, mut step: impl FnMut() -> T) -> Vec<T> {
        let (mut quiet, mut asked, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
        let mut occupied = Vec::new();
        for _ in 0..self.rounds {
            self.load(busy);
            let (outcome, figures) = self.measure(&mut step);
            outcomes.push(outcome);
            asked.push(figures);
            quiet.push(self.measure(|| thread::sleep(figures.span)).1);
            if busy == Busy::Always {
                occupied.push(self.measure(|| occupy(figures.span)).1);
            }
        }
        let span = median(asked.iter().map(|a| a.span));
        let rate = median(asked.iter().map(|a| a.per_second));
        println!("{name}: {span:.2?}; {rate} packets/s");
        if busy == Busy::Mostly {
            let lost = |of: &[Figures]| median(of.iter().map(|figures| figures.lost));
            let (asked, quiet) = (lost(&asked), lost(&quiet));
            println!("  lost of a million packets: {asked}, with nothing asked {quiet}");
        } else {
            let kept = |of: &[Figures]| {
                let pairs = of.iter().zip(&quiet);
                let kept = median(pairs.map(|(a, q)| a.per_second * 1000 / q.per_second.max(1)));
                format!("{}.{} %", kept / 10, kept % 10)
            };
            let (asked, occupied) = (kept(&asked), kept(&occupied));
            println!("  of the packets with nothing asked: {asked}; {occupied} while a thread");
            println!("  on the CPUs of the control plane only copies memory");
        }
        outcomes
    }
}

/// Keeps a CPU of the control plane busy with what has nothing to do with mosd.
fn occupy(span: Duration) {
    let (begin, mut bytes) = (Instant::now(), vec![1_u8; OCCUPIED_BYTES]);
    while begin.elapsed() < span {
        bytes.copy_within(..OCCUPIED_BYTES / 2, OCCUPIED_BYTES / 2);
        std::hint::black_box(&mut bytes);
    }
}

fn median<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Starts the worker; returns when all flows are established.
fn start(
    port: WorkerPort,
    feed: EventFeed,
    clock: MonotonicClock,
    (rounds, flows): (u32, u32),
    cpus: &Cpus,
) -> Bench {
    let (rate, taken, lost) = (AtomicU64::new(UNPACED), AtomicU64::new(0), AtomicU64::new(0));
    let meter = Arc::new(Meter { rate, taken, lost });
    let source = Load::new(flows, Arc::clone(&meter));
    let board = Arc::clone(port.board());
    let limits = Limits { flows_max: flows, ..Limits::default() };
    let worker_cpus = cpus.workers.clone();
    let run = move || {
        cpu::tie_this_thread(&worker_cpus).expect("a CPU for the worker");
        let stack = Stack::new(port.worker(), limits, 1).expect("memory for the flows");
        let idle = Idle::new(IdleMode::suiting(2, 1));
        let (sources, at_end) = (vec![source], AtEnd::Serve);
        Worker { port, stack, sources, clock, sink: feed, idle, at_end }
            .run(&AtomicBool::new(false))
    };
    let worker = thread::Builder::new().name("mos-worker-0".to_owned()).spawn(run);
    // It ends with the process.
    drop(worker.expect("a thread"));
    while board.gauges().flows < flows.into() {
        thread::sleep(Duration::from_millis(10));
    }
    Bench { meter, rounds }
}

/// From the push of a command onto the ring to the turn of the worker that applied it.
fn ring_ages(port: &mut CommandPort, clock: MonotonicClock, span: Duration) -> Vec<Duration> {
    let mut ages = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < span {
        let id = ages.len() as u64;
        let pushed = clock.now();
        port.try_submit(Request { id, command: Command::Clock }).expect("room in the ring");
        let answer = loop {
            match port.try_receive() {
                Some(answer) => break answer,
                None => thread::yield_now(),
            }
        };
        if let Ok(Reply::Clock(applied)) = answer.outcome {
            ages.push(applied.since(pushed));
        }
        thread::sleep(PAUSE);
    }
    ages
}

fn serve(runtime: &Runtime, commands: CommandPort, events: EventTap, socket: &Path) {
    let _inside = runtime.enter();
    let settings = Settings {
        audit: Audit::off(),
        tls: None,
        exposed: Vec::new(),
        grants: Grants::built_in(rustix::process::geteuid().as_raw()),
        limits: Limits::default(),
        policies: Arc::new(Policies::in_memory(Limits::default(), 1).expect("no policies")),
        payload: false,
        connections_max: 8,
        descriptors: Descriptors::raise(8),
        node: "bench".to_owned(),
    };
    let link = WorkerLink { commands, events };
    let control = Arc::new(Control::new(vec![link], Arc::new(NoPorts), settings));
    let address = [Address::Unix(socket.to_owned())];
    let listeners = runtime
        .block_on(Listeners::bind(&address, PlainTcp::LoopbackOnly, None))
        .expect("a socket in a new folder");
    drop(runtime.spawn(serve::serve(control, listeners, std::future::pending())));
}

fn print_times(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at =
        |permille: usize| times.get(times.len() * permille / 1000).copied().unwrap_or_default();
    let [median, most, nearly_all] = [500, 990, 999].map(at);
    println!(
        "  {name}, {} times: p50 {median:.1?}, p99 {most:.1?}, p99.9 {nearly_all:.1?}",
        times.len()
    );
}

fn argument(index: usize, unless_given: u32) -> u32 {
    std::env::args().nth(index).map_or(unless_given, |text| text.parse().expect("a number"))
}

fn main() {
    let (rounds, flows) = (argument(1, 7), argument(2, 1_000_000));
    let (mut commands, port) = link(WorkerId::default());
    let (feed, events) = event_ring(EVENT_RING);
    let clock = MonotonicClock::start();
    let cpus = Cpus::share(&[], 1).expect("a CPU for one worker");
    cpu::tie_this_thread(&cpus.others).expect("CPUs for all other threads");
    let bench = start(port, feed, clock, (rounds, flows), &cpus);
    let ring = || ring_ages(&mut commands, clock, SPAN);
    let ages = bench.contrast("80 % load, the ring alone", Busy::Mostly, ring);
    print_times("pushed to applied", ages.concat());

    let server = Builder::new_multi_thread().worker_threads(CONTROL_THREADS).enable_all().build();
    let server = server.expect("threads");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("mosd.sock");
    serve(&server, commands, events, &socket);
    let clients = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let clients = clients.expect("a thread");
    let client = clients.block_on(calls::connect(&socket));

    let list = || clients.block_on(calls::list(client.clone()));
    let names = list();
    assert_eq!(names.len(), flows as usize, "every flow is listed once");
    let steady = || calls::steady(clients.handle(), &client, &names, PAUSE, SPAN);
    let change = |calls, time| {
        let end = Instant::now() + time;
        clients.block_on(calls::many(&client, &names, calls, end))
    };
    let often = || change(usize::MAX, SPAN);
    let times = bench.contrast("80 % load, SetSockOpt 1000 times a second", Busy::Mostly, steady);
    print_times("SetSockOpt", times.concat());
    let count = || clients.block_on(calls::count(client.clone()));
    let counted = bench.contrast("80 % load, a count of all flows", Busy::Mostly, count);
    assert!(counted.iter().all(|count| *count == i64::from(flows)), "{counted:?}");
    let mut capacity = BUFFER_BYTES;
    let change_all = || {
        capacity += BUFFER_BYTES;
        clients.block_on(calls::change_all(client.clone(), capacity))
    };
    bench.contrast("80 % load, a change to every flow in one call", Busy::Mostly, change_all);
    for (load, busy) in [("80 % load", Busy::Mostly), ("full load", Busy::Always)] {
        bench.contrast(&format!("{load}, a list of all flows"), busy, list);
        let name = format!("{load}, SetSockOpt as often as it goes");
        let made = bench.contrast(&name, busy, often);
        println!("  {} calls a second", median(made.into_iter()) as u64 / SPAN.as_secs());
    }
    bench.load(Busy::Mostly);
    let (made, figures) = bench.measure(|| change(names.len(), FOR_EVER));
    assert_eq!(made, names.len(), "every flow was changed");
    println!("80 % load, a change to every flow: {:.2?}", figures.span);
    println!("  lost of a million packets: {}", figures.lost);
}
