//! The counters of the ports, as the control plane sees them.

use std::fmt::Debug;

/// The counters of one port since its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortStatus {
    /// The port as the configuration names it (devargs, PCI address, capture file, `demo`).
    pub name: String,
    /// The driver, for example `net_af_packet`.
    pub driver: String,
    /// Receive queues, and so workers that poll it.
    pub queues: u16,
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets lost before a worker saw them: the port's queue was full.
    pub rx_missed: u64,
    /// Packets that the port received damaged.
    pub rx_errors: u64,
    /// Packets lost because no packet buffer was free.
    pub rx_no_mbuf: u64,
    /// Packets that did not fit into the ring to the worker that owns their flow.
    pub handoff_dropped: u64,
}

impl PortStatus {
    /// Packets lost in any way between the wire and a worker.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.rx_missed + self.rx_errors + self.rx_no_mbuf + self.handoff_dropped
    }
}

/// Reads the counters of the ports. Called by the control plane only.
pub trait PortMonitor: Debug + Send + Sync {
    /// One row for each port, in the order of the configuration.
    fn ports(&self) -> Vec<PortStatus>;
}
