//! `setopt -f`: requests of a file, in batches.

use mos_proto::v1::{
    BatchSetSockOptRequest, BatchSetSockOptResponse, SetSockOptRequest, SetSockOptResult,
    set_sock_opt_request::Change,
};
use mos_text::FlowName;
use prost::Message as _;
use tonic::{Code, Status};

use super::{Session, call::text_of, consent::ask};
use crate::{
    args::{Format, SetoptArgs},
    client::CallError,
    error::{Exit, Failure},
    render::{messages_of_json, option_change},
    request::is_irreversible,
    units::format_count,
};

const METHOD: &str = "mos.v1.FlowService/BatchSetSockOpt";

/// Requests of one batch, at most.
const BATCH_MAX: usize = 1000;

/// What became of all requests.
#[derive(Default)]
struct Tally {
    done: usize,
    first_failure: Option<Exit>,
}

/// Carries out the requests of a file.
pub(super) async fn batch(
    session: &mut Session,
    args: &SetoptArgs,
    file: &str,
) -> Result<Exit, Failure> {
    let requests: Vec<SetSockOptRequest> =
        messages_of_json("SetSockOptRequest", &text_of(file).await?)?;
    if requests.is_empty() {
        return Err(Failure::Usage(format!(
            "{file} has no request: one JSON object for each flow"
        )));
    }
    let stops = requests.iter().filter_map(|request| request.change.as_ref());
    let stops = u64::try_from(stops.filter(|change| is_irreversible(change)).count());
    let stops = stops.unwrap_or(u64::MAX);
    if stops > 0 && !args.yes && !args.dry_run {
        let what = format!("Monitoring of {stops} flows will stop; this cannot be undone");
        ask(&mut session.output, (&what, "a stop cannot be undone"), stops).await?;
    }
    let mut tally = Tally::default();
    for chunk in requests.chunks(BATCH_MAX) {
        let request =
            BatchSetSockOptRequest { requests: chunk.to_vec(), validate_only: args.dry_run };
        session.output.request(METHOD, "BatchSetSockOptRequest", &request);
        let answer = session.client.batch_set_sock_opt(request).await?;
        show(session, chunk, &answer, &mut tally)?;
    }
    let count = |n: usize| format_count(i64::try_from(n).unwrap_or(i64::MAX));
    match tally.first_failure {
        None => Ok(Exit::Done),
        Some(exit) if tally.done == 0 => Ok(exit),
        Some(_) => {
            let (done, all) = (count(tally.done), count(requests.len()));
            session.output.warning(&format!("{done} of {all} requests were carried out"));
            Ok(Exit::Partial)
        }
    }
}

/// Writes what came of each request of a batch.
fn show(
    session: &mut Session,
    requests: &[SetSockOptRequest],
    answer: &BatchSetSockOptResponse,
    tally: &mut Tally,
) -> Result<(), Failure> {
    if answer.results.len() != requests.len() {
        let (got, sent) = (answer.results.len(), requests.len());
        return Err(Failure::Contract(format!("{got} results for {sent} requests")));
    }
    if matches!(session.output.format(), Format::Json | Format::Jsonl | Format::Yaml) {
        session.output.document("BatchSetSockOptResponse", answer)?;
    }
    for (request, result) in requests.iter().zip(&answer.results) {
        match failure_of(result) {
            None => {
                tally.done += 1;
                show_done(session, request, result)?;
            }
            Some(failure) => {
                session.output.failure(Some(&request.flow), &failure);
                tally.first_failure.get_or_insert_with(|| failure.exit());
            }
        }
    }
    Ok(session.output.flush()?)
}

fn show_done(
    session: &mut Session,
    request: &SetSockOptRequest,
    result: &SetSockOptResult,
) -> Result<(), Failure> {
    let answer = result.response.clone().unwrap_or_default();
    match session.output.format() {
        Format::Table | Format::Wide => {
            let asked = match &request.change {
                Some(Change::Options(options)) => Some(options),
                Some(Change::Raw(_)) | None => None,
            };
            let change = option_change(asked, None, &answer.options.unwrap_or_default())?;
            session.output.text(&format!("{}  {change}\n", FlowName::short(&answer.flow)))?;
        }
        Format::Name => session.output.text(&format!("{}\n", answer.flow))?,
        // Written as a whole.
        Format::Json | Format::Jsonl | Format::Yaml => {}
    }
    Ok(())
}

/// Why a request was not carried out.
fn failure_of(result: &SetSockOptResult) -> Option<Failure> {
    let status = result.status.as_ref().filter(|status| status.code != 0)?;
    let code = Code::from_i32(status.code);
    let details = status.encode_to_vec().into();
    let status = Box::new(Status::with_details(code, status.message.clone(), details));
    Some(CallError::Status { method: METHOD.to_owned(), status }.into())
}
