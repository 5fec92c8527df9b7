//! `peek`: buffered payload, one piece after the other.
//!
//! A piece ends at a hole; `--all` continues after the hole and says what is missing. Offsets are
//! stream positions, so bytes that a live flow adds or overwrites meanwhile do not shift the
//! others.

use mos_proto::v1::PeekFlowResponse;
use mos_text::{FlowName, FlowNameError, Reason};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::Session;
use crate::{
    args::{Format, PeekArgs},
    client::CallError,
    error::{Exit, Failure},
    request,
};

/// Bytes on one line of a dump.
const DUMP_WIDTH: usize = 16;

/// How the payload is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Dump,
    Raw,
    Document,
}

/// The state of an extraction.
struct Position {
    /// Offset to ask for; `None` before the first piece.
    next: Option<i64>,
    /// Bytes still wanted.
    remaining: u64,
    /// One past the last byte held at the first piece. Later bytes are not extracted, so that the
    /// extraction ends.
    end: Option<i64>,
    /// Bytes in holes.
    missing: i64,
}

/// Writes buffered payload.
pub(super) async fn peek(session: &mut Session, args: &PeekArgs) -> Result<Exit, Failure> {
    let form = match session.output.format() {
        _ if args.raw => Form::Raw,
        _ if args.hex => Form::Dump,
        Format::Json | Format::Jsonl | Format::Yaml => Form::Document,
        Format::Table | Format::Wide => Form::Dump,
        Format::Name => {
            return Err(Failure::Usage("peek has no names to print: leave -o name out".to_owned()));
        }
    };
    let mut position = Position {
        next: args.offset,
        remaining: if args.all { u64::MAX } else { args.bytes },
        end: None,
        missing: 0,
    };
    let mut flow = args.flow;
    loop {
        let Some(piece) = fetch(session, args, &flow, &mut position).await? else { continue };
        write(session, form, &piece)?;
        // The handle names this connection even after its tuple is reused.
        flow = piece
            .flow
            .parse()
            .map_err(|error: FlowNameError| Failure::Contract(error.to_string()))?;
        if !advance(session, args, &piece, &mut position)? {
            break;
        }
    }
    if position.missing > 0 {
        session.output.warning(&format!("{} bytes are not in the buffer", position.missing));
        return Ok(Exit::Partial);
    }
    Ok(Exit::Done)
}

/// One piece; `None` if the wanted offset was overwritten meanwhile, and `position` has moved to
/// the oldest offset held.
async fn fetch(
    session: &mut Session,
    args: &PeekArgs,
    flow: &FlowName,
    position: &mut Position,
) -> Result<Option<PeekFlowResponse>, Failure> {
    let request = request::peek_flow(flow, args.side, position.next, position.remaining);
    session.output.request("mos.v1.FlowService/PeekFlow", "PeekFlowRequest", &request);
    let error = match session.client.peek_flow(request).await {
        Ok(piece) => return Ok(Some(piece)),
        Err(error) => error,
    };
    let oldest = overwritten_until(&error);
    match (position.next, oldest) {
        (Some(next), Some(oldest)) if args.all && position.end.is_some() && oldest > next => {
            session.output.note(&format!("note: {next}..{oldest} was overwritten while reading"));
            position.missing = position.missing.saturating_add(oldest - next);
            position.next = Some(oldest);
            Ok(None)
        }
        _ => Err(error.into()),
    }
}

/// The oldest offset still held, if the error says that the wanted one was overwritten.
fn overwritten_until(error: &CallError) -> Option<i64> {
    let CallError::Status { status, .. } = error else { return None };
    let details = status.get_error_details();
    let info =
        details.error_info().filter(|info| info.reason == Reason::DataOverwritten.as_str())?;
    (status.code() == Code::OutOfRange).then_some(())?;
    info.metadata.get("oldestOffset")?.parse().ok()
}

fn write(session: &mut Session, form: Form, piece: &PeekFlowResponse) -> Result<(), Failure> {
    match form {
        Form::Raw => session.output.bytes(&piece.data)?,
        Form::Dump => session.output.text(&dump(piece.offset, &piece.data))?,
        Form::Document => session.output.document("PeekFlowResponse", piece)?,
    }
    Ok(())
}

/// Moves past the piece, and returns whether to continue.
fn advance(
    session: &mut Session,
    args: &PeekArgs,
    piece: &PeekFlowResponse,
    position: &mut Position,
) -> Result<bool, Failure> {
    let length = i64::try_from(piece.data.len()).unwrap_or(i64::MAX);
    let behind = piece.offset.saturating_add(length);
    if position.next.is_none() && args.all && piece.offset > 0 {
        session.output.note(&format!("note: 0..{} is no longer held", piece.offset));
    }
    if let Some(next) = position.next.filter(|next| piece.offset > *next) {
        session.output.note(&format!("note: {next}..{} is a hole", piece.offset));
        // Without `--all` the note is enough, and the hole does not count as missing.
        let missing = if args.all { piece.offset - next } else { 0 };
        position.missing = position.missing.saturating_add(missing);
    }
    position.remaining = position.remaining.saturating_sub(piece.data.len() as u64);
    let end = *position.end.get_or_insert(piece.newest_offset);
    let onward = piece.next_held_offset.filter(|next| *next < end);
    let Some(next) = onward else {
        summarize(session, args, piece, behind);
        return Ok(false);
    };
    if next < behind || length == 0 {
        let message = format!("the server gave nothing at {behind}, though {next} is held");
        return Err(Failure::Contract(message));
    }
    let hole = next > behind;
    if position.remaining == 0 || (hole && !args.all) {
        summarize(session, args, piece, behind);
        return Ok(false);
    }
    // The next piece reports the hole before it.
    position.next = Some(behind);
    Ok(true)
}

/// Notes what is shown and what is held.
fn summarize(session: &mut Session, args: &PeekArgs, piece: &PeekFlowResponse, behind: i64) {
    let PeekFlowResponse { oldest_offset, newest_offset, next_held_offset, .. } = piece;
    if oldest_offset == newest_offset {
        session.output.note(&format!("nothing is buffered; the stream stands at {newest_offset}"));
        return;
    }
    if args.all {
        return;
    }
    let more = next_held_offset.map(|next| format!("; more at --offset {next}"));
    session.output.note(&format!(
        "shown up to {behind}; held {oldest_offset}..{newest_offset}{}",
        more.unwrap_or_default()
    ));
}

/// Offset, hexadecimal digits and text, 16 bytes a line.
fn dump(offset: i64, data: &[u8]) -> String {
    let mut text = String::new();
    let mut at = offset;
    for line in data.chunks(DUMP_WIDTH) {
        let digits: Vec<_> = line
            .chunks(DUMP_WIDTH / 2)
            .map(|half| half.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
            .collect();
        let printable =
            |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { *byte } else { b'.' };
        let letters: String = line.iter().map(|byte| char::from(printable(byte))).collect();
        text.push_str(&format!("{at:08x}  {:<48}  |{letters}|\n", digits.join("  ")));
        at = at.saturating_add(i64::try_from(line.len()).unwrap_or(i64::MAX));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_shows_stream_offsets_digits_and_text() {
        assert_eq!(
            dump(0x20, b"GET / HTTP/1.1\r\nHost"),
            "00000020  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  |GET / HTTP/1.1..|\n\
             00000030  48 6f 73 74                                       |Host|\n"
        );
    }
}
