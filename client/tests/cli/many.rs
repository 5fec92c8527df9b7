//! What the scripted server answers about many flows at once.

use mos_proto::v1::{CountFlowsRequest, CountFlowsResponse, FlowGroup};

/// Flows that are counted.
pub(crate) const COUNTED: i64 = 812_440;

/// Counts, in groups if asked to; filter `core = 9` names a core that does not answer.
pub(crate) fn count(request: &CountFlowsRequest) -> CountFlowsResponse {
    let group = |value: &str, flow_count| {
        let rest = request.group_by.iter().skip(1).map(|_| "0".to_owned());
        FlowGroup { values: [value.to_owned()].into_iter().chain(rest).collect(), flow_count }
    };
    let groups = if request.group_by.is_empty() {
        Vec::new()
    } else {
        vec![group("443", 812_000), group("", 400)]
    };
    CountFlowsResponse {
        flow_count: COUNTED,
        other_count: if groups.is_empty() { 0 } else { 40 },
        groups,
        unreachable: if request.filter == "core = 9" { vec!["cores/9".to_owned()] } else { vec![] },
    }
}
