//! What changes of many flows have replaced, kept for a while so that they can be undone.
//!
//! Where a principal has no room for another, its own oldest go first; nobody pushes out what
//! others keep. A change that is too large for that is made and cannot be undone, which its answer
//! says.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mos_stack::{SockOptName, WorkerId};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    auth::Peer,
    budgets::{Budget, Share},
    flows::before::Before,
    words::bounds::{UNDO_FLOWS_MAX, UNDO_FLOWS_PER_PRINCIPAL, UNDO_RETENTION},
};

/// The changes that can be undone.
#[derive(Debug)]
pub(crate) struct Undos {
    kept: Mutex<HashMap<Uuid, Kept>>,
    /// Flows of one principal, and what all hold.
    each: usize,
    room: Arc<Budget>,
    retention: Duration,
}

/// What one change has replaced.
#[derive(Debug)]
pub(crate) struct Undo {
    /// The options that it set.
    pub(crate) names: Vec<SockOptName>,
    /// The flows that it changed, by worker.
    pub(crate) flows: Vec<(WorkerId, Vec<Before>)>,
}

/// An undo, and how long it is kept.
#[derive(Debug)]
struct Kept {
    undo: Arc<Undo>,
    principal: Peer,
    since: Instant,
    _room: Share,
}

impl Default for Undos {
    fn default() -> Self {
        Self::new(UNDO_FLOWS_PER_PRINCIPAL, UNDO_FLOWS_MAX, UNDO_RETENTION)
    }
}

impl Undos {
    fn new(each: usize, all: usize, retention: Duration) -> Self {
        Self { kept: Mutex::default(), each, room: Budget::new(each, all), retention }
    }

    /// Keeps what a change of this principal has replaced. Returns its token; `None` where there is
    /// nothing to undo, or no room for it.
    pub(crate) fn keep(&self, principal: Peer, undo: Undo) -> Option<Uuid> {
        let flows: usize = undo.flows.iter().map(|(_, flows)| flows.len()).sum();
        if flows == 0 || flows > self.each {
            return None;
        }
        let mut kept = self.kept();
        let room = loop {
            match self.room.take(principal.clone(), flows) {
                Ok(room) => break room,
                Err(_spent) => {
                    let own = kept.iter().filter(|(_, kept)| kept.principal == principal);
                    let oldest = own.min_by_key(|(_, kept)| kept.since).map(|(token, _)| *token)?;
                    kept.remove(&oldest);
                }
            }
        };
        let token = Uuid::new_v4();
        let undo = Arc::new(undo);
        kept.insert(token, Kept { undo, principal, since: Instant::now(), _room: room });
        Some(token)
    }

    /// The undo with this token, while it is kept. It stays: to ask again is safe.
    pub(crate) fn get(&self, token: Uuid) -> Option<Arc<Undo>> {
        self.kept().get(&token).map(|kept| Arc::clone(&kept.undo))
    }

    /// Gives back the memory of those whose time is over.
    pub(crate) fn forget(&self) {
        drop(self.kept());
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Uuid, Kept>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        kept.retain(|_, kept| now - kept.since < self.retention);
        kept
    }
}

#[cfg(test)]
mod tests {
    use mos_stack::{Applied, FlowId, SockOpts};

    use super::*;
    use crate::auth::Principal;

    fn undo(flows: usize) -> Undo {
        let options = SockOpts::default();
        let applied = Applied {
            options,
            previous: options,
            revision: 1,
            unchanged: false,
            discarded_bytes: 0,
        };
        let before = Before::of(FlowId::from_bits(1).unwrap(), &applied);
        Undo { names: Vec::new(), flows: vec![(WorkerId::default(), vec![before; flows])] }
    }

    const fn uid(uid: u32) -> Peer {
        Some(Principal::Uid(uid))
    }

    #[test]
    fn the_oldest_of_ones_own_make_room_and_never_those_of_others() {
        let undos = Undos::new(10, 15, UNDO_RETENTION);
        let other = undos.keep(uid(7), undo(7)).unwrap();
        let first = undos.keep(uid(8), undo(4)).unwrap();
        let second = undos.keep(uid(8), undo(4)).unwrap();
        let third = undos.keep(uid(8), undo(4)).unwrap();
        let there = [other, first, second, third].map(|token| undos.get(token).is_some());
        assert_eq!(there, [true, false, true, true]);
        // Too large, whatever goes: so nothing does.
        assert_eq!(undos.keep(uid(8), undo(11)), None);
        assert_eq!(undos.keep(uid(9), undo(1)), None, "there is room for 15 flows");
        assert!(undos.get(other).is_some());
    }

    #[test]
    fn what_changed_nothing_cannot_be_undone() {
        assert_eq!(Undos::default().keep(None, undo(0)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_undo_is_kept_for_its_time_and_its_memory_no_longer() {
        let undos = Undos::default();
        let token = undos.keep(None, undo(5)).unwrap();
        tokio::time::advance(UNDO_RETENTION - Duration::from_millis(1)).await;
        assert!(undos.get(token).is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        undos.forget();
        assert_eq!((undos.get(token).is_none(), undos.room.held()), (true, 0));
    }
}
