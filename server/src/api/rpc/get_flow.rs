//! `FlowService.GetFlow`.

use mos_proto::v1;

use super::flow::resolve;
use crate::{
    api::{
        convert::{self, View},
        rejection::Rejection,
        state::Control,
    },
    net::call::Call,
};

/// Everything known of one flow.
pub(crate) async fn get_flow(
    control: &Control,
    call: &Call,
    request: v1::GetFlowRequest,
) -> Result<v1::GetFlowResponse, Rejection> {
    let view = convert::view(request.view, View::Full)?;
    let id = resolve(control, call, &request.flow).await?.id;
    let Control { workers, etags, .. } = control;
    let flow = match view {
        View::Basic => workers
            .summary(id, call.deadline)
            .await
            .map(|summary| convert::flow(&summary, View::Basic, etags)),
        View::Full => workers
            .details(id, call.deadline)
            .await
            .map(|details| convert::detailed_flow(&details, etags)),
    };
    let flow = flow.map_err(|error| Rejection::of_flow(error, id))?;
    Ok(v1::GetFlowResponse { flow: Some(flow) })
}
