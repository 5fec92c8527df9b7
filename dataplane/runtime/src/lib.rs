//! Workers, packet sources and the safe wrappers around DPDK.

pub mod config;
pub mod source;

pub use config::Config;
