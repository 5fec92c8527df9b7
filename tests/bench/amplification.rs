//! What one client gets of mosd for what it gives: bytes of memory for each byte that it sends, and
//! time of the CPU for each of its own.
//!
//! `cargo run --release -p mos-bench --example amplification`, after `cargo build --release
//! --bins`. The client is the cheapest there is: it sends bytes that were made before, and looks at
//! no answer. `docs/explanation/amplification.md` has its table and what it means.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement: a step that fails ends it, and the figures are its output"
)]

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mos_tests::hostile_client::wire::{RawClient, WINDOW_MAX, call, stream};
use mos_tests::service::{Mosd, Setup, free_address};
use rustix::process::Signal;

/// Connections of the client that does not read, and calls on each: as many as a principal may have
/// under way, and many more.
const FEW: (usize, u32) = (8, 64);
const MANY: (usize, u32) = (64, 100);

/// Rounds of the client that reads, and calls of each.
const ROUNDS: u32 = 40;
const CALLS_OF_ROUND: u32 = 50;

/// Time in which everything that was asked for is there.
const SETTLE: Duration = Duration::from_secs(3);

/// Time in which memory has gone back to the system.
const RECOVER: Duration = Duration::from_secs(4);

/// Flows to ask for, and time in which they come.
const FLOWS: &str = "1500";
const WARM_UP: Duration = Duration::from_secs(20);

/// A field of protobuf: a text with this number, which is below 16.
fn text(number: u8, value: &str) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("a short text");
    assert!(length < 128, "a length of one byte");
    [&[number << 3 | 2, length], value.as_bytes()].concat()
}

/// A field of protobuf: a number.
fn number(number: u8, mut value: u32) -> Vec<u8> {
    let mut field = vec![number << 3];
    while value >= 128 {
        field.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    field.push(value.to_le_bytes()[0]);
    field
}

/// Every method, with the request that makes most of it.
fn requests(flow: &str) -> Vec<(&'static str, Vec<u8>)> {
    let name = text(1, flow);
    let side = [&name[..], &number(2, 1)].concat();
    let dry_run = [&name[..], &[0x12, 3, 0x08, 0x80, 0x40]].concat();
    vec![
        ("mos.v1.FlowService/ListFlows", number(1, 1000)),
        ("mos.v1.FlowService/CountFlows", text(2, "client_state")),
        ("mos.v1.FlowService/RankFlows", number(3, 1000)),
        ("mos.v1.FlowService/ExportFlows", number(2, 2)),
        ("mos.v1.FlowService/WatchFlows", Vec::new()),
        ("mos.v1.FlowService/GetFlow", name.clone()),
        ("mos.v1.FlowService/GetSockOpt", name),
        ("mos.v1.FlowService/SetSockOpt", dry_run),
        ("mos.v1.FlowService/PeekFlow", [&side[..], &number(4, 1 << 20)].concat()),
        ("mos.v1.FlowService/ReadFlow", side),
        ("mos.v1.EventService/WatchEvents", Vec::new()),
        ("mos.v1.SystemService/GetServerInfo", Vec::new()),
        ("mos.v1.SystemService/GetStatus", Vec::new()),
        ("grpc.health.v1.Health/Check", Vec::new()),
        ("grpc.health.v1.Health/Watch", Vec::new()),
        ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", text(7, "*")),
    ]
}

/// Nanoseconds that threads of a process have run; those of workers do not count.
fn cpu(process: &str) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("a process has threads");
    let of_task = |task: &std::path::Path| {
        let name = fs::read_to_string(task.join("comm")).ok()?;
        if name.starts_with("mos-worker") || name.starts_with("mos-demo") {
            return None;
        }
        let run = fs::read_to_string(task.join("schedstat")).ok()?;
        run.split_whitespace().next()?.parse::<u64>().ok()
    };
    tasks.flatten().filter_map(|task| of_task(&task.path())).sum()
}

/// A client that reads no answer: KiB that it sent, KiB that are held for it, and bytes for a byte.
fn unread(mosd: &Mosd, address: &str, one: impl Fn(u32) -> Vec<u8>, size: (usize, u32)) -> String {
    let before = mosd.resident_kib();
    let calls: Vec<u8> = (0..size.1).flat_map(|count| one(stream(count))).collect();
    let connected = (0..size.0).map(|_| {
        let mut client = RawClient::granting(address, 0);
        client.send(&calls);
        client
    });
    let clients: Vec<RawClient> = connected.collect();
    let (end, mut most) = (Instant::now() + SETTLE, before);
    while Instant::now() < end {
        most = most.max(mosd.resident_kib());
        sleep(Duration::from_millis(10));
    }
    let sent = clients.iter().map(RawClient::sent).sum::<usize>() / 1024;
    drop(clients);
    sleep(RECOVER);
    let held = usize::try_from(most - before).unwrap_or(0);
    format!("{sent} KiB | {held} KiB | {}", held / sent.max(1))
}

/// A client that reads every answer: time of its CPU and of the server's, and how often one goes
/// into the other.
fn read(mosd: &Mosd, address: &str, one: impl Fn(u32) -> Vec<u8>) -> String {
    let round: Vec<u8> = (0..CALLS_OF_ROUND).flat_map(|count| one(stream(count))).collect();
    let server = mosd.pid().to_string();
    let (own_before, server_before) = (cpu("self"), cpu(&server));
    for _ in 0..ROUNDS {
        let mut client = RawClient::granting(address, WINDOW_MAX);
        client.send(&round);
        client.is_ended(Duration::from_millis(150));
    }
    let own = (cpu("self") - own_before).max(1);
    let server = cpu(&server) - server_before;
    let tenths = server * 10 / own;
    let millis = |nanos: u64| nanos / 1_000_000;
    format!("{} ms | {} ms | {}.{}", millis(own), millis(server), tenths / 10, tenths % 10)
}

fn main() {
    let address = free_address();
    let setup = Setup::demo()
        .configured("[server]\npayload = true\n[options]\nclient_buffer = \"1MiB\"\n")
        .with(&["--flows", FLOWS, "--rate", "20000", "--listen", &address]);
    let mosd = Mosd::start(&setup);
    let flow = mosd.lasting_flow();
    sleep(WARM_UP);
    println!("| method | sent | held | times | sent | held | times | client | server | times |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (method, message) in requests(&flow) {
        let path = format!("/{method}");
        let one = |stream| call(stream, &path, &message);
        let times = read(&mosd, &address, one);
        sleep(RECOVER);
        let [few, many] = [FEW, MANY].map(|size| unread(&mosd, &address, one, size));
        println!("| `{method}` | {few} | {many} | {times} |");
    }
    mosd.stop(Signal::TERM).in_order();
}
