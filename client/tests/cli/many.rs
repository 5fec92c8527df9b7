//! What the scripted server answers about many flows at once.

use mos_proto::v1::{
    ApplyFailure, ApplySockOptRequest, ApplySockOptResponse, BatchSetSockOptRequest,
    BatchSetSockOptResponse, Bookmark, CountFlowsRequest, CountFlowsResponse, ExportFlowsResponse,
    ExportSummary, FlowGroup, FlowOptions, FlowUpdate, Lost, RankFlowsRequest, RankFlowsResponse,
    SetSockOptResponse, SetSockOptResult, Subscribed, UndoSockOptRequest, UndoSockOptResponse,
    WatchFlowsRequest, WatchFlowsResponse, flow_update::Kind, lost::Reason,
    watch_flows_response::Message,
};
use prost::Message as _;
use tonic::{Code, Status};

use crate::fake::{FLOW, MANY, error, flow, numbered, status};

/// Flows that are counted.
pub(crate) const COUNTED: i64 = 812_440;

/// The token of the change that can be undone.
pub(crate) const UNDO: &str = "6d1fa7c0-3d1c-4b57-8d5b-0c1b8a4d2f10";

/// The bookmark of a watch.
pub(crate) const RESUME: &str = "CkQ";

const MATCH_TOKEN: &str = "counted";

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
        unreachable: silent_core(&request.filter),
    }
}

/// As many flows as are wanted, the largest first.
pub(crate) fn rank(request: &RankFlowsRequest) -> RankFlowsResponse {
    let wanted = usize::try_from(request.limit).unwrap();
    let flows = (0..wanted.min(MANY)).map(numbered).collect();
    RankFlowsResponse { flows, unreachable: silent_core(&request.filter) }
}

/// Chunks of 100 flows; with the filter `breaks` the summary is missing.
pub(crate) fn export(filter: &str) -> Vec<Result<ExportFlowsResponse, Status>> {
    let all: Vec<_> = (0..MANY).map(numbered).collect();
    let chunk = |flows: &[_]| ExportFlowsResponse { flows: flows.to_vec(), summary: None };
    let unreachable = silent_core(filter);
    let flow_count = i64::try_from(MANY).unwrap();
    let summary = Some(ExportSummary { flow_count, unreachable });
    let last = (filter != "breaks").then(|| ExportFlowsResponse { flows: vec![], summary });
    all.chunks(100).map(chunk).chain(last).map(Ok).collect()
}

/// One flow that is there, unless changes alone are wanted; a change, a loss, its end, a bookmark.
/// Without history for a token: also that.
pub(crate) fn watch(request: &WatchFlowsRequest) -> Vec<Result<WatchFlowsResponse, Status>> {
    let update = |kind: Kind, cause: &str| {
        let (flow, cause) = (Some(flow()), cause.to_owned());
        Message::Update(FlowUpdate { kind: kind.into(), flow, cause, ..FlowUpdate::default() })
    };
    let lost = |reason: Reason, dropped_count| {
        Message::Lost(Lost { reason: reason.into(), dropped_count, ..Lost::default() })
    };
    let bookmark = |resume_token: &str, snapshot_complete| {
        let resume_token = resume_token.to_owned();
        Message::Bookmark(Bookmark { resume_token, snapshot_complete })
    };
    let subscribed = Subscribed { boot_id: "6d1f".to_owned(), subscription: "s/7".to_owned() };
    let is_known = request.resume_token == RESUME;
    let is_expired = !request.resume_token.is_empty() && !is_known;
    let has_snapshot = !is_known && !request.updates_only;
    let messages = [
        Some(Message::Subscribed(subscribed)),
        is_expired.then(|| lost(Reason::HistoryExpired, 0)),
        has_snapshot.then(|| update(Kind::Existing, "")),
        Some(bookmark("", true)),
        Some(update(Kind::Changed, "")),
        Some(lost(Reason::SlowConsumer, 1500)),
        Some(update(Kind::Ended, "fin")),
        Some(bookmark(RESUME, false)),
        Some(update(Kind::Added, "")),
    ];
    let response = |message| Ok(WatchFlowsResponse { message: Some(message) });
    messages.into_iter().flatten().map(response).collect()
}

