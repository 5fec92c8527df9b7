//! Times the running dataplane: a port of DPDK that is never empty, and one worker that polls it.
//!
//! What is counted is the CPU time of the worker's thread, the driver's part included.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    thread::sleep,
    time::Duration,
};

use anyhow::Context as _;
use mos_control::WorkerLink;
use mos_dataplane::{
    Config, Dataplane,
    config::{Hugepages, IdleMode, MemoryConfig, PortConfig},
};
use mos_stack::{Limits, Stat};

use crate::{
    measure::{Measured, Samples},
    traffic::{Traffic, frame::FRAME_MAX},
};

/// Time between two looks at the counters.
const LOOK: Duration = Duration::from_millis(20);

/// Packet buffers besides those that the driver keeps for itself.
const MBUFS: u32 = 16_384;

/// Frames of a capture for a port, at most: the driver keeps all of them in packet buffers.
pub const CAPTURE_FRAMES_MAX: u32 = 32_768;

/// What to measure.
#[derive(Debug)]
pub struct PortPlan {
    /// The devargs of the port.
    pub devargs: String,
    /// Packet buffers that the driver keeps for itself.
    pub kept_mbufs: u32,
    /// Bounds of the stack.
    pub limits: Limits,
    /// Time that passes untimed, and then timed.
    pub spans: [Duration; 2],
}

/// Runs the dataplane, and measures its worker.
///
/// # Errors
///
/// The port cannot be opened, or the system does not tell the CPU time of a thread.
pub fn measure_port(plan: &PortPlan) -> anyhow::Result<Measured> {
    let config = Config {
        workers: 1,
        cpus: Vec::new(),
        ports: vec![PortConfig::Dpdk(plan.devargs.clone())],
        memory: MemoryConfig {
            hugepages: Hugepages::Auto,
            mbufs: MBUFS + plan.kept_mbufs,
            ..MemoryConfig::default()
        },
        idle: Some(IdleMode::Busy),
        limits: plan.limits,
        seed: Some(1),
    };
    let (dataplane, links) = Dataplane::start(&config)?;
    let [worker] = &links[..] else { anyhow::bail!("not one worker") };
    let [warm_up, span] = plan.spans;
    sleep(warm_up);
    let (first_packets, first_bytes) = counted(worker);
    let (mut packets, mut cpu_time) = (first_packets, worker_cpu_time()?);
    let mut samples = Samples::default();
    for _ in 0..span.as_millis() / LOOK.as_millis() {
        sleep(LOOK);
        let ((packets_now, _), cpu_now) = (counted(worker), worker_cpu_time()?);
        // A look at a thread that did not run tells nothing.
        if packets_now > packets {
            samples.add(cpu_now.saturating_sub(cpu_time), packets_now - packets);
        }
        (packets, cpu_time) = (packets_now, cpu_now);
    }
    let (last_packets, last_bytes) = counted(worker);
    dataplane.stop()?;
    let (packets, bytes) = (last_packets - first_packets, last_bytes - first_bytes);
    Ok(Measured::new(vec![samples], packets, bytes + 24 * packets))
}

/// Writes a capture of the next frames of a traffic.
///
/// # Errors
///
/// Those of writing.
pub fn write_capture(path: &Path, traffic: &mut dyn Traffic, frames: u32) -> io::Result<()> {
    let mut out = io::BufWriter::new(fs::File::create(path)?);
    out.write_all(
        [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).as_flattened(),
    )?;
    let mut frame = vec![0; traffic.frame_max().max(FRAME_MAX)];
    for number in 0..frames {
        let Some(length) = traffic.next_frame(&mut frame) else { break };
        let on_wire = u32::try_from(length).unwrap_or_default();
        // Ten microseconds from frame to frame.
        let time = [1_700_000_000 + number / 100_000, number % 100_000 * 10];
        let header = [time[0], time[1], on_wire, on_wire].map(u32::to_le_bytes);
        out.write_all(header.as_flattened())?;
        out.write_all(&frame[..length])?;
    }
    out.flush()
}

/// Packets and bytes of frames that a worker's stack was given.
fn counted(worker: &WorkerLink) -> (u64, u64) {
    let board = worker.commands.board();
    let packets = Stat::ALL.into_iter().filter(|stat| stat.name().0 == "packets");
    (packets.map(|stat| board.stat(stat)).sum(), board.stat(Stat::FrameBytes))
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
