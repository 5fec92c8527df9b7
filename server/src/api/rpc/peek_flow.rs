//! `FlowService.PeekFlow`: held bytes of one side's buffer, without moving anything.

use mos_control::{Command, PEEK_CHUNK, PeekChunk, Reply};
use mos_proto::v1;
use mos_stack::{FlowId, Peeked, Side, StreamOffset};

use super::resolve::{refused, resolve};
use crate::{
    api::{convert, rejection::Rejection, state::Control},
    net::call::Call,
};

/// Bytes given when the request does not say.
pub(crate) const BYTES_DEFAULT: usize = 4096;

/// Bytes given at most.
pub(crate) const BYTES_MAX: usize = 1024 * 1024;

/// Copies held bytes, chunk by chunk, up to a hole or the wanted length.
pub(crate) async fn peek_flow(
    control: &Control,
    call: &Call,
    request: v1::PeekFlowRequest,
) -> Result<v1::PeekFlowResponse, Rejection> {
    if !control.settings.payload {
        return Err(Rejection::PayloadDisabled);
    }
    let side = convert::side(request.side)?;
    let wanted = bytes_wanted(request.max_bytes)?;
    let offset = request.offset.map(stream_offset).transpose()?;
    let flow = resolve(control, call, &request.flow).await?.id;
    let reader = Reader { control, call, flow, side };
    let (mut peeked, mut chunk) = reader.read(offset, wanted, chunk_memory()).await?;
    let start = peeked.offset;
    let mut data = chunk[..peeked.length].to_vec();
    while data.len() < wanted && peeked.length > 0 {
        let end = peeked.offset.plus(count(peeked.length));
        if peeked.next_held != Some(end) {
            break;
        }
        // What is there already is an answer, whatever becomes of the rest.
        let more = reader.read(Some(end), wanted - data.len(), chunk).await;
        let Ok((next, filled)) = more else { break };
        if next.offset != end {
            // What follows was evicted between two looks.
            peeked.next_held = Some(next.offset);
            break;
        }
        (peeked, chunk) = (next, filled);
        data.extend_from_slice(&chunk[..peeked.length]);
    }
    Ok(v1::PeekFlowResponse {
        flow: convert::flow_name(flow),
        offset: convert::saturating_i64(start.0),
        data,
        oldest_offset: convert::saturating_i64(peeked.oldest.0),
        newest_offset: convert::saturating_i64(peeked.newest.0),
        next_held_offset: peeked.next_held.map(|offset| convert::saturating_i64(offset.0)),
    })
}

struct Reader<'a> {
    control: &'a Control,
    call: &'a Call,
    flow: FlowId,
    side: Side,
}

impl Reader<'_> {
    async fn read(
        &self,
        offset: Option<StreamOffset>,
        wanted: usize,
        chunk: Box<PeekChunk>,
    ) -> Result<(Peeked, Box<PeekChunk>), Rejection> {
        let (flow, side, worker) = (self.flow, self.side, self.flow.worker());
        let length = wanted.min(PEEK_CHUNK);
        let command = Command::Peek { flow, side, offset, length, chunk };
        match self.control.workers.ask(worker, command, self.call.deadline).await {
            Ok(Reply::Peeked { chunk, result: Ok(peeked) }) => Ok((peeked, chunk)),
            Ok(Reply::Peeked { result: Err(error), .. }) => {
                Err(Rejection::Peek { error, resource: convert::flow_name(flow) })
            }
            Ok(_) => Err(Rejection::UnexpectedReply(worker)),
            Err(refusal) => Err(refused(refusal, flow)),
        }
    }
}

#[expect(clippy::large_stack_arrays, reason = "32 KiB fit on every stack of the control plane")]
pub(super) fn chunk_memory() -> Box<PeekChunk> {
    Box::new([0; PEEK_CHUNK])
}

fn bytes_wanted(max_bytes: i32) -> Result<usize, Rejection> {
    match usize::try_from(max_bytes) {
        Ok(0) => Ok(BYTES_DEFAULT),
        Ok(bytes) => Ok(bytes.min(BYTES_MAX)),
        Err(_negative) => Err(Rejection::Argument {
            field: "max_bytes",
            problem: format!("{max_bytes} is negative"),
        }),
    }
}

pub(super) fn stream_offset(offset: i64) -> Result<StreamOffset, Rejection> {
    u64::try_from(offset).map(StreamOffset).map_err(|_negative| Rejection::Argument {
        field: "offset",
        problem: format!("{offset} is negative"),
    })
}

pub(super) fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
