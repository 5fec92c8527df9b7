//! The log: structured lines on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::boot::config::{Log, LogFormat};

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
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
}

/// Reads the level, or directives by target.
///
/// # Errors
///
/// When they cannot be read.
pub(super) fn filter(log: &Log) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(&log.level)
        .map_err(|error| LogError::Level { level: log.level.clone(), error })
}

/// Sends the process's log to stderr from now on.
///
/// # Errors
///
/// When the level cannot be read, or a log is set up already.
pub(super) fn start(log: &Log) -> Result<(), LogError> {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter(log)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|_already| LogError::Twice)
}
