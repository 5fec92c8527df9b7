//! The log: structured lines on stderr.
//!
//! A monitor outlives its log. No thread but the log's own waits for the reader of stderr; what
//! waits is bounded; what is lost is counted and told, in the log, in the metrics and as a
//! condition.

mod limit;
mod queue;

use std::{
    io::{self, IsTerminal as _, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, filter::ParseError, fmt, layer::SubscriberExt as _, reload,
    util::SubscriberInitExt as _,
};

pub(crate) use self::queue::Lost;
use self::{
    limit::{LeftOut, Limits},
    queue::{Queue, Writer},
};
use crate::words::bounds::LOG_BYTES;

/// What a client of the transport can provoke is no news below this; `log.level` may say more.
const QUIET: &str = "h2=error,hyper=error";

/// Time that the last lines may take to be written.
const FLUSH: Duration = Duration::from_secs(1);

/// Time between two looks at what was left out.
const LOOK: Duration = Duration::from_secs(1);

/// The queue of this process, once the log is set up.
static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();

/// What this process logs, by level and target.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// The rates of this process.
static LIMITS: OnceLock<Limits> = OnceLock::new();

/// Lines left out by a rate.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The level cannot be read.
    #[error("log.level = {level:?} cannot be read: {error}")]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        error: ParseError,
    },
    /// The process has a log already.
    #[error("the log is already set up")]
    Twice,
    /// Its thread cannot be started.
    #[error("cannot start the thread of the log: {0}")]
    Thread(#[from] io::Error),
}

/// Reads the level, or directives by target.
///
/// # Errors
///
/// When they cannot be read.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(format!("{QUIET},{level}"))
        .map_err(|error| LogError::Level { level: level.to_owned(), error })
}

/// Sends the process's log to stderr from now on, by way of a thread that runs where this one
/// does.
///
/// # Errors
///
/// When the level cannot be read, the thread cannot be started, or a log is set up already.
pub(crate) fn start(level: &str, format: LogFormat) -> Result<(), LogError> {
    let filter = filter(level)?;
    let queue = Queue::new(LOG_BYTES);
    QUEUE.set(Arc::clone(&queue)).map_err(|_already| LogError::Twice)?;
    let writer = Writer::new(Arc::clone(&queue), io::stderr());
    thread::Builder::new().name("mos-log".to_owned()).spawn(move || write(writer))?;
    let lines = fmt::layer()
        .with_writer(move || Line(Arc::clone(&queue)))
        .with_ansi(io::stderr().is_terminal())
        .log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let (filter, handle) = reload::Layer::new(filter);
    FILTER.set(handle).map_err(|_already| LogError::Twice)?;
    tracing_subscriber::registry()
        .with(filter)
        .with(LIMITS.get_or_init(Limits::default))
        .with(lines)
        .try_init()
        .map_err(|_already| LogError::Twice)
}

/// Logs by another filter from now on.
pub(crate) fn refilter(filter: EnvFilter) {
    if let Some(handle) = FILTER.get() {
        // An error means that there is no log, which has no filter then.
        let _replaced_or_gone: Result<(), reload::Error> = handle.reload(filter);
    }
}

/// Says a line of text that is no event of the log, after all that was logged; on stderr itself
/// where there is no log yet. Returns when it is written, or after a second.
pub(crate) fn say(line: &str) {
    match QUEUE.get() {
        Some(queue) => queue.push(format!("{line}\n").as_bytes()),
        // Where stderr is closed, the exit code has to do.
        None => writeln!(io::stderr(), "{line}").unwrap_or_default(),
    }
    flush();
}

/// Waits until everything is written, for at most a second.
pub(crate) fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH);
    }
}

/// Lines that were lost since the start.
pub(crate) fn lost() -> Lost {
    QUEUE.get().map(|queue| queue.lost()).unwrap_or_default()
}

/// Lines that a rate left out since the start.
pub(crate) fn left_out() -> u64 {
    LEFT_OUT.load(Relaxed)
}

/// The thread of the log. It ends with the process.
fn write(mut writer: Writer<io::Stderr>) {
    let mut looked = Instant::now();
    loop {
        writer.turn(LOOK);
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            LIMITS.get().into_iter().flat_map(|limits| limits.left_out(looked)).for_each(tell);
        }
    }
}

fn tell(LeftOut { message, by, lines }: LeftOut) {
    LEFT_OUT.fetch_add(lines, Relaxed);
    tracing::warn!(caller = by, "{message}: … {lines} more");
}

/// Takes one line, in one piece.
#[derive(Debug)]
struct Line(Arc<Queue>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transport_is_quiet_unless_the_level_says_otherwise() {
        let directives = |level: &str| filter(level).unwrap().to_string();
        assert!(directives("info").contains("h2=error"), "{}", directives("info"));
        let debug = directives("info,h2=debug");
        assert!(debug.contains("h2=debug") && !debug.contains("h2=error"), "{debug}");
        assert!(matches!(filter("loud=very"), Err(LogError::Level { .. })));
    }
}
