//! `FlowService.ExportFlows`: the walk of lists, one stretch after the other, to the end.
//!
//! No more than a stretch is made before the client takes it, so an export costs the memory of a
//! few chunks however many flows there are.

use std::{ops::ControlFlow, sync::Arc};

use mos_proto::v1;
use mos_stack::FlowSummary;
use prost::Message as _;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::walks::{core_names, of_walk, place};
use crate::{
    api::{
        convert::{self, View},
        rejection::Rejection,
        state::Control,
        streams::Admission,
    },
    budgets::Share,
    filter::Filter,
    flows::walk::{Visitor, Walk},
    net::call::Call,
    panics::{self, Panicked},
    words::bounds::{DEADLINE_DEFAULT, EXPORT_CHUNK_BYTES, EXPORT_QUEUE},
};

/// What a client receives.
pub(crate) type ExportFlowsStream = ReceiverStream<Result<v1::ExportFlowsResponse, Status>>;

/// Flows of one stretch, at most: about as many as the chunks that may wait hold.
const STRETCH_FLOWS: usize = 1024;

/// Begins to export: whatever forbids that is answered at once.
pub(crate) fn export_flows(
    control: Arc<Control>,
    call: &Call,
    request: &v1::ExportFlowsRequest,
) -> Result<ExportFlowsStream, Rejection> {
    let view = convert::view(request.view, View::Basic)?;
    let filter = Filter::parse(&request.filter).map_err(Rejection::Filter)?;
    let place = place(&control, call)?;
    let admission = control.streams.admit(call.principal.clone())?;
    let (messages, receiver) = mpsc::channel(EXPORT_QUEUE);
    let export = Export { control, filter, view, messages };
    drop(tokio::spawn(run(export, admission, place)));
    Ok(ReceiverStream::new(receiver))
}

/// Exports to the end, the client's or our own.
async fn run(export: Export, mut admission: Admission, _place: Share) {
    let messages = export.messages.clone();
    let last = tokio::select! {
        () = messages.closed() => return,
        () = admission.stopped() => Err(Rejection::Stopping),
        end = panics::contained(export.send_all()) => {
            end.unwrap_or_else(|Panicked { id }| Err(Rejection::Panicked(id)))
        }
    };
    let closing = |summary| v1::ExportFlowsResponse { flows: Vec::new(), summary: Some(summary) };
    // An error means that the client is gone.
    let _sent_or_gone: Result<(), _> = messages.send(last.map(closing).map_err(Status::from)).await;
}

/// One client's export.
struct Export {
    control: Arc<Control>,
    filter: Filter,
    view: View,
    messages: mpsc::Sender<Result<v1::ExportFlowsResponse, Status>>,
}

impl Export {
    /// Sends every flow. Returns what closes the export.
    async fn send_all(self) -> Result<v1::ExportSummary, Rejection> {
        let (mut from, mut flows, mut unreachable) = (None, 0_usize, Vec::new());
        loop {
            let (filter, deadline) = (&self.filter, Instant::now() + DEADLINE_DEFAULT);
            let workers = &self.control.workers;
            let walk = Walk { workers, filter, slots_max: u32::MAX, deadline };
            let mut chunks =
                Chunks { export: &self, done: Vec::new(), open: Vec::new(), bytes: 0, count: 0 };
            let stretch = walk.stretch(from, &mut chunks).await.map_err(of_walk)?;
            flows += chunks.count;
            for flows in chunks.ended() {
                let chunk = v1::ExportFlowsResponse { flows, summary: None };
                // An error means that the client is gone, which ends this, too.
                let _sent_or_gone: Result<(), _> = self.messages.send(Ok(chunk)).await;
            }
            unreachable.extend(stretch.unreachable);
            from = stretch.next;
            if from.is_none() {
                let flow_count = i64::try_from(flows).unwrap_or(i64::MAX);
                return Ok(v1::ExportSummary { flow_count, unreachable: core_names(&unreachable) });
            }
        }
    }
}

/// The chunks of one stretch.
struct Chunks<'a> {
    export: &'a Export,
    done: Vec<Vec<v1::Flow>>,
    /// The one in the making, and its bytes.
    open: Vec<v1::Flow>,
    bytes: usize,
    /// Flows in all of them.
    count: usize,
}

impl Chunks<'_> {
    fn ended(self) -> impl Iterator<Item = Vec<v1::Flow>> {
        let open = Some(self.open).filter(|flows| !flows.is_empty());
        self.done.into_iter().chain(open)
    }
}

impl Visitor for Chunks<'_> {
    fn visit(&mut self, summary: &FlowSummary) -> ControlFlow<()> {
        if self.room() == 0 {
            return ControlFlow::Break(());
        }
        let flow = convert::flow(summary, self.export.view, &self.export.control.etags);
        // A field's tag and length take up to 4 bytes more.
        let bytes = flow.encoded_len() + 4;
        if self.bytes + bytes > EXPORT_CHUNK_BYTES {
            self.done.push(std::mem::take(&mut self.open));
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.count += 1;
        self.open.push(flow);
        ControlFlow::Continue(())
    }

    fn room(&self) -> usize {
        STRETCH_FLOWS - self.count
    }
}
