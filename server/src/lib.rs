//! The control plane of `mosd`: the gRPC services over the workers' command rings.

pub mod size;
pub mod span;
pub mod worker_client;
