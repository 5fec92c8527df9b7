//! `FlowService.ReadFlow`: one side's stream as it grows, with a position of its own.
//!
//! A worker wakes nobody, so the stream asks: at once while there is much to read, else after a
//! pause that grows as long as nothing comes. One command is under way at a time, and none while
//! the client takes its time to receive.

use std::{sync::Arc, time::Duration};

use mos_control::{PeekChunk, Refusal};
use mos_proto::v1::{self, read_flow_response::Message};
use mos_stack::{EndCause, FlowId, LookupError, PeekError, Side, StreamOffset, StreamRead};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::flow::{chunk_memory, count, resolve, stream_offset};
use crate::{
    api::{convert, rejection::Rejection, state::Control, status::outcome_of, streams::Admission},
    audit::Ending,
    net::call::Call,
    panics::{self, Panicked},
    words::bounds::{DEADLINE_DEFAULT, READ_QUEUE},
    workers::{CallError, Stretch},
};

/// What a client receives.
pub(crate) type ReadFlowStream = ReceiverStream<Result<v1::ReadFlowResponse, Status>>;

/// Pause between two commands while little or nothing is to be read.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Begins to follow a stream: whatever forbids that is answered at once.
pub(crate) async fn read_flow(
    control: Arc<Control>,
    call: &Call,
    request: v1::ReadFlowRequest,
) -> Result<ReadFlowStream, Rejection> {
    if !control.settings.payload {
        return Err(Rejection::PayloadDisabled);
    }
    let side = convert::side(request.side)?;
    let offset = request.offset.map(stream_offset).transpose()?;
    let remaining = bytes_wanted(request.max_bytes)?;
    let flow = resolve(&control, call, &request.flow).await?.id;
    call.trail.is_about(convert::flow_name(flow));
    let admission = control.streams.admit(call.principal.clone())?;
    let (messages, receiver) = mpsc::channel(READ_QUEUE);
    let ending = call.trail.ending();
    let mut reader = Reader { control, flow, side, remaining, chunk: None, messages, ending };
    let first = reader.read(offset, call.deadline).await;
    let first = first.map_err(|error| Rejection::of_flow(error, flow))?;
    drop(tokio::spawn(run(reader, first, admission)));
    Ok(ReceiverStream::new(receiver))
}

/// Follows the stream to its end, the client's or our own.
async fn run(mut reader: Reader, first: StreamRead, mut admission: Admission) {
    let messages = reader.messages.clone();
    let last = tokio::select! {
        () = messages.closed() => return,
        () = admission.stopped() => Err(Rejection::Stopping),
        end = panics::contained(reader.follow(first)) => {
            end.unwrap_or_else(|Panicked { id }| Err(Rejection::Panicked(id)))
        }
    };
    reader.ending.cause = match &last {
        Ok(end) => end.cause.clone(),
        Err(rejection) => outcome_of(rejection).1.to_owned(),
    };
    let last = last.map(|end| response(Message::End(end))).map_err(Status::from);
    // An error means that the client is gone.
    let _sent_or_gone: Result<(), _> = messages.send(last).await;
}

/// One client's way through one stream.
struct Reader {
    control: Arc<Control>,
    flow: FlowId,
    side: Side,
    /// Bytes of data still wanted.
    remaining: u64,
    /// Travels to the worker and back.
    chunk: Option<Box<PeekChunk>>,
    messages: mpsc::Sender<Result<v1::ReadFlowResponse, Status>>,
    /// Entered at the end.
    ending: Ending,
}

