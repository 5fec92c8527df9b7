//! The places of connections: so many of each principal, and so many in all.
//!
//! Where all are taken, a connection on which no call is under way gives up its place to the new
//! one: first those that never made a call, and of these the one that has been idle for longest.
//! So nobody keeps others out by holding connections that do nothing. Root on the Unix socket has
//! a few places more than there are for all.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    auth::{self, Peer},
    budgets::Spent,
    words::bounds::{CONNECTIONS_PER_PRINCIPAL, CONNECTIONS_RESERVED},
};

/// The places that are taken.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    last_id: u64,
    taken: HashMap<u64, Seat>,
}

/// A place that is taken.
#[derive(Debug)]
struct Seat {
    principal: Peer,
    has_called: bool,
    /// `None` while a call is under way.
    idle_since: Option<Instant>,
    dismissed: Arc<Notify>,
}

/// The right to be connected. Dropping it lets another connection in.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    dismissed: Arc<Notify>,
}

impl Places {
    /// At most `max` connections at once.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, seats: Mutex::default() })
    }

    /// A place for a connection of this principal.
    ///
    /// # Errors
    ///
    /// The bound that is reached, where no idle connection can go instead.
    pub(super) fn take(self: &Arc<Self>, principal: Peer) -> Result<Place, Spent> {
        let mut seats = self.lock();
        let reserved = if auth::is_administrator(&principal) { CONNECTIONS_RESERVED } else { 0 };
        if seats.of(&principal) >= CONNECTIONS_PER_PRINCIPAL {
            seats.dismiss_one_of(&principal, CONNECTIONS_PER_PRINCIPAL)?;
        } else if seats.taken.len() >= self.max + reserved {
            let greediest = seats.greediest();
            seats.dismiss_one_of(&greediest, self.max)?;
        }
        let dismissed = Arc::new(Notify::new());
        let seat = Seat {
            principal,
            has_called: false,
            idle_since: Some(Instant::now()),
            dismissed: Arc::clone(&dismissed),
        };
        seats.last_id += 1;
        let id = seats.last_id;
        seats.taken.insert(id, seat);
        Ok(Place { places: Arc::clone(self), id, dismissed })
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    fn of(&self, principal: &Peer) -> usize {
        self.taken.values().filter(|seat| seat.principal == *principal).count()
    }

    /// Who has most places.
    fn greediest(&self) -> Peer {
        let mut counts: HashMap<&Peer, usize> = HashMap::new();
        for seat in self.taken.values() {
            *counts.entry(&seat.principal).or_default() += 1;
        }
        let greediest = counts.into_iter().max_by_key(|(_, count)| *count);
        greediest.and_then(|(principal, _)| principal.clone())
    }

    fn dismiss_one_of(&mut self, principal: &Peer, max: usize) -> Result<(), Spent> {
        let idle = self.taken.iter().filter(|(_, seat)| seat.principal == *principal);
        let idle = idle.filter_map(|(id, seat)| {
            seat.idle_since.map(|since| (Reverse(seat.has_called), Reverse(since), *id))
        });
        let Some((_, _, id)) = idle.max() else { return Err(Spent { max }) };
        if let Some(seat) = self.taken.remove(&id) {
            seat.dismissed.notify_one();
        }
        Ok(())
    }
}

impl Place {
    /// A call begins on a connection that had none.
    pub(super) fn begin_calls(&self) {
        if let Some(seat) = self.places.lock().taken.get_mut(&self.id) {
            (seat.idle_since, seat.has_called) = (None, true);
        }
    }

    /// The last call on the connection has ended.
    pub(super) fn end_calls(&self) {
        if let Some(seat) = self.places.lock().taken.get_mut(&self.id) {
            seat.idle_since = Some(Instant::now());
        }
    }

    /// Completes when the place was given to another connection.
    pub(super) async fn dismissed(&self) {
        self.dismissed.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().taken.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Principal;

    const fn uid(uid: u32) -> Peer {
        Some(Principal::Uid(uid))
    }

    fn fill(places: &Arc<Places>, principal: &Peer, count: usize) -> Vec<Place> {
        (0..count).map(|_| places.take(principal.clone()).unwrap()).collect()
    }

    fn is_dismissed(place: &Place) -> bool {
        !place.places.lock().taken.contains_key(&place.id)
    }

    #[test]
    fn a_silent_connection_gives_way_before_an_idle_one_and_a_busy_one_never() {
        let places = Places::new(1000);
        let connections = fill(&places, &uid(1), CONNECTIONS_PER_PRINCIPAL);
        connections[0].begin_calls();
        connections[1].begin_calls();
        connections[1].end_calls();
        let mut later = fill(&places, &uid(1), 1);
        assert!(is_dismissed(&connections[2]), "it never made a call, and was there before others");
        later.extend(fill(&places, &uid(1), CONNECTIONS_PER_PRINCIPAL - 3));
        assert!(connections[3..].iter().all(is_dismissed));
        later.iter().for_each(Place::begin_calls);
        let last = fill(&places, &uid(1), 1);
        assert!(is_dismissed(&connections[1]) && !is_dismissed(&connections[0]));
        last[0].begin_calls();
        let full = Spent { max: CONNECTIONS_PER_PRINCIPAL };
        assert_eq!(places.take(uid(1)).unwrap_err(), full);
        drop(last);
        drop(places.take(uid(1)).unwrap());
    }

    #[test]
    fn where_all_places_are_taken_who_has_most_loses_one() {
        let places = Places::new(5);
        let few = fill(&places, &uid(1), 2);
        let many = fill(&places, &uid(2), 3);
        let new = fill(&places, &uid(3), 1);
        assert!(!few.iter().any(is_dismissed));
        assert_eq!(many.iter().filter(|place| is_dismissed(place)).count(), 1);
        for place in few.iter().chain(&many).chain(&new) {
            place.begin_calls();
        }
        assert_eq!(places.take(uid(4)).unwrap_err(), Spent { max: 5 });
    }

    #[test]
    fn root_gets_in_whatever_others_hold() {
        let places = Places::new(3);
        let others = fill(&places, &uid(1), 3);
        others.iter().for_each(Place::begin_calls);
        let own = fill(&places, &uid(0), CONNECTIONS_RESERVED);
        own.iter().for_each(Place::begin_calls);
        assert_eq!(places.take(uid(1)).unwrap_err(), Spent { max: 3 });
        assert!(!others.iter().chain(&own).any(is_dismissed));
    }

    #[tokio::test]
    async fn who_is_dismissed_is_told() {
        let places = Places::new(1);
        let first = places.take(uid(1)).unwrap();
        let _second = places.take(uid(2)).unwrap();
        first.dismissed().await;
        drop(first);
        assert_eq!(places.lock().taken.len(), 1);
    }
}
