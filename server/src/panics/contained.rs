//! Work whose panic is caught.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{hook, note_fallen};

/// A panic that was caught. It is logged and counted already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked {
    /// Its name in the log.
    pub(crate) id: Uuid,
}

/// Does `work`, and catches its panic. What `work` shares with others must bear that it ends in
/// the middle: our locks are taken over from a thread that panicked.
///
/// # Errors
///
/// When it panics.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let outcome = hook::containing(|| catch_unwind(AssertUnwindSafe(work)));
    outcome.map_err(|_payload| Panicked { id: hook::last() })
}

/// As [`caught`], for a future.
///
/// # Errors
///
/// When it panics.
pub(crate) async fn contained<F: Future>(work: F) -> Result<F::Output, Panicked> {
    let mut work = pin!(work);
    poll_fn(|context| match caught(|| work.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

/// Starts a task that the service needs as long as it runs. Where it ends by a panic, its name is
/// noted, and `mosctl status` says so.
pub(crate) fn spawn(
    name: impl Into<String>,
    task: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(watched(name.into(), task))
}

/// The same for a task that is started elsewhere.
pub(crate) async fn watched(name: String, task: impl Future<Output = ()>) {
    if let Err(Panicked { id }) = contained(task).await {
        tracing::error!(request_id = %id, "{name} has ended by a panic");
        note_fallen(name);
    }
}
