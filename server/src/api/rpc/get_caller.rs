//! `SystemService.GetCaller`: who the caller is to mosd, and what that allows.

use mos_proto::v1;

use crate::{
    api::{convert, state::Control},
    auth::Proof,
    net::call::Call,
};

/// The caller, its roles, and what these allow.
pub(crate) fn get_caller(control: &Control, call: &Call) -> v1::GetCallerResponse {
    let grants = control.gate.grants();
    let fitting = call.proof.iter().flat_map(|proof| grants.fitting(proof));
    let certificate = call.proof.as_ref().and_then(Proof::certificate);
    let unproven = call.proof.as_ref().and_then(|proof| control.gate.unproven(proof));
    v1::GetCallerResponse {
        principal: call.caller(),
        proof: call.proof.as_ref().map_or(v1::CallerProof::Unspecified, kind).into(),
        roles: convert::roles(call.roles),
        grants: fitting.map(|grant| grant.name.clone()).collect(),
        methods: convert::methods(call.roles),
        certificate_expire_time: certificate.map(|shown| shown.not_after().into()),
        grant_expire_time: call
            .proof
            .as_ref()
            .and_then(|proof| grants.first_expiry(proof))
            .map(Into::into),
        unproven_cause: unproven.map(|why| why.to_string()).unwrap_or_default(),
    }
}

const fn kind(proof: &Proof) -> v1::CallerProof {
    match proof {
        Proof::Socket { .. } => v1::CallerProof::UnixSocket,
        Proof::Address(_) => v1::CallerProof::Address,
        Proof::Tls { certificate: Some(_), .. } => v1::CallerProof::Certificate,
        Proof::Tls { certificate: None, .. } => v1::CallerProof::None,
        Proof::Token { .. } => v1::CallerProof::Token,
    }
}
