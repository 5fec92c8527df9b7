//! `FlowService.CountFlows`: one walk over all flows, of which only numbers are kept.

use mos_proto::v1;

use super::walks::{core_names, place, visit_all};
use crate::{
    api::{convert::saturating_i64, rejection::Rejection, state::Control},
    filter::{Filter, GroupKey},
    flows::tally::{Counted, Tally},
    net::call::Call,
    words::bounds::GROUPS_MAX,
};

/// How many flows match, in groups if asked to.
pub(crate) async fn count_flows(
    control: &Control,
    call: &Call,
    request: v1::CountFlowsRequest,
) -> Result<v1::CountFlowsResponse, Rejection> {
    let filter = Filter::parse(&request.filter).map_err(Rejection::Filter)?;
    let key = GroupKey::parse(&request.group_by)
        .map_err(|error| Rejection::Argument { field: "group_by", problem: error.to_string() })?;
    let _place = place(control, call)?;
    let mut tally = Tally::new(key);
    let stretch = visit_all(control, &filter, None, call.deadline, &mut tally).await?;
    let Counted { flows, groups, others } = tally.counted(GROUPS_MAX);
    let group = |(values, flows)| v1::FlowGroup { values, flow_count: saturating_i64(flows) };
    Ok(v1::CountFlowsResponse {
        flow_count: saturating_i64(flows),
        groups: groups.into_iter().map(group).collect(),
        other_count: saturating_i64(others),
        unreachable: core_names(&stretch.unreachable),
    })
}
