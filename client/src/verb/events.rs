//! `events`: what happens to flows, as it happens.
//!
//! Events go to standard output, losses to standard error.

use std::time::Duration;

use mos_proto::v1::{Event, WatchEventsResponse, watch_events_response::Message};
use tonic::Streaming;

use super::{
    Session,
    stream::{next, note_subscribed, within},
};
use crate::{
    args::{EventsArgs, Format},
    error::{Exit, Failure},
    render::{Table, event_columns, event_row, lost_text},
    request,
};

const METHOD: &str = "mos.v1.EventService/WatchEvents";

/// Watches events. `timeout` is that of the command line; without one, the stream is not bounded.
pub(super) async fn events(
    session: &mut Session,
    args: &EventsArgs,
    timeout: Option<Duration>,
) -> Result<Exit, Failure> {
    let request = request::watch_events(args);
    session.output.request(METHOD, "WatchEventsRequest", &request);
    let mut stream = session.client.watch_events(request).await?;
    within(timeout, METHOD, follow(session, args, &mut stream)).await
}

/// Writes events up to the limit, to the first loss with `--fail-on-loss`, or to the end of the
/// stream.
async fn follow(
    session: &mut Session,
    args: &EventsArgs,
    stream: &mut Streaming<WatchEventsResponse>,
) -> Result<Exit, Failure> {
    let format = session.output.format();
    let mut table = Table::new(event_columns(format), session.output.titles());
    let mut remaining = args.limit.unwrap_or(u64::MAX);
    while remaining > 0 {
        match next(session, stream, METHOD).await?.message {
            Some(Message::Subscribed(subscribed)) => note_subscribed(session, &subscribed),
            Some(Message::Event(event)) => {
                write(session, &mut table, &event)?;
                remaining -= 1;
            }
            Some(Message::Lost(lost)) => {
                session.output.warning(&lost_text(&lost));
                if args.fail_on_loss {
                    return Ok(Exit::Lost);
                }
            }
            // A newer server may send kinds of messages that this client does not know.
            Some(Message::Bookmark(_)) | None => {}
        }
    }
    Ok(Exit::Done)
}

fn write(session: &mut Session, table: &mut Table, event: &Event) -> Result<(), Failure> {
    match session.output.format() {
        format @ (Format::Table | Format::Wide) => {
            let row = table.rows(&[event_row(event, format)]);
            session.output.text(&row)?;
        }
        Format::Json | Format::Jsonl | Format::Yaml => session.output.record("Event", event)?,
        // Already refused before the request was sent.
        Format::Name => {}
    }
    Ok(())
}
