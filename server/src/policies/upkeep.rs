//! What happens to policies by itself: they expire, a change that nobody confirms is taken back,
//! and a worker that missed a change gets it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use mos_control::Phase;
use tokio::{task::spawn_blocking, time::timeout};

use super::{Policies, Writer, generation::Generation, policy::Policy};
use crate::workers::{WorkerClient, Workers};

/// How often it is looked what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The author of what happens by itself.
const MOSD: &str = "mosd";

/// The generation that has to follow now, if any.
pub(super) fn due(writer: &Writer, current: &Generation, now: SystemTime) -> Option<Generation> {
    if current.rollback.is_some_and(|rollback| rollback.at <= now) {
        return rolled_back(writer, current, MOSD, now);
    }
    let is_over = |policy: &Policy| policy.draft.expires.is_some_and(|expires| expires <= now);
    if !current.policies.iter().any(is_over) {
        return None;
    }
    let kept = current.policies.iter().filter(|policy| !is_over(policy));
    let drafts = kept.map(|policy| policy.draft.clone()).collect();
    let next = current.next(writer.next, drafts, MOSD, now).ok()?;
    Some(Generation { rollback: current.rollback, ..next })
}

/// The generation that takes a change back which was not confirmed. `None` if the set before it is
/// not there any more, because its file could not be read.
pub(super) fn rolled_back(
    writer: &Writer,
    current: &Generation,
    author: &str,
    now: SystemTime,
) -> Option<Generation> {
    let to = current.rollback?.to;
    let older = writer.history.iter().find(|kept| kept.number == to)?;
    current.next(writer.next, older.drafts(), author, now).ok()
}

impl Policies {
    /// Does what is due, until the process ends.
    pub(crate) async fn keep(self: Arc<Self>, workers: Workers) {
        loop {
            // Woken or not, the look is the same.
            let _woken: Result<(), _> = timeout(LOOK_EVERY, self.changed.notified()).await;
            self.look(&workers).await;
        }
    }

    async fn look(self: &Arc<Self>, workers: &Workers) {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let this = Arc::clone(self);
        // The disk may hang: no thread of the runtime waits for it.
        let done = spawn_blocking(move || this.catch_up(&mut writer)).await;
        // The other error is a panic, logged already.
        if let Ok(Err(error)) = done {
            tracing::error!(%error, "what is due cannot be in force");
        }
        let number = self.generation().number;
        let missed = workers.iter().filter(|client| has_missed(client, number));
        self.activate(&missed.collect::<Vec<_>>()).await;
    }
}

/// Whether a worker runs, but not this generation, and none is on its way there.
fn has_missed(client: &WorkerClient, number: u64) -> bool {
    let board = client.board();
    let runs = matches!(board.phase(), Phase::Running | Phase::Drained);
    runs && board.gauges().policy_generation != number && client.depth() == 0
}
