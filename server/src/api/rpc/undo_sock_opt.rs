//! `FlowService.UndoSockOpt`: puts back what an `ApplySockOpt` has replaced.

use std::sync::Arc;

use mos_proto::v1;
use uuid::Uuid;

use super::walks::{failures, place};
use crate::{
    api::{
        convert::saturating_i64,
        rejection::{ManyFlows, Rejection},
        state::Control,
    },
    flows::change::{self, Share},
    net::call::Call,
};

/// Puts the former options back, of each flow whose options nobody has changed since.
pub(crate) async fn undo_sock_opt(
    control: &Control,
    call: &Call,
    request: v1::UndoSockOptRequest,
) -> Result<v1::UndoSockOptResponse, Rejection> {
    let token = Uuid::parse_str(&request.undo_token).ok();
    let undo = token.and_then(|token| control.undos.get(token)).ok_or(ManyFlows::UndoUnknown)?;
    let _place = place(control, call)?;
    let share = |(at, (worker, flows)): (usize, &(_, Vec<_>))| {
        let undo = Arc::clone(&undo);
        let item = move |index: usize| undo.flows[at].1[index].undo(&undo.names);
        Share { worker: *worker, items: (0..flows.len()).map(item) }
    };
    let shares = undo.flows.iter().enumerate().map(share).collect();
    let outcome = change::change_all(&control.workers, shares, call.deadline).await;
    // Some of them may have had these options all the time.
    let restored = outcome.changed + outcome.unchanged;
    let (overtaken, unreached, by) = (outcome.overtaken, outcome.unreached, call.caller());
    call.trail.note("restored", restored);
    call.trail.note("overtaken", overtaken);
    call.trail.note("unreached", unreached);
    tracing::info!(restored, overtaken, unreached, by, "a change of many options was undone");
    Ok(v1::UndoSockOptResponse {
        restored_count: saturating_i64(restored),
        overtaken_count: saturating_i64(overtaken),
        ended_count: saturating_i64(outcome.ended),
        failed_count: saturating_i64(outcome.failed()),
        failures: failures(outcome.failures),
        unreached_count: saturating_i64(unreached),
    })
}
