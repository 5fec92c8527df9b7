//! `audit`: what was entered, and whether files of it are whole.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    time::SystemTime,
};

use mos_proto::v1::{AuditEntry, ListAuditEntriesRequest};
use mos_text::Chain;
use serde::Deserialize;

use super::Session;
use crate::{
    args::{AuditArgs, AuditVerb, Format},
    error::{Exit, Failure},
    render::{AUDIT_COLUMNS, Output, Table, audit_row, undo_command},
};

const METHOD: &str = "mos.v1.SystemService/ListAuditEntries";

/// Entries of one page.
const PAGE: i32 = 1000;

/// Shows what was entered, page by page.
pub(super) async fn audit(session: &mut Session, args: &AuditArgs) -> Result<Exit, Failure> {
    let mut request = ListAuditEntriesRequest {
        page_size: PAGE,
        page_token: String::new(),
        since_time: SystemTime::now().checked_sub(args.since.0).map(Into::into),
        principal: args.principal.clone().unwrap_or_default(),
        method: args.method.clone().unwrap_or_default(),
    };
    session.output.request(METHOD, "ListAuditEntriesRequest", &request);
    let mut shown =
        Shown { table: Table::new(&AUDIT_COLUMNS, session.output.titles()), open: BTreeMap::new() };
    loop {
        let page = session.client.list_audit_entries(request.clone()).await?;
        for entry in &page.entries {
            shown.show(&mut session.output, entry)?;
        }
        session.output.flush()?;
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    shown.end(&mut session.output)?;
    Ok(Exit::Done)
}

/// What is shown so far.
struct Shown {
    table: Table,
    /// Intents whose result is yet to come.
    open: BTreeMap<i64, AuditEntry>,
}

impl Shown {
    fn show(&mut self, output: &mut Output, entry: &AuditEntry) -> Result<(), Failure> {
        match output.format() {
            Format::Json | Format::Jsonl | Format::Yaml => output.record("AuditEntry", entry),
            // A result says all that its intent does.
            Format::Table if entry.event == "intent" => {
                self.open.insert(entry.sequence, entry.clone());
                Ok(())
            }
            Format::Table | Format::Wide | Format::Name => {
                self.open.remove(&entry.intent_sequence);
                self.row(output, entry)
            }
        }
    }

    fn row(&mut self, output: &mut Output, entry: &AuditEntry) -> Result<(), Failure> {
        output.text(&self.table.rows(&[audit_row(entry)]))?;
        if let Some(command) = undo_command(entry) {
            output.text(&format!("      undo: {command}\n"))?;
        }
        Ok(())
    }

    /// Intents without a result: mosd ended in between, or the call is under way.
    fn end(&mut self, output: &mut Output) -> Result<(), Failure> {
        for entry in std::mem::take(&mut self.open).into_values() {
            self.row(output, &entry)?;
        }
        Ok(())
    }
}

/// What a command that asks no server comes to.
pub(super) fn offline(verb: &AuditVerb, output: &mut Output) -> Result<Exit, Failure> {
    let AuditVerb::Verify { files } = verb;
    let mut walk = Walk::default();
    for path in in_order(files)? {
        walk.file(&path)?;
    }
    let Walk { begun, chain, open, torn } = walk;
    let (Some(begun), Some(chain)) = (begun, chain) else {
        return Err(Failure::Usage("these files have no line".to_owned()));
    };
    let (count, last) = (files.len(), chain.next.saturating_sub(1));
    let noun = if count == 1 { "file" } else { "files" };
    let digest = chain.prev;
    output.text(&format!("lines {begun} to {last} of {count} {noun} are whole; {digest}\n"))?;
    if begun > 1 {
        output.note(&format!("note: lines before {begun} are in older files"));
    }
    if !open.is_empty() {
        let open: Vec<_> = open.iter().map(ToString::to_string).collect();
        output.note(&format!("note: intents without a result: {}", open.join(", ")));
    }
    if torn > 0 {
        output.note(&format!("note: {torn} bytes at the end are no whole line (yet)"));
    }
    Ok(Exit::Done)
}

/// The files by the numbers of their first lines.
fn in_order(files: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut numbered = Vec::new();
    for path in files {
        let mut line = Vec::new();
        let file = File::open(path).map_err(|error| unread(path, &error))?;
        BufReader::new(file).read_until(b'\n', &mut line).map_err(|error| unread(path, &error))?;
        // One that begins with no line is told when its turn comes.
        let first = Chain::before(line.trim_ascii_end()).map_or(0, |chain| chain.next);
        numbered.push((first, path.clone()));
    }
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, path)| path).collect())
}

/// A walk over all lines.
#[derive(Default)]
struct Walk {
    /// The number of the first line.
    begun: Option<u64>,
    chain: Option<Chain>,
    /// Intents without a result so far.
    open: std::collections::BTreeSet<u64>,
    /// Bytes behind the last line.
    torn: usize,
}

/// What a line is, besides a link of the chain.
#[derive(Deserialize)]
struct Call {
    seq: u64,
    event: String,
    intent: Option<u64>,
}

impl Walk {
    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let broken = |number: usize, problem: String| {
            Failure::Contract(format!("{}, line {number}: {problem}", path.display()))
        };
        if self.torn > 0 {
            return Err(broken(1, "the file before it ends in the middle of a line".to_owned()));
        }
        let file = File::open(path).map_err(|error| unread(path, &error))?;
        let (mut reader, mut line) = (BufReader::new(file), Vec::new());
        for number in 1.. {
            line.clear();
            let length = reader.read_until(b'\n', &mut line);
            if length.map_err(|error| unread(path, &error))? == 0 {
                break;
            }
            if line.pop_if(|end| *end == b'\n').is_none() {
                self.torn = line.len();
                break;
            }
            let link = self.link(&line);
            link.map_err(|problem| broken(number, problem))?;
        }
        Ok(())
    }

    fn link(&mut self, line: &[u8]) -> Result<(), String> {
        let chain = match self.chain {
            Some(chain) => chain.follow(line),
            None => Chain::behind(line),
        };
        self.chain = Some(chain.map_err(|error| error.to_string())?);
        let call: Result<Call, _> = serde_json::from_slice(line);
        let Call { seq, event, intent } = call.map_err(|error| error.to_string())?;
        self.begun.get_or_insert(seq);
        if event == "intent" {
            self.open.insert(seq);
        }
        if let Some(intent) = intent {
            self.open.remove(&intent);
        }
        Ok(())
    }
}

fn unread(path: &Path, error: &io::Error) -> Failure {
    Failure::Usage(format!("{}: {error}", path.display()))
}
