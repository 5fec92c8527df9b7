//! `FlowService.ListFlows`: one stretch of a walk over the flow tables, as a page.

use std::ops::ControlFlow;

use mos_proto::v1;
use mos_stack::FlowSummary;
use prost::Message as _;

use super::walks::{core_names, of_walk};
use crate::{
    api::{
        convert::{self, View},
        rejection::Rejection,
        state::Control,
    },
    filter::Filter,
    flows::{
        page_token::RequestDigest,
        walk::{Stretch, Visitor, Walk},
    },
    net::call::Call,
    words::bounds::{PAGE_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX, PAGE_SLOTS_MAX},
};

/// One page of flows.
pub(crate) async fn list_flows(
    control: &Control,
    call: &Call,
    request: v1::ListFlowsRequest,
) -> Result<v1::ListFlowsResponse, Rejection> {
    let page_size = page_size(request.page_size)?;
    let view = convert::view(request.view, View::Basic)?;
    let filter = Filter::parse(&request.filter).map_err(Rejection::Filter)?;
    let digest = RequestDigest::new(&request.filter, &request.view.to_be_bytes());
    let from = match request.page_token.as_str() {
        "" => None,
        token => Some(control.page_tokens.open(token, digest)?),
    };
    let walk = Walk {
        workers: &control.workers,
        filter: &filter,
        slots_max: PAGE_SLOTS_MAX,
        deadline: call.deadline,
    };
    let mut page = Page { control, view, page_size, flows: Vec::new(), bytes: 0 };
    let stretch = walk.stretch(from, &mut page).await.map_err(of_walk)?;
    Ok(v1::ListFlowsResponse {
        flows: page.flows,
        next_page_token: stretch
            .next
            .map(|position| control.page_tokens.seal(position, digest))
            .unwrap_or_default(),
        total_size: estimate(total_flows(control), &filter, &stretch),
        unreachable: core_names(&stretch.unreachable),
    })
}

fn page_size(asked: i32) -> Result<usize, Rejection> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_MAX)),
        Err(_negative) => {
            Err(Rejection::Argument { field: "page_size", problem: format!("{asked} is negative") })
        }
    }
}

fn total_flows(control: &Control) -> u64 {
    control.workers.iter().map(|client| client.board().gauges().flows).sum()
}

/// How many of `total` flows match, judged by those seen for this page.
fn estimate(total: u64, filter: &Filter, stretch: &Stretch) -> i64 {
    let Stretch { seen, matched, .. } = *stretch;
    if filter.is_empty() || seen == 0 {
        return convert::saturating_i64(total);
    }
    let estimate = u128::from(total) * u128::from(matched) / u128::from(seen);
    convert::saturating_i64(u64::try_from(estimate).unwrap_or(u64::MAX).max(matched))
}

/// The page in the making.
struct Page<'a> {
    control: &'a Control,
    view: View,
    page_size: usize,
    flows: Vec<v1::Flow>,
    bytes: usize,
}

impl Visitor for Page<'_> {
    fn visit(&mut self, summary: &FlowSummary) -> ControlFlow<()> {
        if self.room() == 0 {
            return ControlFlow::Break(());
        }
        let flow = convert::flow(summary, self.view, &self.control.etags);
        // A field's tag and length take up to 4 bytes more.
        let bytes = flow.encoded_len() + 4;
        if self.bytes + bytes > PAGE_BYTES_MAX {
            return ControlFlow::Break(());
        }
        self.bytes += bytes;
        self.flows.push(flow);
        ControlFlow::Continue(())
    }

    fn room(&self) -> usize {
        self.page_size.saturating_sub(self.flows.len())
    }
}
