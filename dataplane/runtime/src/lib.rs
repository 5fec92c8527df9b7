//! Workers, packet sources and the safe wrappers around DPDK.
//!
//! [`Dataplane::start`] opens the configured ports and runs one [`worker::Worker`] on each of its
//! threads. The loop is the same for live ports, captures and tests: it is generic over where
//! frames come from, what time it is and who is told what happens.

pub mod clock;
pub mod command;
pub mod config;
pub mod cpu;
mod dataplane;
#[cfg(feature = "dpdk")]
mod dpdk;
mod error;
pub mod idle;
mod meminfo;
pub mod pace;
mod ports;
pub mod replay;
pub mod rerun;
pub mod source;
mod stacks;
pub mod traffic;
pub mod worker;

pub use config::Config;
pub use cpu::Cpus;
pub use dataplane::Dataplane;
#[cfg(feature = "dpdk")]
pub use dpdk::EalError;
pub use error::{PortProblem, StartError, StopError};
