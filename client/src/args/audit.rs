//! The command line of `audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mos_text::Span;

/// `audit`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AuditArgs {
    /// Entries of this time, up to now.
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub since: Span,
    /// Only entries of this principal, as `mosctl whoami` tells one's own.
    #[arg(long, value_name = "NAME")]
    pub principal: Option<String>,
    /// Only entries of this method, such as `SetSockOpt`.
    #[arg(long, value_name = "METHOD")]
    pub method: Option<String>,
    /// Something else to do with an audit.
    #[command(subcommand)]
    pub verb: Option<AuditVerb>,
}

/// What else to do with an audit.
#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// Looks whether files are whole, each line chained to the one before; asks no server.
    Verify {
        /// All files of one audit, in any order.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}
