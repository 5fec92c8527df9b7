//! The gate: whether a caller has the role that is needed, now and as long as a stream is open.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

use super::{Grants, Proof, Role, Roles};

/// Time after which it is looked again at whether an open stream may go on; sooner where the
/// grants change.
const RECHECK: Duration = Duration::from_secs(30);

/// Decides who may call what.
#[derive(Debug)]
pub(crate) struct Gate {
    grants: watch::Sender<Arc<Grants>>,
    /// Why later grants did not take their place.
    mistake: Mutex<Option<String>>,
}

/// The role that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The role.
    pub(crate) role: Role,
    /// The roles that there are.
    pub(crate) held: Roles,
}

impl Gate {
    /// A gate that keeps to these grants.
    pub(crate) fn new(grants: Grants) -> Self {
        Self { grants: watch::Sender::new(Arc::new(grants)), mistake: Mutex::default() }
    }

    /// From now on these grants hold, for open streams as well. Whether they are others.
    pub(crate) fn replace(&self, grants: Grants) -> bool {
        *self.lock() = None;
        self.grants.send_if_modified(|held| {
            let differs = **held != grants;
            *held = Arc::new(grants);
            differs
        })
    }

    /// What holds goes on to hold, for this reason. Whether the reason is another than before.
    pub(crate) fn keep(&self, mistake: String) -> bool {
        self.lock().replace(mistake.clone()) != Some(mistake)
    }

    /// Why later grants did not take the place of those that hold.
    pub(crate) fn mistake(&self) -> Option<String> {
        self.lock().clone()
    }

    /// The grants that hold.
    pub(crate) fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.grants.borrow())
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.mistake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The roles of a caller, if they have the one that is needed: `None` for none.
    ///
    /// # Errors
    ///
    /// The role that is missing.
    pub(crate) fn admit(&self, proof: &Proof, needed: Option<Role>) -> Result<Roles, Refused> {
        let held = self.grants.borrow().roles(proof);
        match needed {
            Some(role) if !held.have(role) => Err(Refused { role, held }),
            Some(_) | None => Ok(held),
        }
    }

    /// Completes when a caller has lost a role of those that it opened a stream with.
    pub(crate) async fn lost(&self, proof: &Proof, opened_with: Roles) -> Refused {
        let mut grants = self.grants.subscribe();
        loop {
            let held = grants.borrow_and_update().roles(proof);
            if let Some(role) = opened_with.lost_in(held) {
                return Refused { role, held };
            }
            // Either way it is looked again.
            let _changed_or_due: Result<_, _> = timeout(RECHECK, grants.changed()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn host() -> Proof {
        Proof::Address("192.0.2.1".parse().unwrap())
    }

    fn giving(role: &str) -> Grants {
        let text = format!("[[grant]]\nroles = [\"{role}\"]\naddress = \"192.0.2.1\"\n");
        Grants::parse(&text).unwrap()
    }

    #[test]
    fn who_has_the_role_is_let_in_and_others_are_told_which_is_missing() {
        let gate = Gate::new(giving("operator"));
        let held = Roles::of(Role::Operator);
        for role in [Role::Viewer, Role::Operator] {
            assert_eq!(gate.admit(&host(), Some(role)), Ok(held));
        }
        for role in [Role::Payload, Role::Admin] {
            assert_eq!(gate.admit(&host(), Some(role)), Err(Refused { role, held }));
        }
        let stranger = Proof::Address("192.0.2.2".parse().unwrap());
        assert_eq!(gate.admit(&stranger, None), Ok(Roles::default()));
        gate.admit(&stranger, Some(Role::Viewer)).unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_stream_ends_when_a_role_is_gone_and_not_before() {
        let (gate, host) = (Gate::new(giving("admin")), host());
        let held = gate.admit(&host, Some(Role::Viewer)).unwrap();
        let mut lost = std::pin::pin!(gate.lost(&host, held));
        let begun = Instant::now();
        timeout(RECHECK * 10, &mut lost).await.unwrap_err();
        assert_eq!(begun.elapsed(), RECHECK * 10);
        gate.replace(giving("operator"));
        let refused = Refused { role: Role::Admin, held: Roles::of(Role::Operator) };
        assert_eq!(timeout(RECHECK, lost).await.unwrap(), refused);
    }
}
