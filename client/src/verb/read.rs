//! `read`: one side's stream as it grows, to standard output or a file, until the flow ends.
//!
//! Missing bytes are reported on standard error, and nothing is written in their place.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    time::Duration,
};

use mos_proto::v1::{FlowEnd, FlowGap, ReadFlowResponse, read_flow_response::Message};
use tonic::Streaming;

use super::{Session, stream::within};
use crate::{
    args::{Format, ReadArgs},
    client::CallError,
    error::{Exit, Failure},
    render::Progress,
    request,
    units::{format_bytes, format_count},
};

const METHOD: &str = "mos.v1.FlowService/ReadFlow";

/// Where the stream goes.
enum Target {
    /// Its bytes to standard output.
    Stdout,
    /// Its bytes to a file.
    File(File),
    /// Its messages to standard output.
    Documents,
}

/// What has been read so far.
#[derive(Default)]
struct Tally {
    bytes: i64,
    gaps: i64,
    missing: i64,
}

/// Reads a stream. `timeout` is that of the command line; without one, the stream is not bounded.
pub(super) async fn read(
    session: &mut Session,
    args: &ReadArgs,
    timeout: Option<Duration>,
) -> Result<Exit, Failure> {
    let is_document = match session.output.format() {
        Format::Json | Format::Jsonl | Format::Yaml => true,
        Format::Table | Format::Wide | Format::Name => false,
    };
    let request = request::read_flow(&args.flow, args.side, args.offset, args.max_bytes);
    session.output.request(METHOD, "ReadFlowRequest", &request);
    let mut stream = session.client.read_flow(request).await?;
    let mut target = match &args.output_file {
        Some(path) => Target::File(File::create(path).map_err(|error| at(path, &error))?),
        None if is_document => Target::Documents,
        None => Target::Stdout,
    };
    // On one terminal, the bytes and the progress would be mixed.
    let is_apart = matches!(target, Target::File(_)) || !io::stdout().is_terminal();
    let progress =
        if is_apart { session.output.progress(args.max_bytes) } else { Progress::hidden() };
    let follow = follow(session, &mut stream, &mut target, &progress);
    let (tally, end) = within(timeout, METHOD, follow).await?;
    progress.finish();
    session.output.note(&format!(
        "{} ({} bytes) up to offset {}; ended: {}",
        format_bytes(tally.bytes),
        format_count(tally.bytes),
        end.next_offset,
        end.cause
    ));
    if tally.missing == 0 {
        return Ok(Exit::Done);
    }
    session.output.warning(&format!(
        "{} bytes in {} gaps are missing",
        format_count(tally.missing),
        format_count(tally.gaps)
    ));
    Ok(if args.fail_on_loss { Exit::Lost } else { Exit::Done })
}

/// Checks the command line before anything is sent.
pub(super) fn check(args: &ReadArgs, format: Format) -> Result<(), Failure> {
    let is_document = matches!(format, Format::Json | Format::Jsonl | Format::Yaml);
    if is_document && args.output_file.is_some() {
        let message = "a file takes the bytes as they are: leave -o out, or redirect the output";
        return Err(Failure::Usage(message.to_owned()));
    }
    Ok(())
}

/// Writes everything up to the end of the stream.
async fn follow(
    session: &mut Session,
    stream: &mut Streaming<ReadFlowResponse>,
    target: &mut Target,
    progress: &Progress,
) -> Result<(Tally, FlowEnd), Failure> {
    let mut tally = Tally::default();
    let failed = |status| CallError::new(METHOD, status, Duration::default());
    while let Some(response) = stream.message().await.map_err(failed)? {
        if let Target::Documents = target {
            session.output.document("ReadFlowResponse", &response)?;
        }
        match response.message {
            Some(Message::Data(data)) => {
                match target {
                    Target::Stdout => {
                        session.output.bytes(&data.data)?;
                        session.output.flush()?;
                    }
                    Target::File(file) => file.write_all(&data.data)?,
                    Target::Documents => {}
                }
                progress.advance(data.data.len() as u64);
                let length = i64::try_from(data.data.len()).unwrap_or(i64::MAX);
                tally.bytes = tally.bytes.saturating_add(length);
            }
            Some(Message::Gap(gap)) => {
                tally.gaps += 1;
                tally.missing = tally.missing.saturating_add(gap.length_bytes);
                progress.aside(|| session.output.note(&gap_text(&gap)));
            }
            Some(Message::End(end)) => return Ok((tally, end)),
            // A newer server may send kinds of messages that this client does not know.
            None => {}
        }
    }
    Err(Failure::Contract("the stream ended without saying why".to_owned()))
}

fn gap_text(gap: &FlowGap) -> String {
    let FlowGap { offset, length_bytes, never_captured } = gap;
    let end = offset.saturating_add(*length_bytes);
    let what = if *never_captured { "was never captured" } else { "was overwritten unread" };
    format!("note: {offset}..{end} {what}")
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
