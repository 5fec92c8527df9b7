//! The log as the configuration wants it.

use tracing_subscriber::EnvFilter;

use crate::{
    boot::config::Log,
    log::{self, LogError},
};

/// Reads the level, or directives by target.
///
/// # Errors
///
/// When they cannot be read.
pub(super) fn filter(log: &Log) -> Result<EnvFilter, LogError> {
    log::filter(&log.level)
}

/// Sends the process's log to stderr from now on.
///
/// # Errors
///
/// When the level cannot be read, or a log is set up already.
pub(super) fn start(log: &Log) -> Result<(), LogError> {
    log::start(&log.level, log.format)
}
