//! The options of a flow as flags of `setopt`, and the message that they make.

use clap::{Args, Command, ValueEnum};
use mos_proto::v1::{FlowOptions, OverlapPolicy, StopScope};
use mos_text::Size;

/// The options to set; at least one, unless the raw form is given.
#[derive(Debug, Args)]
pub struct OptionFlags {
    /// Receive buffer of the emulated client, which holds what the server sent; 0 disables it.
    #[arg(long, value_name = "SIZE")]
    pub clibuf: Option<Size>,
    /// Receive buffer of the emulated server, which holds what the client sent; 0 disables it.
    #[arg(long, value_name = "SIZE")]
    pub svrbuf: Option<Size>,
    /// Which copy of overlapping bytes the client's buffer keeps.
    #[arg(long, value_name = "POLICY")]
    pub client_overlap: Option<Overlap>,
    /// Which copy of overlapping bytes the server's buffer keeps.
    #[arg(long, value_name = "POLICY")]
    pub server_overlap: Option<Overlap>,
    /// Stops monitoring a side for good.
    #[arg(long, value_name = "SIDE")]
    pub stop: Option<Stop>,
}

/// Which copy of overlapping bytes is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Overlap {
    /// The earlier arrival.
    First,
    /// The later arrival, until the receiver acknowledges one.
    Last,
    /// What a Linux receiver delivers.
    Linux,
}

/// Which sides are no longer monitored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stop {
    /// The client's side.
    Client,
    /// The server's side.
    Server,
    /// Both sides.
    Both,
}

impl OptionFlags {
    /// The options given, as the API takes them.
    #[must_use]
    pub fn message(&self) -> FlowOptions {
        let bytes = |size: Size| i64::try_from(size.0).unwrap_or(i64::MAX);
        let overlap = |policy| match policy {
            Overlap::First => OverlapPolicy::First.into(),
            Overlap::Last => OverlapPolicy::Last.into(),
            Overlap::Linux => OverlapPolicy::Linux.into(),
        };
        let stop = |scope| match scope {
            Stop::Client => StopScope::Client.into(),
            Stop::Server => StopScope::Server.into(),
            Stop::Both => StopScope::Both.into(),
        };
        FlowOptions {
            client_buffer_bytes: self.clibuf.map(bytes),
            server_buffer_bytes: self.svrbuf.map(bytes),
            client_overlap: self.client_overlap.map(overlap),
            server_overlap: self.server_overlap.map(overlap),
            stop_monitoring: self.stop.map(stop),
        }
    }

    /// The flags, for messages: `--clibuf, --svrbuf, ...`.
    #[must_use]
    pub fn names() -> String {
        let command = Self::augment_args(Command::new(""));
        let flags = command.get_arguments().filter_map(|flag| flag.get_long());
        flags.map(|flag| format!("--{flag}")).collect::<Vec<_>>().join(", ")
    }
}
