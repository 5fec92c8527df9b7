//! `FlowService.GetSockOpt`.

use mos_proto::v1;
use mos_stack::Side;

use super::flow::{check_core, check_owner, resolve};
use crate::{
    api::{convert, rejection::Rejection, state::Control},
    net::call::Call,
};

/// The options in force and the state of both sides, and one of these in the layout of C when asked
/// for.
pub(crate) async fn get_sock_opt(
    control: &Control,
    call: &Call,
    request: v1::GetSockOptRequest,
) -> Result<v1::GetSockOptResponse, Rejection> {
    let v1::GetSockOptRequest { flow, raw } = request;
    let core = raw.as_ref().and_then(|raw| raw.core);
    check_core(control, core)?;
    let id = resolve(control, call, &flow).await?.id;
    check_owner(core, id)?;
    let query = raw.as_ref().map(|raw| convert::raw_query(raw.level, raw.optname)).transpose()?;
    let details = control.workers.details(id, call.deadline).await;
    let details = details.map_err(|error| Rejection::of_flow(error, id))?;
    let summary = &details.summary;
    let raw = raw.zip(query).map(|(raw, query)| v1::RawSockOpt {
        core: Some(id.worker().index().into()),
        optval: convert::raw_answer(query, &details),
        ..raw
    });
    Ok(v1::GetSockOptResponse {
        flow: convert::flow_name(id),
        options: Some(convert::flow_options(&summary.options)),
        origin: convert::options_origin(summary.origin).into(),
        etag: control.etags.etag(id, summary.revision),
        raw,
        client_state: convert::tcp_state(summary.sides.client.state).into(),
        server_state: convert::tcp_state(summary.sides.server.state).into(),
        client_stats: Some(convert::detailed_stats(&details, Side::Client)),
        server_stats: Some(convert::detailed_stats(&details, Side::Server)),
    })
}
