//! How many connections there may be, in all and of one principal.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::auth::{Peer, Principal};

/// Connections of one principal at once, at most.
const CONNECTIONS_PER_PRINCIPAL: usize = 64;

/// The connections that there are, counted against their limits.
#[derive(Debug)]
pub(super) struct Limits {
    all: Arc<Semaphore>,
    by_principal: Mutex<HashMap<Principal, usize>>,
}

/// The right to be connected. Dropping it lets another connection in.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    principal: Peer,
    limits: Arc<Limits>,
}

impl Limits {
    /// At most `connections_max` connections at once, and [`CONNECTIONS_PER_PRINCIPAL`] of each
    /// principal.
    pub(super) fn new(connections_max: usize) -> Arc<Self> {
        Arc::new(Self {
            all: Arc::new(Semaphore::new(connections_max)),
            by_principal: Mutex::default(),
        })
    }

    /// Waits for room for one more connection.
    ///
    /// # Errors
    ///
    /// None in practice: the semaphore is never closed.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.all).acquire_owned().await
    }

    /// A place for a connection of this principal; `None` when it has too many.
    pub(super) fn place(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        principal: Peer,
    ) -> Option<Place> {
        if let Some(principal) = principal {
            let mut counts = self.by_principal.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(principal).or_insert(0);
            if *count >= CONNECTIONS_PER_PRINCIPAL {
                return None;
            }
            *count += 1;
        }
        Some(Place { _permit: permit, principal, limits: Arc::clone(self) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(principal) = self.principal else { return };
        let mut counts = self.limits.by_principal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&principal) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&principal);
            }
        }
    }
}