fn silent_core(filter: &str) -> Vec<String> {
    if filter == "core = 9" { vec!["cores/9".to_owned()] } else { vec![] }
}

/// One flow matches, with the filter `many` 812,440, with `none` none.
pub(crate) fn apply(request: &ApplySockOptRequest) -> Result<ApplySockOptResponse, Status> {
    let matched_count = match request.filter.as_str() {
        "many" => COUNTED,
        "none" => 0,
        _ => 1,
    };
    let unreachable = silent_core(&request.filter);
    if request.validate_only {
        let sample = (0..matched_count.min(100)).map(|index| format!("flows/{index:016x}"));
        return Ok(ApplySockOptResponse {
            matched_count,
            unreachable,
            sample: sample.collect(),
            growth_bytes: matched_count * 57_344,
            match_token: MATCH_TOKEN.to_owned(),
            ..ApplySockOptResponse::default()
        });
    }
    assert_eq!(request.match_token, MATCH_TOKEN, "what was counted is changed");
    let stops = request.options.unwrap().stop_monitoring.is_some();
    assert_eq!(request.allow_irreversible, stops);
    if matched_count > request.max_flow_count {
        let facts = [("matched", "812440"), ("maxFlowCount", "1000")];
        let message = "812440 flows match, and 1000 may: nothing was changed";
        let reason = "TOO_MANY_MATCHES";
        return Err(status(error(Code::FailedPrecondition, message, reason, &facts)));
    }
    let failed_count = i64::from(request.filter == "fails");
    let failure = ApplyFailure {
        status: Some(pool_exhausted()),
        flow_count: failed_count,
        sample: vec![FLOW.to_owned()],
    };
    Ok(ApplySockOptResponse {
        matched_count,
        applied_count: matched_count - failed_count,
        failed_count,
        failures: if failed_count > 0 { vec![failure] } else { vec![] },
        unreachable,
        undo_token: if stops || failed_count > 0 { String::new() } else { UNDO.to_owned() },
        ..ApplySockOptResponse::default()
    })
}

/// The outcome of a change for which there is no memory.
fn pool_exhausted() -> tonic_types::pb::Status {
    let facts = [("errno", "ENOMEM")];
    let message = "the buffer pool has 0 bytes free of 65536 asked for";
    let refused = status(error(Code::ResourceExhausted, message, "BUFFER_POOL_EXHAUSTED", &facts));
    tonic_types::pb::Status::decode(refused.details()).unwrap()
}

/// Puts back one flow.
pub(crate) fn undo(request: &UndoSockOptRequest) -> Result<UndoSockOptResponse, Status> {
    if request.undo_token != UNDO {
        let message = "no change with this undo token is kept";
        return Err(status(error(Code::NotFound, message, "UNDO_UNKNOWN", &[])));
    }
    Ok(UndoSockOptResponse { restored_count: 1, overtaken_count: 2, ..Default::default() })
}

/// Requests for the one known flow succeed.
pub(crate) fn batch(request: BatchSetSockOptRequest) -> BatchSetSockOptResponse {
    let options = FlowOptions { client_buffer_bytes: Some(65_536), ..FlowOptions::default() };
    let result = |flow: String| match flow.as_str() {
        FLOW => SetSockOptResult {
            status: Some(tonic_types::pb::Status::default()),
            response: Some(SetSockOptResponse {
                flow,
                options: Some(options),
                ..Default::default()
            }),
        },
        _ => SetSockOptResult { status: Some(pool_exhausted()), response: None },
    };
    let results: Vec<_> =
        request.requests.into_iter().map(|request| result(request.flow)).collect();
    let failed = results.iter().filter(|result| result.response.is_none()).count();
    BatchSetSockOptResponse { results, failed_count: i32::try_from(failed).unwrap() }
}
