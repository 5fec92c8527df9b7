//! `flows list` and `flows get`.

use std::time::SystemTime;

use mos_proto::v1::{FlowView, ListFlowsRequest, ListFlowsResponse};

use super::Session;
use crate::{
    args::{Format, GetArgs, ListArgs},
    error::{Exit, Failure},
    render::{Extent, FlowList, flow_details},
    request,
    units::format_count,
};

/// The state of a list between two pages.
struct Progress {
    /// Rows that may still be written.
    remaining: u64,
    /// The server's estimate of matching flows.
    total: i64,
    /// Cores that did not answer, once each.
    unreachable: Vec<String>,
    /// Whether flows were left out because of the limit.
    cut: bool,
}

/// Lists flows page by page.
pub(super) async fn list(session: &mut Session, args: &ListArgs) -> Result<Exit, Failure> {
    let mut progress = Progress {
        remaining: if args.all { u64::MAX } else { args.limit },
        total: 0,
        unreachable: Vec::new(),
        cut: false,
    };
    let mut rows = FlowList::new(&session.output);
    let request = request::list_flows(args, session.output.format());
    match pages(session, request, &mut rows, &mut progress).await {
        Ok(()) => {}
        // After an error of the output the list cannot be closed; after any other it is, if it was
        // begun.
        Err(failure @ Failure::Output(_)) => return Err(failure),
        Err(failure) if rows.written() == 0 => return Err(failure),
        Err(failure) => {
            rows.end(&mut session.output, Extent::Partial)?;
            return Err(failure);
        }
    }
    let written = rows.written();
    let complete = !progress.cut && progress.unreachable.is_empty();
    let extent = if complete { Extent::Complete } else { Extent::Partial };
    rows.end(&mut session.output, extent)?;
    if progress.cut {
        let total = progress.total.max(i64::try_from(written).unwrap_or(i64::MAX));
        session.output.note(&format!(
            "{} of about {} flows. More: --limit N, --all",
            format_count(i64::try_from(written).unwrap_or(i64::MAX)),
            format_count(total)
        ));
    }
    Ok(extent_exit(session, &progress.unreachable))
}

/// How a command ends whose answer may lack the flows of some cores, which is said.
pub(super) fn extent_exit(session: &mut Session, unreachable: &[String]) -> Exit {
    if unreachable.is_empty() {
        return Exit::Done;
    }
    session.output.warning(&format!(
        "no answer from {}: their flows are missing; `mosctl status` shows the cores",
        unreachable.join(", ")
    ));
    Exit::Partial
}

/// Fetches and writes pages until the last flow or the limit.
async fn pages(
    session: &mut Session,
    mut request: ListFlowsRequest,
    rows: &mut FlowList,
    progress: &mut Progress,
) -> Result<(), Failure> {
    loop {
        session.output.request("mos.v1.FlowService/ListFlows", "ListFlowsRequest", &request);
        let page = session.client.list_flows(request.clone()).await?;
        let ListFlowsResponse { flows, next_page_token, total_size, unreachable } = page;
        progress.total = total_size;
        for core in unreachable {
            if !progress.unreachable.contains(&core) {
                progress.unreachable.push(core);
            }
        }
        let wanted = usize::try_from(progress.remaining).unwrap_or(usize::MAX).min(flows.len());
        let (shown, left_out) = flows.split_at(wanted);
        rows.page(&mut session.output, shown)?;
        progress.remaining -= wanted as u64;
        if next_page_token.is_empty() || progress.remaining == 0 {
            progress.cut = !left_out.is_empty() || !next_page_token.is_empty();
            return Ok(());
        }
        if next_page_token == request.page_token {
            return Err(Failure::Contract("the server gave the same page token twice".to_owned()));
        }
        request.page_token = next_page_token;
    }
}

/// Shows one flow.
pub(super) async fn get(session: &mut Session, args: &GetArgs) -> Result<Exit, Failure> {
    let request = request::get_flow(&args.flow, FlowView::Full);
    session.output.request("mos.v1.FlowService/GetFlow", "GetFlowRequest", &request);
    let flow = session.client.get_flow(request).await?.flow.ok_or_else(|| {
        Failure::Contract("the server answered GetFlow without a flow".to_owned())
    })?;
    match session.output.format() {
        format @ (Format::Table | Format::Wide) => {
            session.output.text(&flow_details(&flow, format, SystemTime::now()))?;
        }
        Format::Name => session.output.text(&format!("{}\n", flow.name))?,
        Format::Json | Format::Jsonl | Format::Yaml => session.output.document("Flow", &flow)?,
    }
    Ok(Exit::Done)
}
