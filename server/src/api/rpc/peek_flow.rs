//! `FlowService.PeekFlow`: held bytes of one side's buffer, without moving anything.

use mos_proto::v1;
use mos_stack::{PeekError, StreamOffset};

use super::flow::{chunk_memory, count, resolve, stream_offset};
use crate::{
    api::{convert, rejection::Rejection, state::Control},
    net::call::Call,
    words::bounds::{PEEK_DEFAULT, PEEK_MAX},
    workers::{CallError, Stretch},
};

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
    call.trail.is_about(convert::flow_name(flow));
    let peek = async |from, length, chunk| {
        let stretch = Stretch { flow, side, from, length, chunk };
        control.workers.peek(stretch, call.deadline).await
    };
    let first = peek(offset, wanted, chunk_memory()).await;
    let (mut peeked, mut chunk) = first.map_err(|error| Rejection::of_flow(error, flow))?;
    let start = peeked.offset;
    let mut data = chunk[..peeked.length].to_vec();
    while data.len() < wanted && peeked.length > 0 {
        let end = peeked.offset.plus(count(peeked.length));
        if peeked.next_held != Some(end) {
            break;
        }
        match peek(Some(end), wanted - data.len(), chunk).await {
            Ok((next, filled)) if next.offset == end => {
                (peeked, chunk) = (next, filled);
                data.extend_from_slice(&chunk[..peeked.length]);
            }
            // What follows was evicted between two looks.
            Ok((next, _)) => {
                peeked.next_held = Some(next.offset);
                break;
            }
            Err(error) => {
                peeked.next_held =
                    next_held(error, end).map_err(|error| Rejection::of_flow(error, flow))?;
                break;
            }
        }
    }
    call.trail.note("bytes", data.len());
    Ok(v1::PeekFlowResponse {
        flow: convert::flow_name(flow),
        offset: convert::saturating_i64(start.0),
        data,
        oldest_offset: convert::saturating_i64(peeked.oldest.0),
        newest_offset: convert::saturating_i64(peeked.newest.0),
        next_held_offset: peeked.next_held.map(|offset| convert::saturating_i64(offset.0)),
    })
}

/// What is there already is an answer. Returns where more is held as far as is known when the look
/// at `end` came to nothing.
fn next_held(error: CallError, end: StreamOffset) -> Result<Option<StreamOffset>, CallError> {
    match error {
        // The worker could not be asked in time: what was held at `end` may still be.
        CallError::Refused(_) => Ok(Some(end)),
        CallError::Peek(PeekError::Overwritten { oldest, .. }) => Ok(Some(oldest)),
        // The flow, or its buffer, is gone.
        CallError::Peek(
            PeekError::Lookup(_)
            | PeekError::Stopped(_)
            | PeekError::BufferingDisabled(_)
            | PeekError::NotYetReceived { .. },
        ) => Ok(None),
        CallError::UnexpectedReply(_) => Err(error),
    }
}

fn bytes_wanted(max_bytes: i32) -> Result<usize, Rejection> {
    match usize::try_from(max_bytes) {
        Ok(0) => Ok(PEEK_DEFAULT),
        Ok(bytes) => Ok(bytes.min(PEEK_MAX)),
        Err(_negative) => Err(Rejection::Argument {
            field: "max_bytes",
            problem: format!("{max_bytes} is negative"),
        }),
    }
}
