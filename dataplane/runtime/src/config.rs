//! What the dataplane is started with. Whoever builds it has read it from somewhere; here it is
//! only types, units and defaults.

use std::path::PathBuf;

use mos_stack::Limits;

/// Everything that [`crate::Dataplane::start`] needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Workers, 1 to 512.
    pub workers: u16,
    /// CPUs for the workers, in order; empty: chosen from those the process may use, so that the
    /// first allowed CPU is left to the control plane where there is more than one.
    pub cpus: Vec<usize>,
    /// Ports, in order.
    pub ports: Vec<PortConfig>,
    /// Packet memory.
    pub memory: MemoryConfig,
    /// What a worker does when there is nothing to do; `None`: what suits the machine.
    pub idle: Option<IdleMode>,
    /// Bounds and defaults of each worker's stack.
    pub limits: Limits,
    /// Seed of the hash of the flow tables; `None`: from the system's randomness.
    pub seed: Option<u64>,
}

/// One source of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortConfig {
    /// A DPDK port: the devargs of a virtual device (`net_af_packet0,iface=eth1`), or a PCI
    /// address with optional arguments (`0000:01:00.0`).
    Dpdk(String),
    /// A capture file, pcap or pcapng, read once; its own timestamps are the clock.
    Capture(PathBuf),
    /// The embedded demo traffic.
    Demo(DemoConfig),
}

/// The embedded demo traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoConfig {
    /// Conversations at once.
    pub flows: u32,
    /// Packets a second.
    pub rate_pps: u32,
    /// Seed: the same seed makes the same conversations.
    pub seed: u64,
}

/// Packet memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryConfig {
    /// Whether packet buffers come from hugepages.
    pub hugepages: Hugepages,
    /// Packet buffers in each port's pool.
    pub mbufs: u32,
    /// Bytes of one packet buffer's data room; larger frames arrive in several and are counted.
    pub mbuf_bytes: u16,
}

/// Whether packet buffers come from hugepages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hugepages {
    /// If there are enough free ones.
    Auto,
    /// They must; it is an error when there are not enough.
    On,
    /// Normal pages (EAL's `--no-huge`).
    Off,
}

/// What a worker does when there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleMode {
    /// Polls without a pause: least latency, a whole CPU.
    Busy,
    /// Polls, and after a while without work sleeps for tens of microseconds between polls.
    Adaptive,
    /// Sleeps for 1 ms between polls as soon as there is no work.
    Sleep,
}
