//! The gate: whether a caller has the role that is needed, now and as long as a stream is open.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::{sync::watch, time::timeout};

use super::{
    Certificate, Counted, Distrust, Grants, Proof, Role, Roles, TooFast, Trust,
    certificate::Nameless, is_administrator, rates::Rates,
};

/// Time after which it is looked again at whether an open stream may go on; sooner where the
/// grants or the CAs change, or a certificate expires.
const RECHECK: Duration = Duration::from_secs(30);

/// Decides who may call what.
#[derive(Debug)]
pub(crate) struct Gate {
    held: watch::Sender<Held>,
    /// Why later grants did not take the place of those that hold.
    mistake: Mutex<Option<String>>,
    rates: Rates,
}

/// What the gate goes by.
#[derive(Debug, Clone)]
struct Held {
    grants: Arc<Grants>,
    /// Who may issue certificates; `None` where nobody may.
    trust: Option<Arc<Trust>>,
}

/// Why a caller is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is not proven who calls.
    Unproven(Unproven),
    /// A role is missing.
    Role {
        /// The role.
        role: Role,
        /// The roles that there are.
        held: Roles,
    },
}

/// Why it is not proven who calls.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// Nothing was shown.
    #[error("there is no client certificate, and TLS callers prove with one who they are")]
    NoCertificate,
    /// The certificate names nobody.
    #[error("the client certificate names nobody: {0}")]
    Nameless(String),
    /// The certificate is not good any more.
    #[error("the client certificate {0}")]
    Distrusted(String),
    /// The token is not one that mosd knows: one text for all that can be wrong with it.
    #[error("the token is none that mosd knows, or its time is over")]
    Token,
    /// A token came in plain text over TCP.
    #[error("a token has come in plain text, where anybody on the way can read it")]
    TokenInPlainText,
    /// A certificate and a token were shown.
    #[error("there are a client certificate and a token: show one of them")]
    Both,
}

impl Gate {
    /// A gate that keeps to these grants, and takes certificates by this trust.
    pub(crate) fn new(grants: Grants, trust: Option<Arc<Trust>>) -> Self {
        let held = watch::Sender::new(Held { grants: Arc::new(grants), trust });
        Self { held, mistake: Mutex::default(), rates: Rates::default() }
    }

    /// From now on these grants hold, for open streams as well. Whether they are others.
    pub(crate) fn replace(&self, grants: Grants) -> bool {
        *self.lock() = None;
        self.held.send_if_modified(|held| {
            let differs = !held.grants.iter().eq(grants.iter());
            held.grants = Arc::new(grants);
            differs
        })
    }

