//! What the control plane does while a worker is at 80 % load, and what that costs its packets.
//!
//! `make bench-control`, or
//! `cargo run --release -p mosd --example control_load [SECONDS [FLOWS]]`: each step takes 10 s on
//! 1,000,000 flows unless told otherwise. The worker, its stack, the services and the CPUs that
//! each may use are those of mosd; in the place of a port of DPDK stands a source that counts what
//! a port would have lost. The load is calibrated: first as many packets as the worker takes, then
//! 80 % of that.

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
        mpsc,
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
use mosd::{
    control::{Control, Settings},
    listen::{Address, Listeners, PlainTcp},
    serve,
};
use tokio::runtime::{Builder, Runtime};

use self::load::{Load, Meter, UNPACED};

/// Threads of the control plane, as in mosd.
const CONTROL_THREADS: usize = 2;

/// Time from one call to the next.
const PAUSE: Duration = Duration::from_millis(1);

/// No step ends by its time.
const FOR_EVER: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct NoPorts;

impl PortMonitor for NoPorts {
    fn ports(&self) -> Vec<PortStatus> {
        Vec::new()
    }
}

/// The worker's side of a step.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    taken: u64,
    lost: u64,
    cpu: Duration,
    /// Time that it could have run, but another thread had its CPU.
    waited: Duration,
}

/// The worker, seen from outside.
struct Bench {
    meter: Arc<Meter>,
    thread: i32,
}

impl Bench {
    fn read(&self) -> Reading {
        let path = format!("/proc/self/task/{}/schedstat", self.thread);
        let text = std::fs::read_to_string(path).expect("the worker runs");
        let mut spans = text.split_whitespace().map(|word| word.parse().expect("nanoseconds"));
        let mut span = || Duration::from_nanos(spans.next().expect("two spans"));
        Reading {
            at: Instant::now(),
            taken: self.meter.taken.load(Relaxed),
            lost: self.meter.lost.load(Relaxed),
            cpu: span(),
            waited: span(),
        }
    }

    /// Runs a step and tells what became of the packets meanwhile. Returns packets a second.
    fn step<T>(&self, name: &str, step: impl FnOnce() -> T) -> (T, u64) {
        let before = self.read();
        let outcome = step();
        let after = self.read();
        let (span, taken) = (after.at - before.at, after.taken - before.taken);
        let per_second = u128::from(taken) * 1_000_000 / span.as_micros().max(1);
        let lost = after.lost - before.lost;
        let nanos = (after.cpu - before.cpu).as_nanos() / u128::from(taken.max(1));
        println!("{name}: {span:.2?}; {per_second} packets/s, {lost} lost of {}", taken + lost);
        let waited = after.waited - before.waited;
        println!(
            "  {nanos} ns of the worker's CPU for a packet; it waited {waited:.1?} for its CPU"
        );
        (outcome, u64::try_from(per_second).unwrap_or(u64::MAX))
    }

    fn pace(&self, rate: u64) {
        self.meter.rate.store(rate, Relaxed);
        // What was waiting at the old rate is gone then.
        thread::sleep(Duration::from_millis(100));
    }
}

/// Starts the worker; returns when all flows are established.
fn start(
    port: WorkerPort,
    feed: EventFeed,
    clock: MonotonicClock,
    flows: u32,
    cpus: &Cpus,
) -> Bench {
    let (rate, taken, lost) = (AtomicU64::new(UNPACED), AtomicU64::new(0), AtomicU64::new(0));
    let meter = Arc::new(Meter { rate, taken, lost });
    let source = Load::new(flows, Arc::clone(&meter));
    let board = Arc::clone(port.board());
    let limits = Limits { flows_max: flows, ..Limits::default() };
    let (tell, told) = mpsc::channel();
    let worker_cpus = cpus.workers.clone();
    let run = move || {
        cpu::tie_this_thread(&worker_cpus).expect("a CPU for the worker");
        tell.send(rustix::thread::gettid().as_raw_nonzero().get()).expect("somebody listens");
        let stack = Stack::new(port.worker(), limits, 1).expect("memory for the flows");
        let idle = Idle::new(IdleMode::suiting(2, 1));
        let (sources, at_end) = (vec![source], AtEnd::Serve);
        Worker { port, stack, sources, clock, sink: feed, idle, at_end }
            .run(&AtomicBool::new(false))
    };
    let worker = thread::Builder::new().name("mos-worker-0".to_owned()).spawn(run);
    // It ends with the process.
    drop(worker.expect("a thread"));
    let thread = told.recv().expect("the worker begins");
    while board.gauges().flows < flows.into() {
        thread::sleep(Duration::from_millis(10));
    }
    Bench { meter, thread }
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
        limits: Limits::default(),
        payload: false,
        connections_max: 8,
        node: "bench".to_owned(),
    };
    let link = WorkerLink { commands, events };
    let control = Arc::new(Control::new(vec![link], Arc::new(NoPorts), settings));
    let address = [Address::Unix(socket.to_owned())];
    let listeners = runtime
        .block_on(Listeners::bind(&address, PlainTcp::LoopbackOnly))
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
    let (seconds, flows) = (argument(1, 10), argument(2, 1_000_000));
    let span = Duration::from_secs(seconds.into());
    let (mut commands, port) = link(WorkerId::default());
    let (feed, events) = event_ring(EVENT_RING);
    let clock = MonotonicClock::start();
    let cpus = Cpus::share(&[], 1).expect("a CPU for one worker");
    cpu::tie_this_thread(&cpus.others).expect("CPUs for all other threads");
    let bench = start(port, feed, clock, flows, &cpus);
    let ((), most) = bench.step("as many packets as it takes", || thread::sleep(span));
    let rate = most / 5 * 4;
    bench.pace(rate);
    bench.step("80 % load, nothing asked", || thread::sleep(span));
    let (ages, _) = bench.step("80 % load, ring alone", || ring_ages(&mut commands, clock, span));
    print_times("pushed to applied", ages);

    let server = Builder::new_multi_thread().worker_threads(CONTROL_THREADS).enable_all().build();
    let server = server.expect("threads");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("mosd.sock");
    serve(&server, commands, events, &socket);
    let clients = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let clients = clients.expect("a thread");
    let client = clients.block_on(calls::connect(&socket));

    let list = || clients.block_on(calls::list(client.clone()));
    let (names, _) = bench.step("80 % load, a list of all flows", list);
    assert_eq!(names.len(), flows as usize, "every flow is listed once");
    let steady = || calls::steady(clients.handle(), &client, &names, PAUSE, span);
    let (times, _) = bench.step("80 % load, SetSockOpt 1000 times a second", steady);
    print_times("SetSockOpt", times);
    let change = |calls, time| {
        let end = Instant::now() + time;
        clients.block_on(calls::many(&client, &names, calls, end))
    };
    let often = || change(usize::MAX, span);
    let (made, _) = bench.step("80 % load, SetSockOpt as often as it goes", often);
    println!("  {} calls a second", made as u64 / u64::from(seconds));
    let (made, _) =
        bench.step("80 % load, a change to every flow", || change(names.len(), FOR_EVER));
    assert_eq!(made, names.len(), "every flow was changed");
    bench.pace(UNPACED);
    bench.step("full load, nothing asked", || thread::sleep(span));
    bench.step("full load, a list of all flows", list);
    bench.step("full load, nothing asked", || thread::sleep(span));
    bench.step("full load, SetSockOpt as often as it goes", often);
    bench.step("full load, nothing asked", || thread::sleep(span));
}
