//! First answers by request id, so that a repeated request is not carried out twice.
//!
//! Only answers to requests that were carried out are kept, each with the digest of its request:
//! an id that comes with another request is refused. After a refusal or an unknown outcome a
//! repetition is carried out, which is safe because values are absolute. Where there is no room,
//! the oldest answer goes of the principal that has most of them: nobody pushes out those of others
//! who have fewer.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mos_proto::v1::{ApplySockOptRequest, SetSockOptRequest};
use prost::Message;
use sha2::{Digest as _, Sha256};
use tokio::{sync::OnceCell, time::Instant};
use uuid::Uuid;

use crate::{
    auth::Peer,
    words::bounds::{REQUEST_ID_ENTRIES_MAX, REQUEST_ID_RETENTION},
};

/// A request id belongs to the principal that sent it.
pub(crate) type AnswerKey = (Peer, Uuid);

/// What a request asks for, apart from its id and from whether it is only to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestDigest([u8; 32]);

impl RequestDigest {
    /// The digest of this request.
    pub(crate) fn of(request: &SetSockOptRequest) -> Self {
        let asked = request.clone();
        let (request_id, validate_only) = (String::new(), false);
        Self::of_all(&SetSockOptRequest { request_id, validate_only, ..asked })
    }

    /// The digest of this request.
    pub(crate) fn of_apply(request: &ApplySockOptRequest) -> Self {
        let asked = request.clone();
        let (request_id, validate_only) = (String::new(), false);
        Self::of_all(&ApplySockOptRequest { request_id, validate_only, ..asked })
    }

    fn of_all(asked: &impl Message) -> Self {
        Self(Sha256::digest(asked.encode_to_vec()).into())
    }
}

/// A request that may be repeated.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Its id, if it has one.
    pub(crate) key: Option<AnswerKey>,
    /// What it asks for.
    pub(crate) digest: RequestDigest,
    /// Whether it changes nothing.
    pub(crate) validate_only: bool,
}

/// The id has come with another request before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdReused;

/// The answers kept.
#[derive(Debug)]
pub(crate) struct Answers<T> {
    kept: Mutex<Kept<T>>,
    retention: Duration,
    entries_max: usize,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self::new(REQUEST_ID_RETENTION, REQUEST_ID_ENTRIES_MAX)
    }
}

impl<T> Answers<T> {
    /// Keeps each answer for a time, and no more of them than this.
    pub(crate) fn new(retention: Duration, entries_max: usize) -> Self {
        let kept = Kept { of: HashMap::new(), by_count: BTreeSet::new(), count: 0 };
        Self { kept: Mutex::new(kept), retention, entries_max }
    }

    /// Refuses an id that has come with another request before; keeps nothing.
    fn check(&self, (peer, id): AnswerKey, request: RequestDigest) -> Result<(), IdReused> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forget(&peer, self.retention);
        let entry = kept.of.get(&peer).and_then(|own| own.entries.get(&id));
        match entry.filter(|entry| entry.request != request && entry.is_taken()) {
            Some(_) => Err(IdReused),
            None => Ok(()),
        }
    }

    /// The cell of a request; a new one is empty.
    fn cell(
        &self,
        (peer, id): AnswerKey,
        request: RequestDigest,
    ) -> Result<Arc<OnceCell<T>>, IdReused> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forget(&peer, self.retention);
        if let Some(entry) = kept.of.get_mut(&peer).and_then(|own| own.entries.get_mut(&id)) {
            return entry.cell(request);
        }
        if kept.count >= self.entries_max {
            kept.make_room();
        }
        let cell = Arc::default();
        kept.add(&peer, id, Entry { request, cell: Arc::clone(&cell) });
        Ok(cell)
    }
}

impl<T: Clone> Answers<T> {
    /// The answer to a request, of which only the one that has an id and changes something is kept.
    ///
    /// # Errors
    ///
    /// As [`Self::once`].
    pub(crate) async fn answer<E: From<IdReused>>(
        &self,
        Asked { key, digest, validate_only }: Asked,
        carry_out: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match key {
            Some(key) if !validate_only => self.once(key, digest, carry_out).await,
            Some(key) => {
                self.check(key, digest)?;
                carry_out.await
            }
            None => carry_out.await,
        }
    }

    /// The first answer to this request; `carry_out` makes it when there is none yet. Of several
    /// callers at once one carries the request out and the others wait for its answer.
    ///
    /// # Errors
    ///
    /// Those of `carry_out`; nothing is kept then. [`IdReused`], as an error of that type, when the
    /// id was used for another request.
    async fn once<E: From<IdReused>>(
        &self,
        key: AnswerKey,
        request: RequestDigest,
        carry_out: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.cell(key, request)?.get_or_try_init(|| carry_out).await.cloned()
    }
}

/// The answers kept, each with its principal.
#[derive(Debug)]
struct Kept<T> {
    of: HashMap<Peer, Own<T>>,
    /// The principals by the number of their answers.
    by_count: BTreeSet<(usize, Peer)>,
    /// Answers of all principals.
    count: usize,
}

/// The answers of one principal.
#[derive(Debug)]
struct Own<T> {
    entries: HashMap<Uuid, Entry<T>>,
    /// Their ids in the order of arrival.
    arrivals: VecDeque<(Instant, Uuid)>,
}

#[derive(Debug)]
struct Entry<T> {
    request: RequestDigest,
    cell: Arc<OnceCell<T>>,
}

impl<T> Entry<T> {
    /// The cell, as far as it is free for this request.
    fn cell(&mut self, request: RequestDigest) -> Result<Arc<OnceCell<T>>, IdReused> {
        if self.request != request && self.is_taken() {
            return Err(IdReused);
        }
        if self.request != request {
            *self = Self { request, cell: Arc::default() };
        }
        Ok(Arc::clone(&self.cell))
    }

