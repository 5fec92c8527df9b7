//! `flows top` and `flows export`: lists that are not cut into pages.

use mos_proto::v1::{ExportFlowsResponse, ExportSummary};
use tonic::Streaming;

use super::{Session, flows::extent_exit};
use crate::{
    args::{ExportArgs, TopArgs},
    client::CallError,
    error::{Exit, Failure},
    render::{Extent, FlowList},
    request,
    units::format_count,
};

const METHOD: &str = "mos.v1.FlowService/ExportFlows";

/// Shows the flows with the largest values of a field.
pub(super) async fn top(session: &mut Session, args: &TopArgs) -> Result<Exit, Failure> {
    let request = request::rank_flows(args);
    session.output.request("mos.v1.FlowService/RankFlows", "RankFlowsRequest", &request);
    let answer = session.client.rank_flows(request).await?;
    let mut rows = FlowList::new(&session.output);
    rows.page(&mut session.output, &answer.flows)?;
    rows.end(&mut session.output, extent(&answer.unreachable))?;
    Ok(extent_exit(session, &answer.unreachable))
}

/// Writes every flow as it arrives.
pub(super) async fn export(session: &mut Session, args: &ExportArgs) -> Result<Exit, Failure> {
    let request = request::export_flows(args);
    session.output.request(METHOD, "ExportFlowsRequest", &request);
    let mut stream = session.client.export_flows(request).await?;
    let mut rows = FlowList::new(&session.output);
    match chunks(session, &mut stream, &mut rows).await {
        Ok(summary) => {
            rows.end(&mut session.output, extent(&summary.unreachable))?;
            let flows = format_count(summary.flow_count);
            session.output.note(&format!("{flows} flows"));
            Ok(extent_exit(session, &summary.unreachable))
        }
        Err(failure @ Failure::Output(_)) => Err(failure),
        Err(failure) => {
            rows.end(&mut session.output, Extent::Partial)?;
            Err(failure)
        }
    }
}

/// Writes chunks up to the summary.
async fn chunks(
    session: &mut Session,
    stream: &mut Streaming<ExportFlowsResponse>,
    rows: &mut FlowList,
) -> Result<ExportSummary, Failure> {
    let failed = |status| CallError::new(METHOD, status, std::time::Duration::default());
    while let Some(chunk) = stream.message().await.map_err(failed)? {
        rows.page(&mut session.output, &chunk.flows)?;
        if let Some(summary) = chunk.summary {
            let written = i64::try_from(rows.written()).unwrap_or(i64::MAX);
            if written != summary.flow_count {
                let sent = summary.flow_count;
                return Err(Failure::Contract(format!("{written} flows came of {sent} sent")));
            }
            return Ok(summary);
        }
    }
    Err(Failure::Contract("the server ended the export without a summary: cut off".to_owned()))
}

const fn extent(unreachable: &[String]) -> Extent {
    if unreachable.is_empty() { Extent::Complete } else { Extent::Partial }
}
