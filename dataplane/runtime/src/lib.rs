//! Workers, packet sources and the safe wrappers around DPDK.

pub mod clock;
pub mod command;
pub mod config;
pub mod idle;
pub mod replay;
pub mod source;
pub mod traffic;
pub mod worker;

pub use config::Config;
