//! The ports as the control plane sees them: their counters, which survive the ports.

use std::sync::{Arc, PoisonError};

use mos_control::{Board, PortMonitor, PortStatus};
use mos_stack::Stat;

#[cfg(feature = "dpdk")]
use crate::dpdk::OpenPort;

/// The ports, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Ports {
    rows: Rows,
}

#[expect(clippy::disallowed_types, reason = "only the control plane takes it")]
type Rows = std::sync::Mutex<Vec<Row>>;

/// One port.
#[derive(Debug)]
pub(crate) enum Row {
    /// A port of DPDK, open.
    #[cfg(feature = "dpdk")]
    Open(OpenPort),
    /// A capture. It is the only port, so all packets of the workers come from it.
    Capture {
        /// Its path.
        name: String,
        /// The workers that read it.
        boards: Vec<Arc<Board>>,
    },
    /// A closed port, with its last counters.
    #[cfg(feature = "dpdk")]
    Closed(PortStatus),
}

impl Row {
    fn status(&self) -> PortStatus {
        match self {
            #[cfg(feature = "dpdk")]
            Self::Open(port) => port.status(),
            Self::Capture { name, boards } => capture_status(name, boards),
            #[cfg(feature = "dpdk")]
            Self::Closed(status) => status.clone(),
        }
    }
}

impl Ports {
    pub(crate) const fn new(rows: Vec<Row>) -> Self {
        Self { rows: Rows::new(rows) }
    }

    /// Closes the ports of DPDK. Their queues must have been dropped before.
    #[cfg(feature = "dpdk")]
    pub(crate) fn close(&self) {
        for row in self.rows.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            if let Row::Open(port) = row {
                *row = Row::Closed(port.status());
            }
        }
    }
}

impl PortMonitor for Ports {
    fn ports(&self) -> Vec<PortStatus> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().map(Row::status).collect()
    }
}

fn capture_status(name: &str, boards: &[Arc<Board>]) -> PortStatus {
    let sum = |stat| boards.iter().map(|board| board.stat(stat)).sum::<u64>();
    let packets = Stat::ALL.into_iter().filter(|stat| stat.is_outcome());
    PortStatus {
        name: name.to_owned(),
        driver: "capture".to_owned(),
        queues: u16::try_from(boards.len()).unwrap_or(u16::MAX),
        rx_packets: packets.map(sum).sum(),
        rx_bytes: sum(Stat::FrameBytes),
        rx_missed: 0,
        rx_errors: 0,
        rx_no_mbuf: 0,
        handoff_dropped: 0,
    }
}

#[cfg(test)]
mod tests {
    use mos_stack::{Gauges, PacketOutcome, Stats};

    use super::*;

    #[test]
    fn a_captures_packets_are_those_of_its_workers() {
        let boards: Vec<Arc<Board>> = (0..2).map(|_| Arc::default()).collect();
        let mut stats = Stats::default();
        stats.count_packet(PacketOutcome::Monitored);
        stats.count_packet(PacketOutcome::Orphan);
        stats.add(Stat::FrameBytes, 120);
        for board in &boards {
            board.publish(&stats, Gauges::default());
        }
        let ports = Ports::new(vec![Row::Capture { name: "x.pcap".to_owned(), boards }]);
        let status = &ports.ports()[0];
        assert_eq!((status.rx_packets, status.rx_bytes, status.queues), (4, 240, 2));
    }
}
