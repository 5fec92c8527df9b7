//! First answers by request id, so that a repeated request is not carried out twice.
//!
//! Only answers to requests that were carried out are kept. After a refusal or an unknown outcome
//! a repetition is carried out, which is safe because values are absolute.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dashmap::DashMap;
use tokio::{sync::OnceCell, time::Instant};
use uuid::Uuid;

use crate::{
    auth::Principal,
    words::bounds::{REQUEST_ID_ENTRIES_MAX, REQUEST_ID_RETENTION},
};

/// A request id belongs to the principal that sent it.
pub(crate) type AnswerKey = (Option<Principal>, Uuid);

/// The answers kept.
#[derive(Debug)]
pub(crate) struct Answers<T> {
    entries: DashMap<AnswerKey, Arc<OnceCell<T>>>,
    /// Keys in the order of their arrival.
    arrivals: Mutex<VecDeque<(Instant, AnswerKey)>>,
    retention: Duration,
    entries_max: usize,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self::new(REQUEST_ID_RETENTION, REQUEST_ID_ENTRIES_MAX)
    }
}

impl<T> Answers<T> {
    fn new(retention: Duration, entries_max: usize) -> Self {
        Self { entries: DashMap::new(), arrivals: Mutex::default(), retention, entries_max }
    }

    /// The cell of a request; a new one is empty.
    fn cell(&self, key: AnswerKey) -> Arc<OnceCell<T>> {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_over = |arrival: Instant| now - arrival >= self.retention;
        while let Some((_, oldest)) = arrivals.pop_front_if(|(arrival, _)| is_over(*arrival)) {
            self.entries.remove(&oldest);
        }
        if let Some(cell) = self.entries.get(&key) {
            return Arc::clone(&cell);
        }
        if arrivals.len() >= self.entries_max
            && let Some((_, oldest)) = arrivals.pop_front()
        {
            self.entries.remove(&oldest);
        }
        arrivals.push_back((now, key));
        let cell = Arc::default();
        self.entries.insert(key, Arc::clone(&cell));
        cell
    }
}

impl<T: Clone> Answers<T> {
    /// The first answer to this request; `carry_out` makes it when there is none yet. Of several
    /// callers at once one carries the request out and the others wait for its answer.
    ///
    /// # Errors
    ///
    /// Those of `carry_out`; nothing is kept then.
    pub(crate) async fn once<E>(
        &self,
        key: AnswerKey,
        carry_out: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.cell(key).get_or_try_init(|| carry_out).await.cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    fn key(principal: u32, id: u128) -> AnswerKey {
        (Some(Principal::Uid(principal)), Uuid::from_u128(id))
    }

    async fn count(answers: &Answers<u32>, key: AnswerKey, runs: &AtomicU32) -> u32 {
        let carry_out = async {
            tokio::task::yield_now().await;
            Ok::<_, ()>(runs.fetch_add(1, Relaxed))
        };
        answers.once(key, carry_out).await.unwrap()
    }

    #[tokio::test]
    async fn calls_with_one_id_are_carried_out_once_even_at_once() {
        let (answers, runs) = (Answers::default(), AtomicU32::new(0));
        let (first, second) =
            tokio::join!(count(&answers, key(0, 1), &runs), count(&answers, key(0, 1), &runs));
        assert_eq!((first, second, runs.load(Relaxed)), (0, 0, 1));
    }

    #[tokio::test]
    async fn ids_of_different_principals_are_different() {
        let (answers, runs) = (Answers::default(), AtomicU32::new(0));
        assert_eq!(count(&answers, key(0, 1), &runs).await, 0);
        assert_eq!(count(&answers, key(7, 1), &runs).await, 1);
        assert_eq!(count(&answers, key(0, 1), &runs).await, 0);
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let answers = Answers::default();
        assert_eq!(answers.once(key(0, 1), async { Err::<u32, _>("full") }).await, Err("full"));
        assert_eq!(answers.once(key(0, 1), async { Ok::<_, &str>(5) }).await, Ok(5));
        assert_eq!(answers.once(key(0, 1), async { Err::<u32, _>("full") }).await, Ok(5));
    }

    #[tokio::test]
    async fn answers_are_kept_for_their_time_and_in_bounded_number() {
        let runs = AtomicU32::new(0);
        let answers = Answers::new(Duration::ZERO, 10);
        assert_eq!(count(&answers, key(0, 1), &runs).await, 0);
        assert_eq!(count(&answers, key(0, 1), &runs).await, 1);
        let answers = Answers::new(Duration::from_secs(600), 2);
        for (id, expected) in [(1, 2), (2, 3), (1, 2), (3, 4), (1, 5)] {
            assert_eq!(count(&answers, key(0, id), &runs).await, expected, "{id}");
            assert!(answers.entries.len() <= 2);
        }
    }
}
