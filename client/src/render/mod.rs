//! The only place that prints.
//!
//! Results go to standard output, everything about them (notes, warnings, errors, requests) to
//! standard error. Tables and JSON of long lists are written page by page.

mod audit;
mod document;
mod event;
mod flow;
mod list;
mod policy;
mod progress;
mod system;
mod table;
mod update;

use std::{
    env,
    io::{self, BufWriter, IsTerminal as _, Write},
};

use prost::Message;
use prost_reflect::DynamicMessage;

pub(crate) use self::{
    audit::{AUDIT_COLUMNS, audit_row, undo_command},
    document::{dynamics_of_json, messages_of_json},
    event::{event_columns, event_row, lost_text},
    flow::{flow_details, option_change, option_details, origin_name, side_details},
    list::{Extent, FlowList},
    policy::{
        DryRun, explanation, generation_table, policy_details, policy_table, set_text,
        short as policy_short,
    },
    progress::Progress,
    system::{caller_text, info_text, status_text},
    table::{Align, Table, Titles, pairs},
    update::{update_columns, update_row},
};
use crate::{
    args::{Color, Format, Global},
    error::{Exit, Failure},
};

/// What is written to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Talk {
    /// Warnings and errors.
    Quiet,
    /// Notes, too.
    Normal,
    /// Requests, too.
    Requests,
}

/// A colour of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Red,
    Yellow,
    Green,
}

/// Standard output or standard error.
struct Sink {
    writer: Box<dyn Write + Send>,
    colored: bool,
}

impl Sink {
    /// The word, in colour if this stream takes colour.
    fn painted(&self, paint: Paint, word: &str) -> String {
        let code = match paint {
            Paint::Red => 31,
            Paint::Green => 32,
            Paint::Yellow => 33,
        };
        if self.colored { format!("\u{1b}[1;{code}m{word}\u{1b}[0m") } else { word.to_owned() }
    }
}

/// Both streams, and how to print to them.
pub(crate) struct Output {
    stdout: Sink,
    stderr: Sink,
    talk: Talk,
    format: Format,
    titles: Titles,
    documents: u64,
}

impl Output {
    /// Standard output and standard error of the process.
    pub(crate) fn new(global: &Global) -> Self {
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colored = |is_terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !no_color,
        };
        let talk = match (global.quiet, global.verbose) {
            (true, _) => Talk::Quiet,
            (false, 0) => Talk::Normal,
            (false, _) => Talk::Requests,
        };
        Self {
            stdout: Sink {
                colored: colored(io::stdout().is_terminal()),
                writer: Box::new(BufWriter::new(io::stdout())),
            },
            stderr: Sink {
                colored: colored(io::stderr().is_terminal()),
                writer: Box::new(io::stderr()),
            },
            talk,
            format: global.output,
            titles: if global.no_headers { Titles::Hidden } else { Titles::Shown },
            documents: 0,
        }
    }

    /// The chosen format.
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Whether tables have titles.
    pub(crate) const fn titles(&self) -> Titles {
        self.titles
    }

    /// Writes text as it is.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.stdout.writer.write_all(text.as_bytes())
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.writer.write_all(bytes)
    }

    /// Flushes standard output.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stdout.writer.flush()
    }

    /// Writes a message of `mos.v1` as JSON or YAML, and flushes.
    pub(crate) fn document(&mut self, name: &str, message: &impl Message) -> Result<(), Failure> {
        let message = document::dynamic(name, message)?;
        self.dynamic_document(&message)
    }

    /// As [`Self::document`], but without flushing, because more follows at once.
    pub(crate) fn record(&mut self, name: &str, message: &impl Message) -> Result<(), Failure> {
        let message = document::dynamic(name, message)?;
        self.append(&message)
    }

    /// Writes any message as JSON or YAML, and flushes.
    pub(crate) fn dynamic_document(&mut self, message: &DynamicMessage) -> Result<(), Failure> {
        self.append(message)?;
        Ok(self.flush()?)
    }

    fn append(&mut self, message: &DynamicMessage) -> Result<(), Failure> {
        let text = match self.format {
            Format::Json | Format::Table | Format::Wide | Format::Name => {
                document::json_pretty(message)?
            }
            Format::Jsonl => document::json(message)?,
            Format::Yaml if self.documents == 0 => document::yaml(message)?,
            Format::Yaml => format!("---\n{}", document::yaml(message)?),
        };
        self.documents += 1;
        Ok(self.text(&text)?)
    }

    /// The word, in colour if standard output takes colour.
    pub(crate) fn painted(&self, paint: Paint, word: &str) -> String {
        self.stdout.painted(paint, word)
    }

    /// Writes a note, unless `--quiet` was given.
    pub(crate) fn note(&mut self, text: &str) {
        if self.talk >= Talk::Normal {
            self.say(&format!("{text}\n"));
        }
    }

    /// Writes a warning.
    pub(crate) fn warning(&mut self, text: &str) {
        let label = self.stderr.painted(Paint::Yellow, "warning:");
        self.say(&format!("{label} {text}\n"));
    }

    /// Shows a request before it is sent, if `--verbose` was given.
    pub(crate) fn request(&mut self, method: &str, name: &str, message: &impl Message) {
        if self.talk < Talk::Requests {
            return;
        }
        let json = document::dynamic(name, message).and_then(|message| document::json(&message));
        self.say(&format!("> {method} {}\n", json.unwrap_or_default().trim_end()));
    }

    /// As [`Self::request`], for a message whose type only the server knows.
    pub(crate) fn dynamic_request(&mut self, method: &str, message: &DynamicMessage) {
        if self.talk >= Talk::Requests {
            let json = document::json(message).unwrap_or_default();
            self.say(&format!("> {method} {}\n", json.trim_end()));
        }
    }

    /// Writes a failure. `about` names the flow if there are several.
    pub(crate) fn failure(&mut self, about: Option<&str>, failure: &Failure) {
        if failure.is_closed_pipe() {
            return;
        }
        let explanation = failure.explain();
        let label = self.stderr.painted(Paint::Red, "error:");
        let about = about.map(|about| format!("{about}: ")).unwrap_or_default();
        let mut text = format!("{label} {about}{}\n", explanation.headline);
        let width = explanation.facts.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        for (label, fact) in &explanation.facts {
            text.push_str(&format!("  {label:<width$}  {fact}\n"));
        }
        self.say(&text);
    }

    /// The progress of a transfer, shown if standard error is a terminal and `--quiet` was not
    /// given.
    pub(crate) fn progress(&self, total: Option<u64>) -> Progress {
        if self.talk >= Talk::Normal && io::stderr().is_terminal() {
            Progress::shown(total)
        } else {
            Progress::hidden()
        }
    }

    /// Asks on the terminal; the caller reads the answer.
    pub(crate) fn prompt(&mut self, question: &str) {
        self.say(question);
    }

    /// Flushes the output. If that fails, the failure decides the exit.
    pub(crate) fn finish(&mut self, exit: Exit) -> Exit {
        match self.flush() {
            Ok(()) => exit,
            Err(error) => {
                let failure = Failure::Output(error);
                self.failure(None, &failure);
                failure.exit()
            }
        }
    }

    /// Writes to standard error, after all that was written to standard output. A failure could not
    /// be reported anywhere, so the results are ignored.
    fn say(&mut self, text: &str) {
        self.stdout.writer.flush().unwrap_or_default();
        self.stderr.writer.write_all(text.as_bytes()).unwrap_or_default();
    }
}
