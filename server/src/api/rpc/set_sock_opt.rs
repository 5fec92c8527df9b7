//! `FlowService.SetSockOpt`: the typed form and the form of `mtcp_setsockopt(3)`, one path.
//!
//! Checks come in the order of that page's ERRORS: the core, the flow, the option, its value; the
//! owning worker then applies all of the change or nothing.

use mos_control::Refusal;
use mos_proto::v1;
use mos_stack::{Applied, FlowId, SockOptError};
use mos_text::Echo;
use uuid::{Uuid, Variant};

use super::flow::{check_core, check_length, check_owner, resolve};
use crate::{
    api::{
        answers::{Asked, RequestDigest},
        audited::options_changed,
        convert,
        rejection::Rejection,
        state::Control,
    },
    flows::resolve::Resolved,
    net::call::Call,
    words::bounds::ETAG_MAX,
    workers::{CallError, Change},
};

/// Bytes of a UUID with its hyphens.
const UUID_LEN: usize = 36;

/// Changes options of one flow; a repeated request gets the first answer.
pub(crate) async fn set_sock_opt(
    control: &Control,
    call: &Call,
    request: v1::SetSockOptRequest,
) -> Result<v1::SetSockOptResponse, Rejection> {
    let key = request_id(&request.request_id)?.map(|id| (call.principal.clone(), id));
    let (digest, validate_only) = (RequestDigest::of(&request), request.validate_only);
    let asked = Asked { key, digest, validate_only };
    control.answers.answer(asked, apply(control, call, request)).await
}

async fn apply(
    control: &Control,
    call: &Call,
    request: v1::SetSockOptRequest,
) -> Result<v1::SetSockOptResponse, Rejection> {
    let v1::SetSockOptRequest { flow, change, etag, validate_only, .. } = request;
    check_length("etag", &etag, ETAG_MAX)?;
    let core = match &change {
        Some(v1::set_sock_opt_request::Change::Raw(raw)) => raw.core,
        Some(v1::set_sock_opt_request::Change::Options(_)) | None => None,
    };
    check_core(control, core)?;
    let Resolved { id, matched_reversed } = resolve(control, call, &flow).await?;
    call.trail.is_about(convert::flow_name(id));
    check_owner(core, id)?;
    let change = convert::change(change, control.settings.limits.buffer_bytes_max)?;
    let expected_revision = match etag.as_str() {
        "" => None,
        etag => Some(revision(control, call, id, etag).await?),
    };
    let outcome = control
        .workers
        .set_sock_opt(id, Change { change, expected_revision, validate_only }, call.deadline)
        .await;
    let applied = outcome.map_err(|error| match error {
        CallError::Refused(Refusal::SockOpt(SockOptError::RevisionMismatch { current })) => {
            etag_mismatch(control, id, current)
        }
        error @ (CallError::Refused(_) | CallError::Peek(_) | CallError::UnexpectedReply(_)) => {
            Rejection::of_flow(error, id)
        }
    })?;
    let Applied { options, revision, unchanged, discarded_bytes, previous: _ } = applied;
    if !validate_only && !unchanged {
        options_changed(&call.trail, &change, &applied);
        log_change(call, id, &change, discarded_bytes);
    }
    Ok(v1::SetSockOptResponse {
        flow: convert::flow_name(id),
        options: Some(convert::flow_options(&options)),
        etag: control.etags.etag(id, revision),
        unchanged,
        matched_reversed,
        discarded_bytes: convert::saturating_i64(discarded_bytes),
    })
}

fn log_change(call: &Call, id: FlowId, change: &mos_stack::SockOptChange, discarded_bytes: u64) {
    let options: Vec<&str> = change.names().map(mos_stack::SockOptName::as_str).collect();
    let (options, by) = (options.join(","), call.caller());
    tracing::info!(flow = %id, options, discarded_bytes, by, "options changed");
}

/// The revision that an etag stands for.
async fn revision(
    control: &Control,
    call: &Call,
    id: FlowId,
    etag: &str,
) -> Result<u32, Rejection> {
    if let Some(revision) = control.etags.revision(id, etag) {
        return Ok(revision);
    }
    let summary = control.workers.summary(id, call.deadline).await;
    let current = summary.map_err(|error| Rejection::of_flow(error, id))?.revision;
    Err(etag_mismatch(control, id, current))
}

fn etag_mismatch(control: &Control, flow: FlowId, current: u32) -> Rejection {
    let current = control.etags.etag(flow, current);
    Rejection::EtagMismatch { flow: convert::flow_name(flow), current }
}

/// The id of a request, if it has one.
pub(super) fn request_id(text: &str) -> Result<Option<Uuid>, Rejection> {
    if text.is_empty() {
        return Ok(None);
    }
    let id = if text.len() == UUID_LEN { Uuid::parse_str(text).ok() } else { None };
    let is_random = |id: &Uuid| id.get_version_num() == 4 && id.get_variant() == Variant::RFC4122;
    id.filter(is_random).map(Some).ok_or_else(|| Rejection::Argument {
        field: "request_id",
        problem: format!("{} is not a UUID of version 4", Echo(text)),
    })
}
