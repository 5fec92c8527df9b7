//! How long a walk waits for a worker that serves others, too.

use std::pin::pin;

use tokio::time::{Instant, timeout_at};

use crate::workers::{ANSWER_TIMEOUT, WorkerClient};

/// Why something did not happen in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flows) enum Late {
    /// The worker answered nobody's scans for [`ANSWER_TIMEOUT`].
    Silent,
    /// The deadline has come, and the worker was answering others.
    Busy,
    /// The deadline has come, before the worker had all of its time.
    TimeUp,
}

/// Waits for what a worker is to do: as long as it answers any scans, up to the deadline.
pub(in crate::flows) async fn wait<T>(
    client: &WorkerClient,
    deadline: Instant,
    what: impl Future<Output = T>,
) -> Result<T, Late> {
    let mut what = pin!(what);
    loop {
        let answered = client.scans_answered();
        let due = deadline.min(Instant::now() + ANSWER_TIMEOUT);
        if let Ok(done) = timeout_at(due, what.as_mut()).await {
            return Ok(done);
        }
        match (client.scans_answered() != answered, due < deadline) {
            (true, true) => {}
            (true, false) => return Err(Late::Busy),
            (false, true) => return Err(Late::Silent),
            (false, false) => return Err(Late::TimeUp),
        }
    }
}