    /// From now on certificates are judged by this trust, those of open streams as well.
    pub(crate) fn trust(&self, trust: Option<Arc<Trust>>) {
        self.held.send_modify(|held| held.trust = trust);
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
        Arc::clone(&self.held.borrow().grants)
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.mistake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it is not proven who calls, if it is not.
    pub(crate) fn unproven(&self, proof: &Proof) -> Option<Unproven> {
        self.held.borrow().roles(proof).err()
    }

    /// The roles of a caller, if they have the one that is needed: `None` for none.
    ///
    /// # Errors
    ///
    /// Why the caller is not let in.
    pub(crate) fn admit(&self, proof: &Proof, needed: Option<Role>) -> Result<Roles, Refused> {
        // Taken out: to verify a certificate takes longer than a change of the grants may wait.
        let held = self.held.borrow().clone();
        match (held.roles(proof), needed) {
            (Ok(held), Some(role)) if !held.have(role) => Err(Refused::Role { role, held }),
            (Ok(held), _) => Ok(held),
            (Err(_unproven), None) => Ok(Roles::default()),
            (Err(unproven), Some(_)) => Err(Refused::Unproven(unproven)),
        }
    }

    /// Counts a call, where the grants of its caller say how fast it may call. The administrator of
    /// this machine is not counted.
    ///
    /// # Errors
    ///
    /// When it comes too soon.
    pub(crate) fn count(&self, proof: &Proof, counted: Counted) -> Result<(), TooFast> {
        let caller = proof.principal();
        if is_administrator(&Some(caller.clone())) {
            return Ok(());
        }
        self.rates.count(caller, counted, self.grants().pace(proof), Instant::now())
    }

    /// Completes when a caller has lost a role of those that it opened a stream with.
    pub(crate) async fn lost(&self, proof: &Proof, opened_with: Roles) -> Refused {
        if opened_with == Roles::default() {
            return std::future::pending().await;
        }
        let mut changes = self.held.subscribe();
        loop {
            let current = changes.borrow_and_update().clone();
            let held = match current.roles(proof) {
                Ok(held) => held,
                Err(unproven) => return Refused::Unproven(unproven),
            };
            if let Some(role) = opened_with.lost_in(held) {
                return Refused::Role { role, held };
            }
            let ends = proof.certificate().map(Certificate::not_after);
            let ends = ends.into_iter().chain(current.grants.first_expiry(proof)).min();
            let due = ends.map_or(RECHECK, |end| RECHECK.min(time_left(end)));
            // Either way it is looked again.
            let _changed_or_due: Result<_, _> = timeout(due, changes.changed()).await;
        }
    }
}

impl Held {
    /// The roles of who proves this.
    fn roles(&self, proof: &Proof) -> Result<Roles, Unproven> {
        match proof {
            Proof::Socket { .. } | Proof::Address(_) => {}
            Proof::Tls { certificate: None, .. } => return Err(Unproven::NoCertificate),
            Proof::Tls { certificate: Some(certificate), .. } => self.look_at(certificate)?,
            Proof::Token { .. } => {
                let mut known = self.grants.fitting(proof);
                known.next().map(drop).ok_or(Unproven::Token)?;
            }
        }
        Ok(self.grants.roles(proof))
    }

    /// Whether a certificate proves who calls.
    fn look_at(&self, certificate: &Certificate) -> Result<(), Unproven> {
        let distrusted = |why: Distrust| Unproven::Distrusted(why.to_string());
        let trust = self.trust.as_ref().ok_or_else(|| distrusted(Distrust::UnknownIssuer))?;
        certificate.verify(trust).map_err(distrusted)?;
        let nameless = |why: &Nameless| Unproven::Nameless(why.to_string());
        certificate.name().map(drop).map_err(nameless)
    }
}

/// Until something expires; a little more, so that it has expired then.
fn time_left(end: SystemTime) -> Duration {
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    left + Duration::from_millis(100)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant as TokioInstant;

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
        let gate = Gate::new(giving("operator"), None);
        let held = Roles::of(Role::Operator);
        for role in [Role::Viewer, Role::Operator] {
            assert_eq!(gate.admit(&host(), Some(role)), Ok(held));
        }
        for role in [Role::Payload, Role::Admin] {
            assert_eq!(gate.admit(&host(), Some(role)), Err(Refused::Role { role, held }));
        }
        let stranger = Proof::Address("192.0.2.2".parse().unwrap());
        assert_eq!(gate.admit(&stranger, None), Ok(Roles::default()));
        gate.admit(&stranger, Some(Role::Viewer)).unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_stream_ends_when_a_role_is_gone_and_not_before() {
        let (gate, host) = (Gate::new(giving("admin"), None), host());
        let held = gate.admit(&host, Some(Role::Viewer)).unwrap();
        let mut lost = std::pin::pin!(gate.lost(&host, held));
        let begun = TokioInstant::now();
        timeout(RECHECK * 10, &mut lost).await.unwrap_err();
        assert_eq!(begun.elapsed(), RECHECK * 10);
        gate.replace(giving("operator"));
        let refused = Refused::Role { role: Role::Admin, held: Roles::of(Role::Operator) };
        assert_eq!(timeout(RECHECK, lost).await.unwrap(), refused);
    }
}
