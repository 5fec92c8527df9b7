//! The two ends of a connection: sockets of the kernel, and the raw peer.

pub mod kernel;
pub mod peer;
pub mod setup;
