//! Why a command was not carried out.

use mos_stack::{LookupError, SockOptError, WorkerId};

/// What a worker, or the path to it, answers to a command that was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No worker has this index.
    #[error("there is no worker {0}")]
    NoSuchWorker(WorkerId),
    /// The worker has stopped, or has not started yet.
    #[error("worker {0} is not running")]
    WorkerNotRunning(WorkerId),
    /// The worker takes no more commands because the service is ending.
    #[error("worker {0} is stopping")]
    WorkerStopping(WorkerId),
    /// The worker's command ring is full.
    #[error("the command ring of worker {0} is full")]
    RingFull(WorkerId),
    /// The worker did not answer in time: the command may or may not have been carried out.
    #[error("worker {0} did not answer in time")]
    NoAnswer(WorkerId),
    /// The handle does not name a live flow.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The change of options was refused.
    #[error(transparent)]
    SockOpt(#[from] SockOptError),
}
