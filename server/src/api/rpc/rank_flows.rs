//! `FlowService.RankFlows`: one walk over all flows, of which the first in rank are kept.

use mos_proto::v1;

use super::walks::{core_names, place, visit_all};
use crate::{
    api::{
        convert::{self, View},
        rejection::Rejection,
        state::Control,
    },
    filter::{Filter, RankKey},
    flows::ranking::Ranking,
    net::call::Call,
    words::bounds::{RANK_DEFAULT, RANK_MAX},
};

/// The flows with the largest values of a field.
pub(crate) async fn rank_flows(
    control: &Control,
    call: &Call,
    request: v1::RankFlowsRequest,
) -> Result<v1::RankFlowsResponse, Rejection> {
    let filter = Filter::parse(&request.filter).map_err(Rejection::Filter)?;
    let refused = |field, problem| Rejection::Argument { field, problem };
    let key = RankKey::parse(&request.rank_by);
    let key = key.map_err(|error| refused("rank_by", error.to_string()))?;
    let wanted = match usize::try_from(request.limit) {
        Ok(0) => RANK_DEFAULT,
        Ok(limit) => limit.min(RANK_MAX),
        Err(_negative) => return Err(refused("limit", format!("{} is negative", request.limit))),
    };
    let view = convert::view(request.view, View::Full)?;
    let _place = place(control, call)?;
    let mut ranking = Ranking::new(key, wanted);
    let stretch = visit_all(control, &filter, None, call.deadline, &mut ranking).await?;
    let flows = ranking.ranked();
    Ok(v1::RankFlowsResponse {
        flows: flows.map(|flow| convert::flow(&flow, view, &control.etags)).collect(),
        unreachable: core_names(&stretch.unreachable),
    })
}
