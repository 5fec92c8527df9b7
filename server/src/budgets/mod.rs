//! What clients hold of a thing that is scarce: so much each, and so much all together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::auth::{self, Peer};

/// A thing that is scarce. Whoever the transport does not identify counts as one principal.
#[derive(Debug)]
pub(crate) struct Budget {
    each: usize,
    all: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by_principal: HashMap<Peer, usize>,
}

/// What one principal was given, which may grow and shrink. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    principal: Peer,
    amount: usize,
}

/// There is no more to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent {
    /// The bound that was reached.
    pub(crate) max: usize,
}

impl Budget {
    /// At most `each` for one principal and `all` in total.
    pub(crate) fn new(each: usize, all: usize) -> Arc<Self> {
        Arc::new(Self { each, all, held: Mutex::default() })
    }

    /// Gives this much to a principal. What the others hold does not bound the administrator of
    /// this machine.
    ///
    /// # Errors
    ///
    /// The bound that would be passed.
    pub(crate) fn take(self: &Arc<Self>, principal: Peer, amount: usize) -> Result<Share, Spent> {
        self.hold(&principal, amount)?;
        Ok(Share { budget: Arc::clone(self), principal, amount })
    }

    /// A share of nothing, to grow later.
    pub(crate) fn begin(self: &Arc<Self>, principal: Peer) -> Share {
        Share { budget: Arc::clone(self), principal, amount: 0 }
    }

    fn hold(&self, principal: &Peer, amount: usize) -> Result<(), Spent> {
        let mut held = self.lock();
        let own = held.by_principal.get(principal).copied().unwrap_or(0);
        if own + amount > self.each {
            return Err(Spent { max: self.each });
        }
        if held.all + amount > self.all && !auth::is_administrator(principal) {
            return Err(Spent { max: self.all });
        }
        held.all += amount;
        held.by_principal.insert(principal.clone(), own + amount);
        Ok(())
    }

    fn give_back(&self, principal: &Peer, amount: usize) {
        let mut held = self.lock();
        held.all -= amount;
        if let Some(own) = held.by_principal.get_mut(principal) {
            *own -= amount;
            if *own == 0 {
                held.by_principal.remove(principal);
            }
        }
    }

    /// What all hold together.
    pub(crate) fn held(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Makes it this much.
    ///
    /// # Errors
    ///
    /// The bound that would be passed; the share is as it was then.
    pub(crate) fn resize(&mut self, amount: usize) -> Result<(), Spent> {
        match amount.checked_sub(self.amount) {
            Some(more) => self.budget.hold(&self.principal, more)?,
            None => self.budget.give_back(&self.principal, self.amount - amount),
        }
        self.amount = amount;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(&self.principal, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Principal;

    const fn uid(uid: u32) -> Peer {
        Some(Principal::Uid(uid))
    }

    #[test]
    fn nobody_has_more_than_a_share_and_all_no_more_than_there_is() {
        let budget = Budget::new(3, 5);
        let first = budget.take(uid(1), 3).unwrap();
        assert_eq!(budget.take(uid(1), 1).unwrap_err(), Spent { max: 3 });
        let _second = budget.take(uid(2), 2).unwrap();
        assert_eq!(budget.take(None, 1).unwrap_err(), Spent { max: 5 });
        assert_eq!(budget.held(), 5);
        drop(first);
        let _third = budget.take(None, 3).unwrap();
        assert_eq!(budget.take(None, 1).unwrap_err(), Spent { max: 3 });
        assert_eq!(budget.held(), 5);
    }

    #[test]
    fn a_share_grows_as_far_as_there_is_more_and_shrinks() {
        let budget = Budget::new(4, 5);
        let mut share = budget.begin(uid(1));
        share.resize(3).unwrap();
        assert_eq!(share.resize(5).unwrap_err(), Spent { max: 4 });
        let _other = budget.take(uid(2), 2).unwrap();
        assert_eq!(share.resize(4).unwrap_err(), Spent { max: 5 });
        assert_eq!(budget.held(), 5);
        share.resize(1).unwrap();
        assert_eq!(budget.held(), 3);
        drop(share);
        assert_eq!(budget.held(), 2);
    }

    #[test]
    fn others_leave_the_administrator_a_share() {
        let budget = Budget::new(2, 2);
        let _others = budget.take(uid(1), 2).unwrap();
        let _own = budget.take(uid(0), 2).unwrap();
        assert_eq!(budget.take(uid(0), 1).unwrap_err(), Spent { max: 2 });
        assert_eq!(budget.held(), 4);
    }

    #[test]
    fn nothing_stays_behind_of_principals_that_are_gone() {
        let budget = Budget::new(1, 1000);
        for number in 1..100 {
            drop(budget.take(uid(number), 1).unwrap());
        }
        assert!(budget.lock().by_principal.is_empty());
    }
}
