//! The command line.

use clap::{Parser, ValueEnum};
use mos_bench::mode::{Mode, Verification};

/// Measures what the stack needs for a packet, next to the least loop that could do the same work.
///
/// Lists are separated by commas; numbers may end in k or m.
#[derive(Debug, Parser)]
#[command(name = "mos-bench", version)]
pub(crate) struct Args {
    /// Traffics, as BENCHMARKS.md defines them
    #[arg(long, value_delimiter = ',', default_value = "t1")]
    pub(crate) traffic: Vec<Kind>,
    /// Payloads of a data segment, in bytes, where the traffic has a choice
    #[arg(long, value_delimiter = ',', default_value = "6,512,1460",
          value_parser = clap::value_parser!(u16).range(0..=1460))]
    pub(crate) payload: Vec<u16>,
    /// Flows open at once, where the traffic has a choice
    #[arg(long, value_delimiter = ',', default_value = "100,1k,10k,100k,1m", value_parser = count)]
    pub(crate) flows: Vec<u32>,
    /// What is done with each packet
    #[arg(long, value_delimiter = ',', default_value = "rx,parse,track,reassemble,read")]
    pub(crate) mode: Vec<Mode>,
    /// Verification of checksums
    #[arg(long, value_delimiter = ',', default_value = "on")]
    pub(crate) checksums: Vec<Verification>,
    /// Memory for prepared frames, in MiB
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..4096))]
    pub(crate) arena_mib: u32,
    /// Measure for a shorter time, after a shorter warm-up
    #[arg(long)]
    pub(crate) quick: bool,
}

/// A traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Steady state
    T1,
}

/// A number of flows: 1 to 4 millions.
fn count(text: &str) -> Result<u32, String> {
    const MAX: u32 = 4_000_000;
    let (digits, factor) = match text.to_ascii_lowercase() {
        text if text.ends_with('k') => (text, 1000),
        text if text.ends_with('m') => (text, 1_000_000),
        text => (text, 1),
    };
    let number: u32 = digits
        .trim_end_matches(['k', 'm'])
        .parse()
        .map_err(|error| format!("{text:?} is no number: {error}"))?;
    let number = number.checked_mul(factor).filter(|number| (1..=MAX).contains(number));
    number.ok_or_else(|| format!("{text} is not in 1..={MAX}"))
}