impl Reader {
    /// Tells everything up to the end.
    async fn follow(&mut self, first: StreamRead) -> Result<v1::FlowEnd, Rejection> {
        let mut step = first;
        let mut pause = PAUSE_MIN;
        loop {
            self.tell(&step).await;
            let next = step.next();
            if self.remaining == 0 {
                return Ok(flow_end(next, "max-bytes"));
            }
            if let Some(cause) = step.ended.filter(|_| next >= step.readable) {
                return Ok(flow_end(next, cause.as_str()));
            }
            pause = match next {
                next if next < step.readable => Duration::ZERO,
                next if next > step.start => PAUSE_MIN,
                _ => (pause * 2).clamp(PAUSE_MIN, PAUSE_MAX),
            };
            tokio::time::sleep(pause).await;
            step = match self.read(Some(next), Instant::now() + DEADLINE_DEFAULT).await {
                Ok(step) => step,
                // Others have more to ask of the worker at the moment.
                Err(CallError::Refused(Refusal::RingFull(_))) => nothing_new(next),
                Err(CallError::Peek(error)) => return self.end_of(error, next),
                Err(error @ (CallError::Refused(_) | CallError::UnexpectedReply(_))) => {
                    return Err(Rejection::of_flow(error, self.flow));
                }
            };
        }
    }

    /// Asks for the next step.
    async fn read(
        &mut self,
        from: Option<StreamOffset>,
        deadline: Instant,
    ) -> Result<StreamRead, CallError> {
        let length = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let chunk = self.chunk.take().unwrap_or_else(chunk_memory);
        let stretch = Stretch { flow: self.flow, side: self.side, from, length, chunk };
        let (step, chunk) = self.control.workers.read(stretch, deadline).await?;
        self.chunk = Some(chunk);
        Ok(step)
    }

    /// Sends what one step found.
    async fn tell(&mut self, step: &StreamRead) {
        let gaps = [
            (step.start, step.evicted, false),
            (step.start.plus(step.evicted), step.missing, true),
        ];
        for (offset, length, never_captured) in gaps.into_iter().filter(|gap| gap.1 > 0) {
            let offset = convert::saturating_i64(offset.0);
            let length_bytes = convert::saturating_i64(length);
            self.send(Message::Gap(v1::FlowGap { offset, length_bytes, never_captured })).await;
        }
        let data = self.chunk.as_ref().and_then(|chunk| chunk.get(..step.length));
        if let Some(data) = data.filter(|data| !data.is_empty()) {
            let data = data.to_vec();
            self.ending.bytes += count(data.len());
            self.remaining = self.remaining.saturating_sub(count(data.len()));
            let offset = convert::saturating_i64(step.data_offset().0);
            self.send(Message::Data(v1::FlowData { offset, data })).await;
        }
    }

    async fn send(&self, message: Message) {
        // An error means that the client is gone, which ends this reader, too.
        let _sent_or_gone: Result<(), _> = self.messages.send(Ok(response(message))).await;
    }

    /// How a refusal ends a stream that was under way.
    fn end_of(&self, error: PeekError, next: StreamOffset) -> Result<v1::FlowEnd, Rejection> {
        match error {
            PeekError::Stopped(_) => Ok(flow_end(next, EndCause::Stopped.as_str())),
            PeekError::Lookup(LookupError::Ended { cause: Some(cause) }) => {
                Ok(flow_end(next, cause.as_str()))
            }
            PeekError::Lookup(LookupError::Ended { cause: None } | LookupError::NotFound) => {
                Ok(flow_end(next, "unknown"))
            }
            PeekError::BufferingDisabled(_)
            | PeekError::Overwritten { .. }
            | PeekError::NotYetReceived { .. } => {
                Err(Rejection::of_flow(CallError::Peek(error), self.flow))
            }
        }
    }
}

/// Stands for a step that could not be made now.
const fn nothing_new(at: StreamOffset) -> StreamRead {
    StreamRead { start: at, evicted: 0, missing: 0, length: 0, readable: at, ended: None }
}

const fn response(message: Message) -> v1::ReadFlowResponse {
    v1::ReadFlowResponse { message: Some(message) }
}

fn flow_end(next: StreamOffset, cause: &str) -> v1::FlowEnd {
    v1::FlowEnd { next_offset: convert::saturating_i64(next.0), cause: cause.to_owned() }
}

fn bytes_wanted(max_bytes: i64) -> Result<u64, Rejection> {
    match u64::try_from(max_bytes) {
        Ok(0) => Ok(u64::MAX),
        Ok(bytes) => Ok(bytes),
        Err(_negative) => Err(Rejection::Argument {
            field: "max_bytes",
            problem: format!("{max_bytes} is negative"),
        }),
    }
}
