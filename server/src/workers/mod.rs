//! The way to the workers: one task for each owns its command ring.

mod client;

pub use client::{PendingAnswer, WorkerClient};
pub(crate) use client::{Pipeline, Workers};
