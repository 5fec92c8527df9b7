//! Why the dataplane cannot be started, in one clear line each, and whether the user can mend it.

use std::{io, path::PathBuf};

use mos_stack::{LimitsError, WorkerId};

#[cfg(feature = "dpdk")]
use crate::dpdk::EalError;
use crate::{config::PortConfig, source::capture::CaptureError};

/// A flow's handle can name no more workers.
const WORKERS_MAX: u16 = WorkerId::MAX + 1;

/// Why [`crate::Dataplane::start`] failed. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The number of workers is out of range.
    #[error("workers must be 1 to {WORKERS_MAX}, not {0}")]
    Workers(u16),
    /// No port is configured.
    #[error("no port is configured: name at least one device or capture")]
    NoPorts,
    /// A capture has its own clock, and a worker has one clock.
    #[error("the capture {0} brings its own clock, so it must be the only port")]
    CaptureNotAlone(PortConfig),
    /// Too few CPUs are named.
    #[error("cpus names {given} CPUs for {workers} workers")]
    TooFewCpus {
        /// How many are named.
        given: usize,
        /// How many are needed.
        workers: u16,
    },
    /// A CPU is named for two workers.
    #[error("cpus names CPU {0} for two workers")]
    CpuTwice(usize),
    /// This process may not use a CPU that is named.
    #[error("this process may not use CPU {cpu}; it may use {allowed:?}")]
    CpuNotAllowed {
        /// The CPU that is named.
        cpu: usize,
        /// Those that may be named.
        allowed: Vec<usize>,
    },
    /// The bounds of a stack contradict each other, or there is not enough memory.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// All memory is to be allocated at start, and the machine has less.
    #[error(
        "limits.populate needs {needed_mib} MiB, and {available_mib} MiB of memory are available: \
         lower limits.flows_max or limits.pool, or let memory come as it is used"
    )]
    Memory {
        /// MiB that all workers take together.
        needed_mib: u64,
        /// MiB that the kernel has available.
        available_mib: u64,
    },
    /// A capture cannot be opened.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A port cannot be opened.
    #[error("port {port}: {problem}")]
    Port {
        /// The port as the configuration names it.
        port: PortConfig,
        /// What is wrong.
        problem: PortProblem,
    },
    /// DPDK does not start.
    #[cfg(feature = "dpdk")]
    #[error(transparent)]
    Eal(#[from] EalError),
    /// A thread cannot be started.
    #[error("cannot start the thread {name}: {error}")]
    Thread {
        /// Its name.
        name: String,
        /// What the system said.
        error: io::Error,
    },
}

/// What is wrong with a port.
#[derive(Debug, thiserror::Error)]
pub enum PortProblem {
    /// This program was built without DPDK.
    #[error("this program was built without DPDK (feature `dpdk`): it can read captures only")]
    NoDpdk,
    /// The description cannot be read.
    #[error("{0}")]
    Devargs(String),
    /// There is no such network interface.
    #[error("there is no network interface {0}")]
    NoInterface(String),
    /// A file that the device needs cannot be opened.
    #[error("cannot open {path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// This process lacks a capability.
    #[error(
        "no permission to open {what}: {capability} is needed (run as root, or grant it, for \
         example with AmbientCapabilities= in a systemd unit)"
    )]
    Permission {
        /// What cannot be opened.
        what: String,
        /// The Linux capability that allows it.
        capability: &'static str,
    },
    /// DPDK refuses the device.
    #[error("DPDK refuses it: {0}")]
    Refused(String),
    /// There is not enough memory for packet buffers.
    #[error("no memory for {mbufs} packet buffers: {cause}")]
    Memory {
        /// How many are needed.
        mbufs: u32,
        /// What DPDK said.
        cause: String,
    },
}

impl StartError {
    /// Whether the user can mend it by another configuration, a capability or more resources; else
    /// it is a fault of the system or of this program.
    #[must_use]
    pub const fn is_user_error(&self) -> bool {
        match self {
            Self::Workers(_)
            | Self::NoPorts
            | Self::CaptureNotAlone(_)
            | Self::TooFewCpus { .. }
            | Self::CpuTwice(_)
            | Self::CpuNotAllowed { .. }
            | Self::Memory { .. }
            | Self::Capture(_) => true,
            Self::Limits(error) => {
                !matches!(error, LimitsError::Memory(_) | LimitsError::Populate(_))
            }
            Self::Port { problem, .. } => !matches!(problem, PortProblem::Memory { .. }),
            #[cfg(feature = "dpdk")]
            Self::Eal(error) => {
                matches!(error, EalError::Hugepages { .. } | EalError::Memory { .. })
            }
            Self::Thread { .. } => false,
        }
    }
}

/// Why the dataplane did not stop cleanly. It has stopped nevertheless.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// A thread ended by a panic.
    #[error("the thread {0} panicked")]
    Panicked(String),
    /// DPDK did not end cleanly.
    #[cfg(feature = "dpdk")]
    #[error(transparent)]
    Eal(#[from] EalError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_port_and_what_to_do() {
        let error = StartError::Port {
            port: "af_packet:eth7".parse().unwrap(),
            problem: PortProblem::NoInterface("eth7".to_owned()),
        };
        assert_eq!(
            error.to_string(),
            "port net_af_packet_eth7,iface=eth7: there is no network interface eth7"
        );
        assert!(error.is_user_error());
        assert_eq!(StartError::Workers(0).to_string(), "workers must be 1 to 512, not 0");
    }

    #[test]
    fn lack_of_memory_is_not_the_users_fault() {
        assert!(!StartError::Limits(LimitsError::Memory(1)).is_user_error());
        assert!(StartError::Limits(LimitsError::Flows(0)).is_user_error());
    }
}
