//! The way to the workers: what they can be asked, and one task for each that owns its rings.

mod calls;
mod client;
mod task;

pub(crate) use calls::{Asked, CallError, Change, Scanned, Stretch};
pub(crate) use client::{ANSWER_TIMEOUT, ScanPlace, Workers};
pub use client::{PendingAnswer, WorkerClient};