    /// Whether the request was carried out, or is being carried out: else its id is free.
    fn is_taken(&self) -> bool {
        self.cell.initialized() || Arc::strong_count(&self.cell) > 1
    }
}

impl<T> Kept<T> {
    /// Drops the answers of a principal that are over.
    fn forget(&mut self, peer: &Peer, retention: Duration) {
        let now = Instant::now();
        self.change(peer, |own| {
            let is_over = |&mut (arrival, _): &mut (Instant, Uuid)| now - arrival >= retention;
            while let Some((_, oldest)) = own.arrivals.pop_front_if(is_over) {
                own.entries.remove(&oldest);
            }
        });
    }

    /// Drops the oldest answer of the principal that has most.
    fn make_room(&mut self) {
        let Some((_, peer)) = self.by_count.last().cloned() else { return };
        self.change(&peer, |own| {
            if let Some((_, oldest)) = own.arrivals.pop_front() {
                own.entries.remove(&oldest);
            }
        });
    }

    fn add(&mut self, peer: &Peer, id: Uuid, entry: Entry<T>) {
        self.change(peer, |own| {
            own.arrivals.push_back((Instant::now(), id));
            own.entries.insert(id, entry);
        });
    }

    /// Changes the answers of one principal, and counts them anew.
    fn change(&mut self, peer: &Peer, change: impl FnOnce(&mut Own<T>)) {
        let none = || Own { entries: HashMap::new(), arrivals: VecDeque::new() };
        let own = self.of.entry(peer.clone()).or_insert_with(none);
        let before = own.entries.len();
        change(own);
        let after = own.entries.len();
        if after == 0 {
            self.of.remove(peer);
        }
        if after != before {
            self.by_count.remove(&(before, peer.clone()));
            if after > 0 {
                self.by_count.insert((after, peer.clone()));
            }
            self.count = self.count + after - before;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;
    use crate::auth::Principal;

    #[derive(Debug, PartialEq, Eq)]
    enum Error {
        Reused,
        Full,
    }

    impl From<IdReused> for Error {
        fn from(_: IdReused) -> Self {
            Self::Reused
        }
    }

    fn key(principal: u32, id: u128) -> AnswerKey {
        (Some(Principal::Uid(principal)), Uuid::from_u128(id))
    }

    fn digest(flow: &str) -> RequestDigest {
        RequestDigest::of(&SetSockOptRequest { flow: flow.to_owned(), ..Default::default() })
    }

    async fn count(answers: &Answers<u32>, key: AnswerKey, runs: &AtomicU32) -> u32 {
        let carry_out = async {
            tokio::task::yield_now().await;
            Ok::<_, Error>(runs.fetch_add(1, Relaxed))
        };
        answers.once(key, digest("a"), carry_out).await.unwrap()
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
        let once = |outcome| answers.once(key(0, 1), digest("a"), async { outcome });
        assert_eq!(once(Err(Error::Full)).await, Err(Error::Full));
        assert_eq!(once(Ok(5)).await, Ok(5));
        assert_eq!(once(Err(Error::Full)).await, Ok(5));
    }

    #[tokio::test]
    async fn an_id_is_free_for_another_request_until_one_is_carried_out() {
        let answers = Answers::default();
        let once = |flow, outcome| answers.once(key(0, 1), digest(flow), async { outcome });
        assert_eq!(once("a", Err(Error::Full)).await, Err(Error::Full));
        assert_eq!(answers.check(key(0, 1), digest("b")), Ok(()));
        let under_way = answers.cell(key(0, 1), digest("b")).unwrap();
        assert_eq!(once("a", Ok(5)).await, Err(Error::Reused), "the other is under way");
        drop(under_way);
        assert_eq!(once("a", Ok(5)).await, Ok(5));
        assert_eq!(once("b", Ok(6)).await, Err(Error::Reused));
        assert_eq!(answers.check(key(0, 1), digest("b")), Err(IdReused));
        assert_eq!(answers.check(key(0, 1), digest("a")), Ok(()));
        assert_eq!(answers.check(key(7, 1), digest("b")), Ok(()));
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
            assert!(answers.kept.lock().unwrap().count <= 2);
        }
    }

    #[tokio::test]
    async fn who_has_most_answers_makes_room_for_others() {
        let runs = AtomicU32::new(0);
        let answers = Answers::new(Duration::from_secs(600), 10);
        assert_eq!(count(&answers, key(7, 1), &runs).await, 0);
        for id in 0..100 {
            count(&answers, key(0, id), &runs).await;
        }
        assert_eq!(count(&answers, key(7, 1), &runs).await, 0, "it was not pushed out");
        assert_eq!(count(&answers, key(0, 99), &runs).await, 100);
        for id in 2..6 {
            count(&answers, key(7, id), &runs).await;
        }
        let kept = answers.kept.lock().unwrap();
        let counts: Vec<_> = kept.by_count.iter().map(|(count, _)| *count).collect();
        assert_eq!((kept.count, counts), (10, vec![5, 5]));
    }

    #[test]
    fn the_digest_is_of_all_that_a_request_asks_for() {
        let request =
            SetSockOptRequest { flow: "a".to_owned(), etag: "e".to_owned(), ..Default::default() };
        let same = SetSockOptRequest {
            request_id: "x".to_owned(),
            validate_only: true,
            ..request.clone()
        };
        assert_eq!(RequestDigest::of(&request), RequestDigest::of(&same));
        let other = SetSockOptRequest { etag: String::new(), ..request.clone() };
        assert_ne!(RequestDigest::of(&request), RequestDigest::of(&other));
    }
}
