//! `FlowService.GetFlow`.

use mos_proto::v1;

use super::resolve::{details, resolve, summary};
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
    let flow = match view {
        View::Basic => {
            convert::flow(&summary(control, call, id).await?, View::Basic, &control.etags)
        }
        View::Full => convert::detailed_flow(&details(control, call, id).await?, &control.etags),
    };
    Ok(v1::GetFlowResponse { flow: Some(flow) })
}
