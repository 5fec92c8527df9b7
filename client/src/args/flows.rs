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
