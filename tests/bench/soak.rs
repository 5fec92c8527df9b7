//! The attackers and long runs in full size; prints their figures, and fails where one of them
//! finds something wrong.
//!
//! `cargo run --release -p mos-bench --example soak [NAME...]`, after `cargo build --release
//! --bins`: all of them, or those named (`adversarial`, `syn-flood`, `lifetimes`, `floods`,
//! `crowd`, `kernel`,
//! `hostile-client`).

#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::path::Path;
use std::time::{Duration, Instant};

use mos_judge::strategies::{cases, draw};
use mos_judge::trial;
use mos_tests::hostile::crowd::Place;
use mos_tests::hostile::memory::mib;
use mos_tests::hostile::{adversarial, crowd, floods, lifetimes, syn_flood};
use mos_tests::hostile_client;
use mos_tests::program;

const NAMES: [&str; 7] =
    ["adversarial", "syn-flood", "lifetimes", "floods", "crowd", "kernel", "hostile-client"];

/// How much longer a call may take under attack than in peace.
const SLOWDOWN_MAX: u32 = 3;

/// CPUs from which on the attacker, the polite client and mosd do not wait for each other's.
const CPUS_FOR_ALL: usize = 6;

fn main() -> Result<(), String> {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        names = NAMES.map(str::to_owned).to_vec();
    }
    for name in names {
        let began = Instant::now();
        match name.as_str() {
            "adversarial" => adversarial(),
            "syn-flood" => syn_flood(),
            "lifetimes" => lifetimes(),
            "floods" => floods(),
            "crowd" => crowd(),
            "kernel" => kernel(),
            "hostile-client" => hostile_client(),
            other => return Err(format!("no `{other}`; there are {}", NAMES.join(", "))),
        }
        println!("{name}: {} s\n", began.elapsed().as_secs());
    }
    Ok(())
}

fn per_second(count: u64, time: Duration) -> u128 {
    u128::from(count) * 1000 / time.as_millis().max(1)
}

fn adversarial() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/pcaps");
    let figures = adversarial::run(10_000_000, &corpus, 1);
    println!(
        "{} adversarial packets, all accounted for, at {}/s; material: generated, and {} \
        captured frames",
        figures.packets,
        per_second(figures.packets, figures.time),
        figures.material
    );
    println!("peak memory {}, bound {}", mib(figures.peak), mib(figures.bound));
    for (outcome, count) in figures.outcomes {
        println!("  {outcome:<18} {count:>9}");
    }
}

fn syn_flood() {
    let size = syn_flood::Size {
        syns: 10_000_000,
        conversations: 1000,
        rounds: 4,
        flows_max: 1_000_000,
        slack: 0,
    };
    let figures = syn_flood::run(size, 2);
    println!(
        "{} SYNs at {} packets/s; {} bytes of 1000 conversations read back, all right",
        figures.syns,
        per_second(figures.packets, figures.time),
        figures.bytes
    );
    println!(
        "memory {} to {} in {} readings after the warm-up",
        mib(figures.memory.least),
        mib(figures.memory.most),
        figures.readings
    );
}

fn lifetimes() {
    let figures = lifetimes::run(50_000_000, 3);
    let [fin, rst, timeout, reused] = figures.ended;
    let hours = figures.virtual_time.as_secs() / 3600;
    println!(
        "{} flows in {} packets over {hours} virtual hours, {} at once at most; ended: fin \
        {fin}, rst {rst}, timeout {timeout}, reused {reused}",
        figures.flows, figures.packets, figures.flows_most
    );
    println!(
        "{} stale handles tried {} times; memory {} to {}",
        figures.handles,
        figures.tries,
        mib(figures.memory.least),
        mib(figures.memory.most)
    );
}

fn floods() {
    println!("kind         packets   ns/packet   plain  to plain  growth  flows   pool     grown");
    let nanos = |picoseconds: u64| format!("{}.{}", picoseconds / 1000, picoseconds / 100 % 10);
    let times = |percent: u64| format!("{}.{:02}", percent / 100, percent % 100);
    for kind in floods::Kind::ALL {
        let figures = floods::run(kind, 10_000_000, 4);
        let floods::Figures { cost, early, late, .. } = figures;
        println!(
            "{:<12} {:>8} {:>10} {:>7} {:>9} {:>7} {:>6} {:>10} {:>10}",
            format!("{kind:?}"),
            figures.packets,
            nanos(cost.attack),
            nanos(cost.plain),
            times(cost.ratio()),
            times(late.ratio() * 100 / early.ratio().max(1)),
            figures.flows_most,
            mib(figures.pool_most),
            mib(figures.grown),
        );
    }
}

fn crowd() {
    for place in [Place::Client, Place::Mirror { blind: 1 }] {
        let Some(figures) = crowd::run(200, Duration::from_secs(60), place) else { return };
        let ([fin, rst], [gaps, missing]) = (figures.ended, figures.gaps);
        println!(
            "200 transfers at once in {} s, watched at {place:?}; {} bytes of complete streams and \
            {} of reset ones, all right, {missing} told missing in {gaps} gaps; ended: fin {fin}, \
            rst {rst}; {} of {} packets were corrupt",
            figures.time.as_secs(),
            figures.complete,
            figures.cut,
            figures.corrupt,
            figures.packets,
        );
    }
}

fn kernel() {
    if !program::is_root() {
        return program::skip("tun devices and network namespaces need root");
    }
    let seed = trial::seed();
    let written = draw::controls().into_iter().chain(cases::all());
    let drawn = draw::all_singles().chain(draw::combinations(seed, 50_000));
    let mosd = program::ours("mosd");
    let trials = trial::trials(&mosd, written.chain(drawn));
    for trial in &trials {
        println!("{}, seed {seed}, {}", trial::kernel(), trial.figures());
    }
    for trial in trials {
        trial.assert_explained(&trial::folder());
    }
}

fn hostile_client() {
    let size = hostile_client::Size {
        connections: 2000,
        frames: 100_000,
        watches: 10_000,
        calls: 50_000,
        seed: 1,
    };
    let figures = hostile_client::run(&size);
    println!("attack              ms   KiB sent   KiB more than before");
    for (kind, time, sent, grown) in figures.attacks {
        println!(
            "{:<15} {:>6} {:>10} {grown:>8}",
            format!("{kind:?}"),
            time.as_millis(),
            sent / 1024
        );
    }
    let [quiet, attacked] = figures.p99;
    println!(
        "{} KiB more than before at most; SetSockOpt of a polite client: {} calls, p99 {} us, \
         {} us in peace",
        figures.grown,
        figures.changes,
        attacked.as_micros(),
        quiet.as_micros(),
    );
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    if cpus < CPUS_FOR_ALL {
        println!("{cpus} CPUs: the two compete for them, so the times are not judged");
    } else {
        assert!(attacked <= quiet * SLOWDOWN_MAX, "the polite client waits too long");
    }
}
