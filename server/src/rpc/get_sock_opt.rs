//! `FlowService.GetSockOpt`.

use mos_proto::v1;

use super::{
    resolve::{resolve, summary},
    set_sock_opt::{check_core, check_owner},
};
use crate::{call::Call, control::Control, convert, rejection::Rejection};

/// The options in force, and one of them in the layout of C when asked for.
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
    let name = raw.as_ref().map(|raw| convert::raw_name(raw.level, raw.optname)).transpose()?;
    let summary = summary(control, call, id).await?;
    let raw = raw.zip(name).map(|(raw, name)| v1::RawSockOpt {
        core: Some(id.worker().index().into()),
        optval: convert::raw_value(name, &summary.options),
        ..raw
    });
    Ok(v1::GetSockOptResponse {
        flow: convert::flow_name(id),
        options: Some(convert::flow_options(&summary.options)),
        origin: convert::options_origin(summary.origin).into(),
        etag: control.etags.etag(id, summary.revision),
        raw,
    })
}
