//! `getopt` and `setopt`.

use mos_proto::v1::{Flow, FlowView, RawSockOpt, SetSockOptResponse, set_sock_opt_request::Change};
use mos_text::FlowName;

use super::{Session, apply, batch, consent::ask};
use crate::{
    args::{Format, GetoptArgs, SetoptArgs},
    error::{Exit, Failure},
    raw_option,
    render::{Output, option_change, option_details, origin_name, pairs, side_details},
    request::{self, OptionChange},
    units::{format_bytes, format_count},
};

/// Shows the options of one flow.
pub(super) async fn getopt(session: &mut Session, args: &GetoptArgs) -> Result<Exit, Failure> {
    let request = request::get_sock_opt(&args.flow, &args.raw);
    session.output.request("mos.v1.FlowService/GetSockOpt", "GetSockOptRequest", &request);
    let answer = session.client.get_sock_opt(request).await?;
    match session.output.format() {
        Format::Table | Format::Wide => {
            let options = answer.options.unwrap_or_default();
            let mut lines = option_details(&answer.flow, &options)?;
            lines.push(("origin".to_owned(), origin_name(answer.origin()).to_owned()));
            lines.push(("etag".to_owned(), answer.etag.clone()));
            if let Some(raw) = &answer.raw {
                lines.push(("optval".to_owned(), optval_text(raw)));
            }
            session.output.text(&pairs(&lines))?;
            session.output.text(&format!("\n{}", side_details(&answer)))?;
        }
        Format::Name => session.output.text(&format!("{}\n", answer.flow))?,
        Format::Json | Format::Jsonl | Format::Yaml => {
            session.output.document("GetSockOptResponse", &answer)?;
        }
    }
    Ok(Exit::Done)
}

/// The bytes of an option's value, and their meaning if it is known.
fn optval_text(raw: &RawSockOpt) -> String {
    let RawSockOpt { optname, optval, .. } = raw;
    let digits: String = optval.iter().map(|byte| format!("{byte:02x}")).collect();
    match raw_option::meaning(*optname, optval) {
        _ if optval.is_empty() => "empty".to_owned(),
        Some(meaning) => format!("0x{digits} ({meaning})"),
        None => format!("0x{digits}"),
    }
}

/// Refuses an invalid change, and asks for consent to one that cannot be undone.
pub(super) async fn consent(args: &SetoptArgs, output: &mut Output) -> Result<(), Failure> {
    if args.file.is_some() {
        // What it asks for is known once it is read.
        return Ok(());
    }
    let change = OptionChange::from_args(args)?;
    // How many flows a selector matches, mosd says.
    let is_asked_later = args.selector.is_some();
    if is_asked_later || !change.is_irreversible() || args.yes || args.dry_run {
        return Ok(());
    }
    let count = args.flow.len();
    let flows = if count == 1 { "flow" } else { "flows" };
    let what = format!("Monitoring of {count} {flows} will stop; this cannot be undone");
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    ask(output, (&what, "a stop cannot be undone"), count).await
}

/// Changes options: of one named flow after the other, of those that match, or as a file says.
pub(super) async fn setopt(session: &mut Session, args: &SetoptArgs) -> Result<Exit, Failure> {
    if let Some(selector) = &args.selector {
        return apply::apply(session, args, selector).await;
    }
    if let Some(file) = &args.file {
        return batch::batch(session, args, file).await;
    }
    let change = OptionChange::from_args(args)?;
    if let [flow] = args.flow.as_slice() {
        set_one(session, &change, flow).await?;
        return Ok(Exit::Done);
    }
    let mut done = 0;
    let mut first_failure = None;
    for flow in &args.flow {
        match set_one(session, &change, flow).await {
            Ok(()) => done += 1,
            Err(failure @ Failure::Output(_)) => return Err(failure),
            Err(failure) => {
                session.output.failure(Some(&flow.to_string()), &failure);
                first_failure.get_or_insert_with(|| failure.exit());
            }
        }
    }
    match first_failure {
        None => Ok(Exit::Done),
        Some(exit) if done == 0 => Ok(exit),
        Some(_) => {
            let count = |n: usize| format_count(i64::try_from(n).unwrap_or(i64::MAX));
            let (done, all) = (count(done), count(args.flow.len()));
            session.output.warning(&format!("{done} of {all} flows changed"));
            Ok(Exit::Partial)
        }
    }
}

/// Changes options of one flow and prints old and new values.
async fn set_one(
    session: &mut Session,
    change: &OptionChange,
    flow: &FlowName,
) -> Result<(), Failure> {
    // Read only for the old values and the core. Without an etag, the last writer wins.
    let before = request::get_flow(flow, FlowView::Basic);
    session.output.request("mos.v1.FlowService/GetFlow", "GetFlowRequest", &before);
    let before = session.client.get_flow(before).await?.flow;
    let request = change.for_flow(flow);
    session.output.request("mos.v1.FlowService/SetSockOpt", "SetSockOptRequest", &request);
    let answer = session.client.set_sock_opt(request).await?;
    // Another connection may have reused the tuple between the two calls.
    let before = before.filter(|before| before.name == answer.flow);
    match session.output.format() {
        Format::Table | Format::Wide => {
            let line = change_line(change, before.as_ref(), &answer)?;
            session.output.text(&line)?;
        }
        Format::Name => session.output.text(&format!("{}\n", answer.flow))?,
        Format::Json | Format::Jsonl | Format::Yaml => {
            session.output.document("SetSockOptResponse", &answer)?;
        }
    }
    session.output.flush()?;
    notes(session, change, &answer);
    Ok(())
}

/// `NAME  client buffer 8 KiB -> 64 KiB   (applied on core 3)`.
fn change_line(
    change: &OptionChange,
    before: Option<&Flow>,
    answer: &SetSockOptResponse,
) -> Result<String, Failure> {
    let asked = match &change.change {
        Change::Options(options) => Some(options),
        Change::Raw(_) => None,
    };
    let new = answer.options.unwrap_or_default();
    let what = option_change(asked, before.and_then(|flow| flow.options.as_ref()), &new)?;
    let outcome = match before {
        _ if change.dry_run => "dry run, nothing changed".to_owned(),
        Some(flow) => format!("applied on core {}", flow.core),
        None => "applied".to_owned(),
    };
    Ok(format!("{}  {what}   ({outcome})\n", FlowName::short(&answer.flow)))
}

/// Notes on what the values alone do not show.
fn notes(session: &mut Session, change: &OptionChange, answer: &SetSockOptResponse) {
    let options = answer.options.unwrap_or_default();
    let (client, server) = change.buffer_bytes();
    let sides = [
        ("client", client, options.client_buffer_bytes),
        ("server", server, options.server_buffer_bytes),
    ];
    for (side, asked, in_force) in sides {
        if let Some((asked, in_force)) = asked.zip(in_force).filter(|(a, b)| a != b) {
            let direction = if in_force > asked { "up" } else { "down" };
            session.output.note(&format!(
                "note: {side} buffer rounded {direction} from {asked} to {in_force} bytes"
            ));
        }
    }
    if answer.matched_reversed {
        session.output.note(
            "note: the tuple was given server first; client and server are those of the flow",
        );
    }
    if answer.discarded_bytes > 0 {
        let verb = if change.dry_run { "would be" } else { "were" };
        session.output.note(&format!(
            "note: {} buffered bytes {verb} discarded ({})",
            format_count(answer.discarded_bytes),
            format_bytes(answer.discarded_bytes)
        ));
    }
}
