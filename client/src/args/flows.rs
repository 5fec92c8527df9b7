//! The command lines of `flows`: what is done with many flows at once.

use clap::Args;

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
