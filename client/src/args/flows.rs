//! The command lines of `flows`: what is done with many flows at once.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mos_proto::v1::SlowPolicy;

use super::Selector;

/// `flows list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Which flows.
    #[command(flatten)]
    pub selector: Selector,
    /// Lists every flow, page by page.
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Lists at most this many flows.
    #[arg(
        long,
        value_name = "N",
        default_value = "100",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub limit: u64,
}

/// `flows count`.
#[derive(Debug, Args)]
pub struct CountArgs {
    /// Which flows.
    #[command(flatten)]
    pub selector: Selector,
    /// Counts in groups by this field of filters, such as server.port; may be given twice.
    #[arg(long, value_name = "FIELD", visible_alias = "group-by")]
    pub by: Vec<String>,
}

/// `flows top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Which flows.
    #[command(flatten)]
    pub selector: Selector,
    /// The field of filters whose largest values are shown, such as `buffered_bytes` or age.
    #[arg(long, value_name = "FIELD", default_value = "payload_bytes")]
    pub by: String,
    /// How many flows.
    #[arg(long, value_name = "N", default_value = "20")]
    #[arg(value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub limit: i32,
}

/// `flows export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which flows.
    #[command(flatten)]
    pub selector: Selector,
    /// Names, addresses, states and options alone, without counters.
    #[arg(long)]
    pub basic: bool,
}

/// `flows watch`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct WatchArgs {
    /// Which flows: by addresses, ports, VLAN and core.
    #[command(flatten)]
    pub selector: Selector,
    /// Only changes, not the flows that are there.
    #[arg(long)]
    pub updates_only: bool,
    /// Goes on where the last watch with this file has ended, as far as mosd knows what happened
    /// since; else begins with the flows that are there. The file has the last bookmark.
    #[arg(long, value_name = "FILE", conflicts_with = "updates_only")]
    pub resume: Option<PathBuf>,
    /// What mosd does when this reads too slowly.
    #[arg(long, value_name = "POLICY", default_value = "coalesce")]
    pub slow: Slow,
    /// Ends after this many lines.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Ends with exit code 12 as soon as changes are lost.
    #[arg(long)]
    pub fail_on_loss: bool,
}

/// What becomes of a slow reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Slow {
    /// Of each flow, only the newest change that waits is kept.
    Coalesce,
    /// What finds no room is lost, and counted.
    Drop,
    /// The stream ends.
    Disconnect,
}

impl Slow {
    /// As the API has it.
    #[must_use]
    pub const fn policy(self) -> SlowPolicy {
        match self {
            Self::Coalesce => SlowPolicy::Coalesce,
            Self::Drop => SlowPolicy::Drop,
            Self::Disconnect => SlowPolicy::Disconnect,
        }
    }
}
