//! The log as the configuration wants it.

use tracing_subscriber::EnvFilter;

use crate::{
    boot::{config::Log, reload::Part},
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

/// The level of the log, as a reload changes it.
pub(super) fn part() -> Part {
    Part::new("log.level", |config| {
        let filter = filter(&config.log).map_err(|error| error.to_string())?;
        Ok(Box::new(move || log::refilter(filter)))
    })
}
