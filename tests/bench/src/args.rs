//! The command line.

use std::{fmt, path::PathBuf};

use clap::{Parser, ValueEnum};
use mos_bench::mode::{Mode, Verification};

/// Measures what the stack needs for a packet, next to the least loop that could do the same work.
///
/// Without arguments: the whole suite. Lists are separated by commas; numbers may end in k or m.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, Parser)]
#[command(name = "mos-bench", version)]
pub(crate) struct Args {
    /// Traffics, as docs/explanation/performance.md defines them
    #[arg(long, value_delimiter = ',')]
    pub(crate) traffic: Vec<Kind>,
    /// Captures, each given again and again to a stack that has forgotten its flows
    #[arg(long, value_name = "FILE")]
    pub(crate) capture: Vec<PathBuf>,
    /// Payloads of a data segment, in bytes, where the traffic has a choice
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(0..=1460))]
    pub(crate) payload: Vec<u16>,
    /// Flows open at once, where the traffic has a choice
    #[arg(long, value_delimiter = ',', value_parser = count)]
    pub(crate) flows: Vec<u32>,
    /// What is done with each packet
    #[arg(long, value_delimiter = ',')]
    pub(crate) mode: Vec<Mode>,
    /// Where the packets come from
    #[arg(long, value_delimiter = ',')]
    pub(crate) source: Vec<Source>,
    /// Verification of checksums
    #[arg(long, value_delimiter = ',')]
    pub(crate) checksums: Vec<Verification>,
    /// Workers, each with a CPU and an equal share of the flows
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) workers: Vec<u16>,
    /// Memory for prepared frames, in MiB, for each worker
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..2048))]
    pub(crate) arena_mib: u32,
    /// A part of the suite, measured for a shorter time: about two minutes
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure nothing: write a capture of so many frames of the first traffic to FILE, for others
    /// to be measured on
    #[arg(long, value_name = "FILE", requires = "frames")]
    pub(crate) write_capture: Option<PathBuf>,
    /// Frames of the capture
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) frames: Option<u32>,
    /// Write the rows to a file, too, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Measure in this process, and write each row as a line of JSON
    #[arg(long, hide = true)]
    pub(crate) here: bool,
}

/// A traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Steady state
    T1,
    /// T1 with 2 % of the data segments out of order
    T2,
    /// T2 with 1 % of the data segments lost, and 1 % twice
    T2Loss,
    /// Connection storm
    T3,
    /// Connection storm; all flows close together
    T3Together,
    /// Mixed sizes, delayed acknowledgements, 2 % out of order
    T4,
    /// All flows open at once
    T5,
    /// SYNs with random tuples
    T6Syn,
    /// SYN and SYN/ACK with random tuples
    T6SynAck,
    /// Acknowledgements without a flow
    T6Ack,
    /// Zeros, from DPDK's `net_null`; the payload says how long the frames are
    Null,
}

/// Where packets come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// Frames prepared in memory
    Memory,
    /// DPDK's `net_pcap`, which repeats a capture of the traffic for ever
    Pcap,
    /// DPDK's `net_ring`, which another thread fills with frames of the traffic
    Ring,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Pcap => "pcap",
            Self::Ring => "ring",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::T1 => "T1",
            Self::T2 => "T2",
            Self::T2Loss => "T2 loss",
            Self::T3 => "T3",
            Self::T3Together => "T3 together",
            Self::T4 => "T4",
            Self::T5 => "T5",
            Self::T6Syn => "T6 SYN",
            Self::T6SynAck => "T6 SYN, SYN/ACK",
            Self::T6Ack => "T6 ACK",
            Self::Null => "zeros",
        })
    }
}

/// A number of flows: 1 to 4 millions.
fn count(text: &str) -> Result<u32, String> {
    const MAX: u32 = 4_000_000;
    let lower = text.to_ascii_lowercase();
    let factor = match lower.chars().last() {
        Some('k') => 1000,
        Some('m') => 1_000_000,
        Some(_) | None => 1,
    };
    let digits = lower.trim_end_matches(['k', 'm']);
    let number: u32 = digits.parse().map_err(|error| format!("{error}"))?;
    let number = number.checked_mul(factor).filter(|number| (1..=MAX).contains(number));
    number.ok_or_else(|| format!("not in 1..={MAX}"))
}
