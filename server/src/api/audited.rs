//! What the audit is told of a call: before it is carried out, who asks for what; behind it, what
//! came of it.

use std::sync::Arc;

use mos_proto::v1;
use mos_stack::{Applied, SockOptChange, SockOptName};
use mos_text::Echo;
use tokio::time::Instant;

use crate::{
    api::{rejection::Rejection, state::Control, status::outcome_of},
    audit::{Entry, Event, Record, Trail, Values},
    auth::{Gate, Proof},
    net::call::Call,
    policies::{Changed, How},
    words::{bounds::FILTER_TEXT_MAX, facts::option},
};

/// Names of policies that one entry tells of each kind, at most.
const NAMES_TOLD: usize = 64;

/// gRPC's number of a call that was carried out.
const OK: i32 = 0;

/// A request whose call is entered.
pub(crate) trait Audited {
    /// What it is about: a flow, a filter, a policy.
    fn target(&self) -> String;

    /// Its id, if it may have one.
    fn request_id(&self) -> &str {
        ""
    }

    /// Whether it changes nothing.
    fn is_a_trial(&self) -> bool {
        false
    }
}

macro_rules! audited {
    ($($request:ident { $($own:tt)* })*) => {
        $(impl Audited for v1::$request { $($own)* })*
    };
}

audited! {
    SetSockOptRequest {
        fn target(&self) -> String { told(&self.flow) }
        fn request_id(&self) -> &str { &self.request_id }
        fn is_a_trial(&self) -> bool { self.validate_only }
    }
    BatchSetSockOptRequest {
        fn target(&self) -> String { format!("{} flows", self.requests.len()) }
        fn is_a_trial(&self) -> bool { self.validate_only }
    }
    ApplySockOptRequest {
        fn target(&self) -> String { self.filter.chars().take(FILTER_TEXT_MAX).collect() }
        fn request_id(&self) -> &str { &self.request_id }
        fn is_a_trial(&self) -> bool { self.validate_only }
    }
    UndoSockOptRequest {
        fn target(&self) -> String { "an earlier change".to_owned() }
    }
    PeekFlowRequest {
        fn target(&self) -> String { told(&self.flow) }
    }
    ReadFlowRequest {
        fn target(&self) -> String { told(&self.flow) }
    }
    CreatePolicyRequest {
        fn target(&self) -> String { named(self.policy.as_ref()) }
        fn is_a_trial(&self) -> bool { self.validate_only }
    }
    UpdatePolicyRequest {
        fn target(&self) -> String { named(self.policy.as_ref()) }
        fn is_a_trial(&self) -> bool { self.validate_only }
    }
    DeletePolicyRequest {
        fn target(&self) -> String { told(&self.name) }
        fn is_a_trial(&self) -> bool { self.validate_only }
    }
    ReplacePoliciesRequest {
        fn target(&self) -> String { "policies".to_owned() }
        fn is_a_trial(&self) -> bool { self.validate_only }
    }
    ConfirmPoliciesRequest {
        fn target(&self) -> String { format!("generation {}", self.generation) }
    }
    RollbackPoliciesRequest {
        fn target(&self) -> String { format!("generation {}", self.generation) }
        fn is_a_trial(&self) -> bool { self.validate_only }
    }
}

/// A name as it was sent, as far as one can be long.
fn told(name: &str) -> String {
    Echo(name).head().to_owned()
}

fn named(policy: Option<&v1::SockOptPolicy>) -> String {
    policy.map(|policy| told(&policy.name)).unwrap_or_default()
}

/// Enters what a call asks for, before it is carried out.
///
/// # Errors
///
/// [`Rejection::Unaudited`] where that is not possible.
pub(crate) async fn begin(
    control: &Control,
    call: &Call,
    method: &str,
    request: &impl Audited,
) -> Result<Record, Rejection> {
    let entry = call.proof.as_ref().map_or_else(
        || Entry::of(Event::Intent),
        |proof| entry(&control.gate, Event::Intent, proof),
    );
    let entry = Entry {
        method: method.to_owned(),
        request_id: told(request.request_id()),
        target: request.target(),
        ..entry
    };
    let entry = if request.is_a_trial() { entry.with("validate_only", true) } else { entry };
    let patience = call.deadline.saturating_duration_since(Instant::now());
    Ok(control.settings.audit.begin(entry, &call.trail, patience).await?)
}

/// Enters what came of it.
pub(crate) async fn end<T>(record: Record, outcome: &Result<T, Rejection>) {
    let (code, reason) = outcome.as_ref().err().map_or((OK, ""), outcome_of);
    record.end(code, reason).await;
}

/// An entry of what a caller does.
pub(crate) fn entry(gate: &Arc<Gate>, event: Event, proof: &Proof) -> Entry {
    let grants = gate.grants();
    Entry::by(event, proof, grants.fitting(proof).map(|grant| grant.name.clone()).collect())
}

/// What a change has replaced, of one flow.
pub(crate) fn options_changed(trail: &Trail, change: &SockOptChange, applied: &Applied) {
    let values = |options: &mos_stack::SockOpts| -> Values {
        let value = |name: SockOptName| option(options.get(name)).into_text();
        change.names().map(|name| (name.as_str().to_owned(), value(name).into())).collect()
    };
    trail.changed(values(&applied.previous), values(&applied.options));
}

/// What a change sets, of many flows.
pub(crate) fn options_set(trail: &Trail, change: &SockOptChange) {
    let names: Vec<&str> = change.names().map(SockOptName::as_str).collect();
    trail.note("options", names);
}

/// What has become of the policies.
pub(crate) fn policies_changed(trail: &Trail, how: How, changed: &Changed) {
    let generation = |number: u64| [("generation".to_owned(), number.into())].into();
    if !how.validate_only {
        trail.changed(generation(changed.former), generation(changed.generation.number));
    }
    let difference = &changed.difference;
    for (key, names) in [
        ("added", &difference.added),
        ("changed", &difference.changed),
        ("removed", &difference.removed),
    ] {
        if !names.is_empty() {
            trail.note(&format!("{key}_count"), names.len());
            let told: Vec<&str> = names.iter().take(NAMES_TOLD).map(String::as_str).collect();
            trail.note(key, told);
        }
    }
}
