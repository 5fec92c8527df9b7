//! What the tests of the running dataplane share.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "fails its test")]
#![expect(clippy::disallowed_methods, reason = "a test waits for other threads")]
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::allow_attributes, reason = "which part is unused differs")]

use std::{
    env, fs,
    path::Path,
    process::Command,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use mos_control::{CommandPort, Reply, Request, link};
use mos_dataplane::{
    Config, Cpus, Dataplane, StartError,
    clock::MonotonicClock,
    config::{Hugepages, IdleMode, MemoryConfig},
    idle::Idle,
    source::memory::{MemoryFrame, MemorySource},
    traffic::Conversations,
    worker::{AtEnd, Worker},
};
use mos_stack::{Limits, Stack, Stat, Stats, WorkerId};

const CHILD: &str = "MOS_TEST_CHILD";

/// Runs `body` in a process of its own, because DPDK starts once in a process: the test that the
/// harness calls starts this program again, for itself alone.
#[track_caller]
pub(crate) fn in_own_process(test: &str, body: impl FnOnce()) {
    if env::var_os(CHILD).is_some() {
        return body();
    }
    run_again(Command::new(env::current_exe().expect("a program")), test);
}

/// Starts this program again, by `command`, for one test in the role of the child.
#[track_caller]
pub(crate) fn run_again(mut command: Command, test: &str) {
    let output = command
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("a child");
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{test} did not run\n{out}");
}

/// A configuration without hugepages.
pub(crate) fn config(workers: u16, ports: &[&str]) -> Config {
    Config {
        workers,
        cpus: Vec::new(),
        ports: ports.iter().map(|port| port.parse().expect("a port")).collect(),
        memory: MemoryConfig { hugepages: Hugepages::Off, ..MemoryConfig::default() },
        idle: Some(IdleMode::Adaptive),
        limits: limits(),
        seed: Some(1),
    }
}

fn limits() -> Limits {
    Limits { flows_max: 4096, pool_bytes: 64 << 20, ..Limits::default() }
}

/// Starts, or fails the test with the reason.
#[track_caller]
pub(crate) fn start(config: &Config) -> (Dataplane, Vec<CommandPort>) {
    try_start(config).unwrap_or_else(|error| panic!("{error}"))
}

/// Starts, where the configuration can be started.
pub(crate) fn try_start(config: &Config) -> Result<(Dataplane, Vec<CommandPort>), StartError> {
    let cpus = Cpus::share(&config.cpus, config.workers)?;
    let (dataplane, links) = Dataplane::start(config, &cpus, None)?;
    Ok((dataplane, links.into_iter().map(|link| link.commands).collect()))
}

/// Waits until `done`; fails the test at a deadline.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The sum of one counter over all workers.
pub(crate) fn sum(ports: &[CommandPort], stat: Stat) -> u64 {
    ports.iter().map(|port| port.board().stat(stat)).sum()
}

/// Packets that the stacks were given.
pub(crate) fn packets(ports: &[CommandPort]) -> u64 {
    let stats = Stat::ALL.into_iter().filter(|stat| stat.is_outcome());
    stats.map(|stat| sum(ports, stat)).sum()
}

/// Asks a worker, and waits for the answer.
#[track_caller]
pub(crate) fn ask(port: &mut CommandPort, command: mos_control::Command) -> Reply {
    port.try_submit(Request { id: 1, command }).expect("room in the ring");
    let mut answer = None;
    wait_for("an answer", || {
        answer = port.try_receive();
        answer.is_some()
    });
    answer.unwrap().outcome.expect("no refusal")
}

/// The first `count` frames of the demo traffic.
pub(crate) fn frames(count: usize) -> Vec<Vec<u8>> {
    let mut traffic = Conversations::new(40, 7);
    let mut frame = Vec::new();
    (0..count)
        .map(|_| {
            traffic.next_frame(&mut frame);
            frame.clone()
        })
        .collect()
}

/// What one worker counts that gets the frames from memory.
pub(crate) fn counted_by_one_worker(frames: &[Vec<u8>]) -> Stats {
    let id = WorkerId::default();
    let worker = Worker {
        port: link(id).1,
        stack: Stack::new(id, limits(), 1).expect("a stack"),
        sources: vec![MemorySource::new(frames.iter().cloned().map(MemoryFrame::from).collect())],
        clock: MonotonicClock::start(),
        sink: (),
        idle: Idle::new(IdleMode::Busy),
        at_end: AtEnd::Finish,
    };
    worker.run(&AtomicBool::new(false)).stack.stats().clone()
}

/// Asserts that the workers have counted the same, in every counter except those that depend on
/// when a flow is given up.
#[track_caller]
pub(crate) fn assert_counted(ports: &[CommandPort], expected: &Stats) {
    for stat in Stat::ALL.into_iter().filter(|stat| stat.name().0 != "flows_ended") {
        assert_eq!(sum(ports, stat), expected.get(stat), "{stat:?}");
    }
}

/// Writes a capture, a millisecond from frame to frame.
pub(crate) fn write_capture(path: &Path, frames: &[Vec<u8>]) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    for (index, frame) in frames.iter().enumerate() {
        let length = u32::try_from(frame.len()).unwrap();
        let index = u32::try_from(index).unwrap();
        let seconds = CAPTURE_BEGIN + index / 1000;
        for word in [seconds, index % 1000 * 1000, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    fs::write(path, file).expect("a capture");
}

/// The time of the first frame of captures.
pub(crate) fn capture_begin() -> mos_stack::Instant {
    mos_stack::Instant::EPOCH.after(Duration::from_secs(CAPTURE_BEGIN.into()))
}

const CAPTURE_BEGIN: u32 = 1_600_000_000;
