//! Adversarial packets, end to end: through a port of DPDK into a running service.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    memory::Memory,
    mutate::{Mutator, material},
    pipe::{PcapPipe, accounted},
};

/// The configured memory, in bytes: buffers, a slot with everything that it needs, a packet buffer.
const POOL_BYTES: u64 = 64 << 20;
const FLOWS_MAX: u64 = 65_536;
const SLOT_BYTES: u64 = 1024;
const MBUFS: u64 = 16_384;
const MBUF_BYTES: u64 = 2048 + 512;
/// The memory of the control plane, and the allocator's slack.
const SLACK_BYTES: u64 = 32 << 20;

/// Figures of a run.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Packets sent, all of which were accounted for.
    pub packets: u64,
    /// Frames of captures that were part of the material.
    pub material: usize,
    /// Packets by outcome.
    pub outcomes: BTreeMap<String, i64>,
    /// Peak of resident memory, in bytes.
    pub peak: u64,
    /// The bound of the peak, in bytes.
    pub bound: u64,
    /// How long it took.
    pub time: Duration,
}

/// Sends `packets` mutated packets, made from generated traffic and from the captures of `corpus`.
///
/// # Panics
///
/// When the service ends, a packet is not accounted for, or memory exceeds its bound.
#[must_use]
pub fn run(packets: u64, corpus: &Path, seed: u64) -> Figures {
    let frames = material(corpus);
    let found = frames.len();
    let mut mutator = Mutator::new(frames, seed);
    let config = format!(
        "[dataplane]\nmbufs = {MBUFS}\n[limits]\nflows_max = {FLOWS_MAX}\npool = \"64MiB\"\n"
    );
    let (mut pipe, mosd) = PcapPipe::start(&config);
    let at_start = Memory::of(mosd.pid()).resident;
    let began = Instant::now();
    let mut frame = Vec::new();
    for _ in 0..packets {
        mutator.next(&mut frame);
        pipe.send(&frame);
    }
    let sent = pipe.finish();
    assert_eq!(sent, packets);
    let outcomes = accounted(&mosd, sent);
    let time = began.elapsed();
    let Memory { peak, .. } = Memory::of(mosd.pid());
    let configured = POOL_BYTES + FLOWS_MAX * SLOT_BYTES + MBUFS * MBUF_BYTES;
    let bound = at_start + configured + SLACK_BYTES;
    assert!(peak <= bound, "{peak} bytes at the peak, bound {bound}");
    mosd.stop(Signal::INT).in_order();
    Figures { packets, material: found, outcomes, peak, bound, time }
}
