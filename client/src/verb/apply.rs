//! `setopt --selector` and `undo`: options of every flow that a filter matches.
//!
//! The flows are counted first, and a person is asked; what is changed then are the flows that were
//! counted.

use mos_proto::v1::{
    ApplyFailure, ApplySockOptRequest, ApplySockOptResponse, UndoSockOptRequest,
    UndoSockOptResponse,
};
use mos_text::FlowName;

use super::{Session, consent::ask, flows::extent_exit};
use crate::{
    args::{Format, SetoptArgs, UndoArgs},
    error::{Exit, Failure},
    render::pairs,
    request::{self, OptionChange},
    units::{format_bytes, format_count},
};

/// Names of flows that a table shows of a sample.
const NAMES_SHOWN: usize = 10;

/// Changes the options of every flow that the selector matches.
pub(super) async fn apply(
    session: &mut Session,
    args: &SetoptArgs,
    selector: &str,
) -> Result<Exit, Failure> {
    let change = OptionChange::from_args(args)?;
    let request = request::apply_sock_opt(&change, selector, args.max_flows)?;
    let count = ApplySockOptRequest { validate_only: true, ..request.clone() };
    let counted = send(session, count).await?;
    let matched = u64::try_from(counted.matched_count).unwrap_or_default();
    if args.dry_run || matched == 0 {
        show(session, &counted, &counted_text(&counted))?;
        if matched == 0 {
            session.output.note("no flow matches: nothing to change");
        }
        return Ok(extent_exit(session, &counted.unreachable));
    }
    // mosd refuses a larger number, and says what to do then.
    if matched <= args.max_flows && !args.yes {
        session.output.note(&counted_text(&counted));
        let what = match change.is_irreversible() {
            true => format!(
                "Monitoring of {} will stop; this cannot be undone",
                flows(counted.matched_count)
            ),
            false => format!("Options of {} will change", flows(counted.matched_count)),
        };
        let why = match change.is_irreversible() {
            true => "a stop cannot be undone".to_owned(),
            false => format!("{} match", flows(counted.matched_count)),
        };
        ask(&mut session.output, (&what, &why), matched).await?;
    }
    let allow_irreversible = change.is_irreversible();
    let match_token = counted.match_token;
    let answer =
        send(session, ApplySockOptRequest { match_token, allow_irreversible, ..request }).await?;
    show(session, &answer, &applied_text(&answer))?;
    warn_of(session, &answer.failures, answer.unreached_count);
    match answer.undo_token.as_str() {
        "" if answer.applied_count > 0 => session.output.note("note: this cannot be undone"),
        "" => {}
        token => session.output.note(&format!("undo, within 10 minutes: mosctl undo {token}")),
    }
    let exit = extent_exit(session, &answer.unreachable);
    Ok(if answer.failed_count + answer.unreached_count > 0 { Exit::Partial } else { exit })
}

/// Puts back what a change of many flows has replaced.
pub(super) async fn undo(session: &mut Session, args: &UndoArgs) -> Result<Exit, Failure> {
    let request = UndoSockOptRequest { undo_token: args.token.clone() };
    session.output.request("mos.v1.FlowService/UndoSockOpt", "UndoSockOptRequest", &request);
    let answer = session.client.undo_sock_opt(request).await?;
    match session.output.format() {
        Format::Json | Format::Jsonl | Format::Yaml => {
            session.output.document("UndoSockOptResponse", &answer)?;
        }
        Format::Table | Format::Wide | Format::Name => {
            session.output.text(&undone_text(&answer))?;
        }
    }
    session.output.flush()?;
    warn_of(session, &answer.failures, answer.unreached_count);
    let is_whole = answer.failed_count + answer.unreached_count == 0;
    Ok(if is_whole { Exit::Done } else { Exit::Partial })
}

async fn send(
    session: &mut Session,
    request: ApplySockOptRequest,
) -> Result<ApplySockOptResponse, Failure> {
    session.output.request("mos.v1.FlowService/ApplySockOpt", "ApplySockOptRequest", &request);
    Ok(session.client.apply_sock_opt(request).await?)
}

fn show(session: &mut Session, answer: &ApplySockOptResponse, text: &str) -> Result<(), Failure> {
    match session.output.format() {
        Format::Json | Format::Jsonl | Format::Yaml => {
            session.output.document("ApplySockOptResponse", answer)?;
        }
        Format::Table | Format::Wide => session.output.text(&format!("{text}\n"))?,
        // An answer names flows only where they were counted.
        Format::Name => {
            let names = answer.sample.iter().map(|name| format!("{name}\n"));
            session.output.text(&names.collect::<String>())?;
        }
    }
    Ok(session.output.flush()?)
}

/// `812,440 flows match`, and names of some.
fn counted_text(counted: &ApplySockOptResponse) -> String {
    let mut text = format!("{} match", flows(counted.matched_count));
    if counted.growth_bytes > 0 {
        let bytes = format_bytes(counted.growth_bytes);
        text.push_str(&format!("; their buffers may hold up to {bytes} more"));
    }
    let shown = counted.sample.iter().take(NAMES_SHOWN);
    shown.for_each(|name| text.push_str(&format!("\n  {}", FlowName::short(name))));
    let shown = i64::try_from(counted.sample.len().min(NAMES_SHOWN)).unwrap_or(i64::MAX);
    if counted.matched_count > shown {
        text.push_str(&format!("\n  and {} more", format_count(counted.matched_count - shown)));
    }
    text
}

fn applied_text(answer: &ApplySockOptResponse) -> String {
    let mut rows = vec![
        ("changed", format_count(answer.applied_count)),
        ("unchanged", format_count(answer.unchanged_count)),
        ("ended", format_count(answer.ended_count)),
        ("failed", format_count(answer.failed_count)),
    ];
    if answer.discarded_bytes > 0 {
        rows.push(("discarded", format_bytes(answer.discarded_bytes)));
    }
    pairs(&rows).trim_end().to_owned()
}

fn undone_text(answer: &UndoSockOptResponse) -> String {
    pairs(&[
        ("restored", format_count(answer.restored_count)),
        ("changed since", format_count(answer.overtaken_count)),
        ("ended", format_count(answer.ended_count)),
        ("failed", format_count(answer.failed_count)),
    ])
}

/// Says what was not done, and why.
fn warn_of(session: &mut Session, failures: &[ApplyFailure], unreached: i64) {
    for failure in failures {
        let status = failure.status.clone().unwrap_or_default();
        let sample: Vec<_> = failure.sample.iter().map(|name| FlowName::short(name)).collect();
        session.output.warning(&format!(
            "{} refused, such as {}: {}",
            flows(failure.flow_count),
            sample.first().copied().unwrap_or("-"),
            status.message
        ));
    }
    if unreached > 0 {
        session.output.warning(&format!(
            "{} were not reached in time: asking again is safe; --timeout gives more time",
            flows(unreached)
        ));
    }
}

fn flows(count: i64) -> String {
    let noun = if count == 1 { "flow" } else { "flows" };
    format!("{} {noun}", format_count(count))
}
