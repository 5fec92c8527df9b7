//! Times the running dataplane: a port of DPDK that is never empty, and one worker that polls it.
//!
//! Counts the CPU time of the worker's thread, which includes the driver.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    thread::sleep,
    time::Duration,
};

use anyhow::Context as _;
use mos_control::{Turns, WorkerLink};
use mos_dataplane::{
    Config, Cpus, Dataplane,
    config::{Hugepages, IdleMode, MemoryConfig, PortConfig},
};
use mos_stack::{Limits, Stat};

use crate::{
    measure::{Measured, Samples},
    traffic::Traffic,
};

/// Time between two readings of the counters.
const LOOK: Duration = Duration::from_millis(20);

/// Readings of the counters, at most, for each usable one.
const PATIENCE: u128 = 8;

/// Packet buffers in addition to those that the driver keeps for itself.
const MBUFS: u32 = 16_384;

/// Frames for a port that repeats them, at most: the driver of a capture keeps all of them in
/// packet buffers.
pub const REPEATED_FRAMES_MAX: u32 = 32_768;

/// What to measure.
#[derive(Debug)]
pub struct PortPlan {
    /// The port.
    pub port: PortConfig,
    /// Packet buffers that the driver keeps for itself.
    pub kept_mbufs: u32,
    /// Bounds of the stack.
    pub limits: Limits,
    /// Time that passes untimed, and then timed.
    pub spans: [Duration; 2],
}

/// Runs the dataplane, and measures its worker. `None` if the port was rarely full, because its
/// source is slower than the worker or has no CPU.
///
/// # Errors
///
/// The port cannot be opened, or the system does not report the CPU time of a thread.
pub fn measure_port(plan: &PortPlan) -> anyhow::Result<Option<Measured>> {
    let config = Config {
        workers: 1,
        cpus: Vec::new(),
        ports: vec![plan.port.clone()],
        memory: MemoryConfig {
            hugepages: Hugepages::Auto,
            mbufs: MBUFS + plan.kept_mbufs,
            ..MemoryConfig::default()
        },
        idle: Some(IdleMode::Busy),
        limits: plan.limits,
        seed: Some(1),
    };
    let cpus = Cpus::share(&config.cpus, config.workers)?;
    let (dataplane, links) = Dataplane::start(&config, &cpus, None)?;
    let [worker] = &links[..] else { anyhow::bail!("not one worker") };
    let [warm_up, span] = plan.spans;
    sleep(warm_up);
    let mut samples = Samples::default();
    let (mut packets, mut bytes) = (0, 0);
    let mut before = Look::at(worker)?;
    let enough = span.as_millis() / LOOK.as_millis();
    let (mut taken, mut left) = (0, PATIENCE * enough);
    while taken < enough && left > 0 {
        left -= 1;
        sleep(LOOK);
        let now = Look::at(worker)?;
        if now.has_been_busy_since(&before) {
            let new_packets = now.packets - before.packets;
            taken += 1;
            samples.add(now.cpu_time.saturating_sub(before.cpu_time), new_packets);
            packets += new_packets;
            bytes += now.bytes - before.bytes;
        }
        before = now;
    }
    dataplane.stop()?;
    let measured = Measured::new(vec![samples], packets, bytes + 24 * packets);
    Ok((taken * 4 >= enough).then_some(measured))
}

/// The counters of a worker at one moment.
#[derive(Debug)]
struct Look {
    packets: u64,
    bytes: u64,
    turns: Turns,
    cpu_time: Duration,
}

impl Look {
    fn at(worker: &WorkerLink) -> anyhow::Result<Self> {
        let board = worker.commands.board();
        let packets = Stat::ALL.into_iter().filter(|stat| stat.is_outcome());
        Ok(Self {
            packets: packets.map(|stat| board.stat(stat)).sum(),
            bytes: board.stat(Stat::FrameBytes),
            turns: board.turns(),
            cpu_time: worker_cpu_time()?,
        })
    }

    /// Whether the port had packets in all but one turn in 64: else the time of idle turns would be
    /// counted for the packets. A thread that did not run has not been busy.
    const fn has_been_busy_since(&self, before: &Self) -> bool {
        let Turns { all, busy } = self.turns.since(before.turns);
        busy > 0 && (all - busy) * 64 <= all
    }
}

/// The next frames of a traffic.
pub fn frames(traffic: &mut dyn Traffic, count: u32) -> Vec<Vec<u8>> {
    let mut frame = vec![0; traffic.frame_max()];
    let next = |_| {
        let length = traffic.next_frame(&mut frame)?;
        Some(frame[..length].to_vec())
    };
    (0..count).map_while(next).collect()
}

/// Writes a capture of the next frames of a traffic.
///
/// # Errors
///
/// The file cannot be written.
pub fn write_capture(path: &Path, traffic: &mut dyn Traffic, frames: u32) -> io::Result<()> {
    let mut out = io::BufWriter::new(fs::File::create(path)?);
    out.write_all(
        [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).as_flattened(),
    )?;
    let mut frame = vec![0; traffic.frame_max()];
    for number in 0..frames {
        let Some(length) = traffic.next_frame(&mut frame) else { break };
        let on_wire = u32::try_from(length).unwrap_or_default();
        // Frames are ten microseconds apart.
        let time = [1_700_000_000 + number / 100_000, number % 100_000 * 10];
        let header = [time[0], time[1], on_wire, on_wire].map(u32::to_le_bytes);
        out.write_all(header.as_flattened())?;
        out.write_all(&frame[..length])?;
    }
    out.flush()
}

/// CPU time of the worker's thread.
fn worker_cpu_time() -> anyhow::Result<Duration> {
    const NAME: &str = "mos-worker-0";
    for task in fs::read_dir("/proc/self/task")? {
        let folder = task?.path();
        if fs::read_to_string(folder.join("comm"))?.trim() == NAME {
            let text = fs::read_to_string(folder.join("schedstat"))?;
            let nanos = text.split_whitespace().next().context("no CPU time of a thread")?;
            return Ok(Duration::from_nanos(nanos.parse()?));
        }
    }
    anyhow::bail!("no thread {NAME}")
}
