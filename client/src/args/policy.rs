//! The command line of `policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mos_text::{FlowName, PRIORITY_DEFAULT, Span};

use super::{OptionFlags, positive_duration};

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Lists the policies in match order: the first that fits a flow decides.
    List,
    /// Shows one policy.
    Get {
        /// Its name.
        name: String,
    },
    /// Adds a policy.
    Create(Box<CreatePolicyArgs>),
    /// Removes a policy.
    Delete {
        /// Its name.
        name: String,
        /// Checks everything, changes nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Replaces all policies by those of a file.
    Apply(ApplyArgs),
    /// Writes the policies as a file for `apply`.
    Export,
    /// Says which policy a flow would begin with, and what the others fail by.
    Explain {
        /// Tuple, client first, or the handle of a live flow; see `mosctl help tuples`.
        flow: FlowName,
    },
    /// Lists the sets of policies that are kept.
    History,
    /// Returns to an older set, as a new one.
    Rollback {
        /// Its number, as `history` shows it.
        generation: u64,
        /// Checks everything, changes nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Confirms a set that was applied with --confirm-within.
    Confirm {
        /// Its number.
        generation: u64,
        /// Returns to the set before at once, instead.
        #[arg(long)]
        cancel: bool,
    },
}

/// `policy create`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct CreatePolicyArgs {
    /// Its name: lower-case letters, digits and hyphens.
    pub name: String,
    /// Which flows: a filter of client, server and VLAN, see `mosctl help filters`; * takes all.
    #[arg(long = "match", value_name = "FILTER")]
    pub filter: String,
    /// Lower goes first.
    #[arg(long, value_name = "N", default_value_t = PRIORITY_DEFAULT)]
    pub priority: u16,
    /// What the flows begin with.
    #[command(flatten)]
    pub options: OptionFlags,
    /// Does not monitor the flows at all.
    #[arg(long, conflicts_with = "OptionFlags")]
    pub no_monitor: bool,
    /// Free text for listings.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub comment: String,
    /// Removes the policy after this time.
    #[arg(long, value_name = "DURATION")]
    pub expires_in: Option<Span>,
    /// Checks everything, changes nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// `policy apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The file, in TOML, as `policy export` writes one; - reads standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// Changes nothing if the set changed since this etag was read.
    #[arg(long)]
    pub etag: Option<String>,
    /// Returns to the set before unless `policy confirm` comes within this time.
    #[arg(long, value_name = "DURATION", value_parser = positive_duration)]
    pub confirm_within: Option<std::time::Duration>,
    /// Says what would change, changes nothing.
    #[arg(long)]
    pub dry_run: bool,
}
