//! Assembles the process: command line, configuration, log, dataplane, and the services on their
//! listeners. The only room that sees all others.

pub mod args;
mod audit;
mod check;
pub mod config;
mod ending;
mod failure;
mod heap;
mod logging;
mod plan;
mod policies;
mod policy_file;
mod reload;
mod roles;
mod run;
pub mod serve;
mod tls;
mod upkeep;

pub use self::{check::check, failure::Failure, run::run};
use crate::{log, panics};

/// Prepares the process for the worst: a panic is told, and what it ends is decided.
pub fn begin() {
    panics::install(log::say);
}

/// Waits for the last lines of the log, for at most a second.
pub fn end() {
    log::flush();
}
