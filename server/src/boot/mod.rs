//! Assembles the process: command line, configuration, log, and the services on their listeners.

pub mod args;
pub mod config;
pub mod logging;
pub mod serve;
