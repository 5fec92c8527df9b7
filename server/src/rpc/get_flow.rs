//! `FlowService.GetFlow`.

use mos_proto::v1;

use super::resolve::{resolve, summary};
use crate::{
    call::Call,
    control::Control,
    convert::{self, View},
    rejection::Rejection,
};

/// Everything known of one flow.
pub(crate) async fn get_flow(
    control: &Control,
    call: &Call,
    request: v1::GetFlowRequest,
) -> Result<v1::GetFlowResponse, Rejection> {
    let view = convert::view(request.view, View::Full)?;
    let flow = resolve(control, call, &request.flow).await?;
    let summary = summary(control, call, flow.id).await?;
    Ok(v1::GetFlowResponse { flow: Some(convert::flow(&summary, view, &control.etags)) })
}
