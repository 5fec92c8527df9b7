//! `flows watch`: the flows that are there, and every change.
//!
//! Flows go to standard output, losses to standard error.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use mos_proto::v1::{Bookmark, FlowUpdate, WatchFlowsResponse, watch_flows_response::Message};
use tonic::Streaming;

use super::{
    Session,
    stream::{next, note_subscribed, within},
};
use crate::{
    args::{Format, WatchArgs},
    error::{Exit, Failure},
    render::{Table, lost_text, update_columns, update_row},
    request,
};

const METHOD: &str = "mos.v1.FlowService/WatchFlows";

/// Watches flows. `timeout` is that of the command line; without one, the stream is not bounded.
pub(super) async fn watch(
    session: &mut Session,
    args: &WatchArgs,
    timeout: Option<Duration>,
) -> Result<Exit, Failure> {
    let place = Place(args.resume.clone());
    let request = request::watch_flows(args, place.token()?);
    session.output.request(METHOD, "WatchFlowsRequest", &request);
    let mut stream = session.client.watch_flows(request).await?;
    within(timeout, METHOD, follow(session, args, &place, &mut stream)).await
}

/// Writes changes up to the limit, to the first loss with `--fail-on-loss`, or to the end of the
/// stream.
async fn follow(
    session: &mut Session,
    args: &WatchArgs,
    place: &Place,
    stream: &mut Streaming<WatchFlowsResponse>,
) -> Result<Exit, Failure> {
    let columns = update_columns(session.output.format());
    let mut table = Table::new(&columns, session.output.titles());
    let mut remaining = args.limit.unwrap_or(u64::MAX);
    while remaining > 0 {
        match next(session, stream, METHOD).await?.message {
            Some(Message::Subscribed(subscribed)) => note_subscribed(session, &subscribed),
            Some(Message::Update(update)) => {
                write(session, &mut table, &update)?;
                remaining -= 1;
            }
            Some(Message::Bookmark(bookmark)) => {
                session.output.flush()?;
                note(session, &bookmark);
                place.keep(&bookmark.resume_token)?;
            }
            Some(Message::Lost(lost)) => {
                session.output.warning(&lost_text(&lost));
                if args.fail_on_loss {
                    return Ok(Exit::Lost);
                }
            }
            Some(Message::Unreachable(unreachable)) => {
                let cores = unreachable.cores.join(", ");
                session.output.warning(&format!("the flows of {cores} are missing: no answer"));
            }
            // A newer server may send kinds of messages that this client does not know.
            None => {}
        }
    }
    Ok(Exit::Done)
}

fn note(session: &mut Session, bookmark: &Bookmark) {
    if bookmark.snapshot_complete {
        session.output.note("all flows are told: changes follow");
    }
}

fn write(session: &mut Session, table: &mut Table, update: &FlowUpdate) -> Result<(), Failure> {
    match session.output.format() {
        format @ (Format::Table | Format::Wide) => {
            let row = table.rows(&[update_row(update, format, SystemTime::now())]);
            session.output.text(&row)?;
        }
        Format::Json | Format::Jsonl | Format::Yaml => {
            session.output.record("FlowUpdate", update)?;
        }
        // Already refused before the request was sent.
        Format::Name => {}
    }
    Ok(())
}

/// Where the last bookmark is kept, if anywhere.
struct Place(Option<PathBuf>);

impl Place {
    /// The token of the last bookmark; empty where there is none yet.
    fn token(&self) -> Result<String, Failure> {
        let Some(path) = &self.0 else { return Ok(String::new()) };
        match fs::read_to_string(path) {
            Ok(token) => Ok(token.trim().to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(failure(path, &error)),
        }
    }

    /// Keeps a token: the file has the old one or the new one, whatever happens meanwhile.
    fn keep(&self, token: &str) -> Result<(), Failure> {
        let Some(path) = self.0.as_ref().filter(|_| !token.is_empty()) else { return Ok(()) };
        let new = path.with_added_extension("new");
        let write = || {
            fs::write(&new, format!("{token}\n"))?;
            fs::rename(&new, path)
        };
        write().map_err(|error| failure(path, &error))
    }
}

fn failure(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("--resume {}: {error}", path.display()))
}
