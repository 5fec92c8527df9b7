//! What the RPCs about one flow have in common: its name, its core, and offsets into its streams.

use mos_control::{PEEK_CHUNK, PeekChunk, Phase};
use mos_stack::{FlowId, StreamOffset, WorkerId};

use crate::{
    api::{rejection::Rejection, state::Control},
    flows::resolve::{self, Resolved},
    net::call::Call,
};

/// Finds the flow with this name.
pub(super) async fn resolve(
    control: &Control,
    call: &Call,
    name: &str,
) -> Result<Resolved, Rejection> {
    let resolved = resolve::resolve(&control.workers, name, call.deadline).await;
    resolved.map_err(|error| Rejection::of_name(error, name))
}

/// A field is no longer than what is ever read of it, in bytes.
pub(super) fn check_length(field: &'static str, text: &str, max: usize) -> Result<(), Rejection> {
    if text.len() <= max {
        return Ok(());
    }
    let problem = format!("{} bytes are too many: {max} at most", text.len());
    Err(Rejection::Argument { field, problem })
}

/// The core that the raw form names is a running worker. mOS: the mctx is valid.
pub(super) fn check_core(control: &Control, core: Option<i32>) -> Result<(), Rejection> {
    let Some(core) = core else { return Ok(()) };
    let worker = u16::try_from(core).ok().and_then(WorkerId::new);
    let client = worker.and_then(|worker| control.workers.get(worker).ok());
    let client = client.ok_or_else(|| {
        let cores = control.workers.iter().len();
        Rejection::NoSuchCore { core, cores }
    })?;
    match client.board().phase() {
        Phase::Running | Phase::Drained => Ok(()),
        Phase::Starting | Phase::Stopped => Err(Rejection::CoreNotRunning(client.worker())),
    }
}

/// The core that the raw form names owns the flow. mOS: the socket is one of this mctx.
pub(super) fn check_owner(core: Option<i32>, flow: FlowId) -> Result<(), Rejection> {
    let owner = flow.worker();
    match core {
        Some(core) if core != i32::from(owner.index()) => {
            Err(Rejection::NotOwner { core, flow, owner })
        }
        Some(_) | None => Ok(()),
    }
}

#[expect(clippy::large_stack_arrays, reason = "32 KiB fit on every stack of the control plane")]
pub(super) fn chunk_memory() -> Box<PeekChunk> {
    Box::new([0; PEEK_CHUNK])
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
