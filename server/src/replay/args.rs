//! The command line of `mosd replay`.

use std::{error::Error, path::PathBuf, time::Duration};

use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use mos_dataplane::replay::ReplayConfig;
use mos_stack::{
    Limits, OverlapPolicy, Sides, SockOpts, Timeouts, TunnelPorts, Tunnels,
    limits::BUFFER_BYTES_CEILING, round_up_to_block,
};
use mos_text::{Size, Span};

use crate::{filter::Filter, words::bounds::workers};

/// No output depends on it, and an attack on the hash of a replay harms only the replay.
const HASH_SEED: u64 = 0;

/// How long a closed flow waits for late packets before its record is printed, where somebody
/// follows.
const TIME_WAIT_OF_FOLLOWED: Duration = Duration::from_secs(5);

/// Replay a capture and print one record for each TCP flow.
///
/// The capture's own times are the clock, also where they run backwards; a time that is more than
/// an hour ahead of both its neighbours is a wrong one. A record holds what the flow's receive
/// buffers hold when the flow, or the capture, ends. The buffers are large, and silence ends no
/// flow, so that they are the whole streams of whole connections; set limits to see what a live
/// service would hold.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that users set")]
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// Capture to read: pcap or pcapng, of Ethernet, Linux cooked (SLL, SLL2), raw IP or loopback
    /// (NULL, LOOP) frames; each interface of a pcapng may have its own kind. May be compressed
    /// (gzip, zstd, xz, bzip2, lz4), whatever its name, and may be a pipe; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Capacity of each client's receive buffer, which holds what the server sent.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = buffer_size)]
    pub client_buffer: Size,
    /// Capacity of each server's receive buffer, which holds what the client sent.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = buffer_size)]
    pub server_buffer: Size,
    /// Which copy of a byte is kept where segments overlap: the first that came, the last that
    /// came before the receiver acknowledged one, or the one that a Linux receiver delivers.
    #[arg(long, value_name = "POLICY", default_value = "first", value_parser = overlap_policy())]
    pub overlap: OverlapPolicy,
    /// Worker threads, among which the flows are spread.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = workers())]
    pub workers: u16,
    /// Memory for all receive buffers together; it is taken as data arrive.
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub pool: Size,
    /// Flows tracked at once by each worker.
    #[arg(long, value_name = "N", default_value_t = 262_144)]
    pub flows: u32,
    /// End a flow whose handshake is not complete after this silence, instead of never.
    #[arg(long, value_name = "SPAN")]
    pub half_open_timeout: Option<Span>,
    /// End an established flow after this silence, instead of never.
    #[arg(long, value_name = "SPAN")]
    pub idle_timeout: Option<Span>,
    /// End a flow that began to close after this silence, instead of never.
    #[arg(long, value_name = "SPAN")]
    pub closing_timeout: Option<Span>,
    /// Keep a closed or reset flow for this long: later packets count as its own. Without it, until
    /// its room is needed.
    #[arg(long, value_name = "SPAN")]
    pub time_wait: Option<Span>,
    /// Verify the checksums of IPv4 and TCP, and ignore packets with a wrong one: captures made on
    /// a sender often have wrong ones, because its interface computes them later.
    #[arg(long)]
    pub verify_checksums: bool,
    /// Open VXLAN that is sent to this UDP port, too; up to three of them. 4789 is one always.
    #[arg(long = "vxlan-port", value_name = "PORT", conflicts_with = "no_tunnels",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub vxlan_ports: Vec<u16>,
    /// Open no tunnels: what is in them is left out.
    #[arg(long)]
    pub no_tunnels: bool,
    /// Ignore connections whose SYN the capture does not hold.
    #[arg(long)]
    pub ignore_midstream: bool,
    /// Write every event to this file, one JSON object per line, in the order of capture time.
    ///
    /// Events of new data are told once for each burst that a worker reads: their number depends
    /// on the number of workers, and nothing else does. `-` prints them in place of the records.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Print each record when its flow ends, in that order, for a pipe that goes on. A closed flow
    /// ends after 5 s then, unless --time-wait says otherwise, and SIGINT is no failure.
    #[arg(long, conflicts_with_all = ["events", "preload", "summary", "write_streams"])]
    pub follow: bool,
    /// Tell flows with equal addresses and ports apart by their VLAN.
    #[arg(long)]
    pub vlan_in_key: bool,
    /// Load all frames into memory first, and print how fast they were handled, in place of the
    /// records: packets, bytes, CPU nanoseconds for a packet, and the rates that a second of CPU
    /// time would see. Both streams of every flow are read when it ends. Takes as much memory as
    /// the capture has bytes.
    #[arg(long, conflicts_with = "events")]
    pub preload: bool,
    /// Handle the preloaded frames so many times, each time without any flows at the beginning.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "preload",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Print only flows that match this filter when they end, and write only their streams; `age`
    /// and `idle` go by the capture's own times. The language is that of `mosctl flows list`.
    #[arg(long, value_name = "FILTER", conflicts_with = "preload", value_parser = filter)]
    pub filter: Option<Filter>,
    /// Write each direction of each flow to a file of its own in this folder, which must be empty
    /// or missing: the bytes of which the record has the digest. The record tells the file, and
    /// `index.jsonl` in the folder has all records.
    #[arg(long, value_name = "DIR", conflicts_with = "preload")]
    pub write_streams: Option<PathBuf>,
    /// Files that are written, at most; what is left out is told.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, requires = "write_streams")]
    pub streams_files: u64,
    /// Bytes that are written to files, at most.
    #[arg(long, value_name = "SIZE", default_value = "64GiB", requires = "write_streams")]
    pub streams_bytes: Size,
    /// Print one summary in place of the records: packets by outcome, flows by how they ended, and
    /// the hosts with most stream bytes.
    #[arg(long, conflicts_with = "preload")]
    pub summary: bool,
    /// Form of the records.
    #[arg(short, long, value_name = "FORM", default_value = "jsonl")]
    pub output: Output,
}

/// Form of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// One JSON object per line, for machines.
    Jsonl,
    /// Comma-separated values with a line of names, for spreadsheets.
    Csv,
    /// A table, for people.
    Table,
}

impl ReplayArgs {
    /// What the dataplane is to do.
    ///
    /// The timeouts of a live service free memory for new flows; here they would only cut
    /// connections of the capture in two. Hence none, unless the user wants one: a flow of a
    /// capture ends by what the capture holds.
    #[must_use]
    pub fn config(&self) -> ReplayConfig {
        let or_never = |span: Option<Span>| span.map_or(Duration::MAX, |span| span.0);
        let blocks = |size: Size| round_up_to_block(size.0).unwrap_or(size.0);
        let buffer_bytes =
            Sides { client: blocks(self.client_buffer), server: blocks(self.server_buffer) };
        let limits = Limits {
            flows_max: self.flows,
            half_open_max: self.flows,
            pool_bytes: self.pool.0 / u64::from(self.workers.max(1)),
            buffer_bytes_max: buffer_bytes.client.max(buffer_bytes.server),
            defaults: SockOpts {
                buffer_bytes,
                overlap: Sides::both(self.overlap),
                ..SockOpts::default()
            },
            timeouts: Timeouts {
                half_open: or_never(self.half_open_timeout),
                idle: or_never(self.idle_timeout),
                closing: or_never(self.closing_timeout),
                time_wait: self.time_wait().map_or(Duration::MAX, |span| span.0),
                ..Timeouts::default()
            },
            verify_checksums: self.verify_checksums,
            adopt_midstream: !self.ignore_midstream,
            vlan_in_key: self.vlan_in_key,
            tunnels: self.tunnels(),
            ..Limits::default()
        };
        ReplayConfig { workers: self.workers, limits, seed: HASH_SEED }
    }

    /// How long a closed flow is kept; `None`: until its room is needed.
    fn time_wait(&self) -> Option<Span> {
        self.time_wait.or_else(|| self.follow.then_some(Span(TIME_WAIT_OF_FOLLOWED)))
    }

    /// Whether events are printed in place of the records.
    pub(super) fn prints_events(&self) -> bool {
        self.events.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }

    /// What the words of the command line cannot mean together.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        if self.follow && self.output == Output::Table {
            return Some("a table has an end: --follow prints jsonl or csv");
        }
        if self.summary && self.prints_events() {
            return Some("--events - and --summary both print in place of the records");
        }
        None
    }
}

impl ReplayArgs {
    /// Which tunnels are opened. Ports for which there is no room are refused while they are read.
    fn tunnels(&self) -> Tunnels {
        if self.no_tunnels {
            return Tunnels::NONE;
        }
        let usual = Tunnels::default();
        let add = |known: TunnelPorts, port: &u16| known.with(*port).unwrap_or(known);
        Tunnels { vxlan: self.vxlan_ports.iter().fold(usual.vxlan, add), ..usual }
    }
}

/// Reads the word of a policy, one of those listed in the help.
fn overlap_policy() -> impl TypedValueParser<Value = OverlapPolicy> {
    PossibleValuesParser::new(OverlapPolicy::ALL.map(OverlapPolicy::as_str)).map(|word| {
        let named = OverlapPolicy::ALL.into_iter().find(|policy| policy.as_str() == word);
        named.unwrap_or_default()
    })
}

fn filter(text: &str) -> Result<Filter, String> {
    Filter::parse(text).map_err(|error| format!("{} (column {})", error.message, error.column))
}

fn buffer_size(text: &str) -> Result<Size, Box<dyn Error + Send + Sync>> {
    let size: Size = text.parse()?;
    if size.0 > BUFFER_BYTES_CEILING {
        return Err(format!("{size} is above the limit of {}", Size(BUFFER_BYTES_CEILING)).into());
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: ReplayArgs,
    }

    fn parse(words: &[&str]) -> Result<ReplayArgs, String> {
        Line::try_parse_from(std::iter::once(&"replay").chain(words))
            .map(|line| line.args)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_hold_whole_streams() {
        let ReplayConfig { workers, limits, .. } = parse(&["x.pcap"]).unwrap().config();
        assert_eq!(workers, 1);
        assert_eq!(limits.defaults.buffer_bytes, Sides::both(64 << 20));
        assert_eq!(limits.buffer_bytes_max, 64 << 20);
        assert_eq!(limits.defaults.overlap, Sides::both(OverlapPolicy::First));
        let Timeouts { half_open, idle, closing, time_wait, .. } = limits.timeouts;
        assert_eq!([half_open, idle, closing, time_wait], [Duration::MAX; 4]);
    }

    #[test]
    fn sizes_are_rounded_up_to_blocks_and_the_pool_is_shared_by_the_workers() {
        let words =
            ["x", "--client-buffer=3KiB", "--server-buffer=0", "--pool=64MiB", "--workers=4"];
        let limits = parse(&words).unwrap().config().limits;
        assert_eq!(limits.defaults.buffer_bytes, Sides { client: 4096, server: 0 });
        assert_eq!(limits.pool_bytes, 16 << 20);
    }

    #[test]
    fn repeats_are_of_preloaded_frames_which_have_no_events() {
        assert_eq!(parse(&["x", "--preload", "--repeat", "3"]).unwrap().repeat, 3);
        assert!(parse(&["x", "--repeat", "3"]).unwrap_err().contains("--preload"));
        assert!(parse(&["x", "--preload", "--events", "y"]).unwrap_err().contains("--events"));
        assert!(parse(&["x", "--preload", "--repeat", "0"]).unwrap_err().contains("1.."));
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_limit() {
        let above = parse(&["x", "--client-buffer", "257MiB"]).unwrap_err();
        assert!(above.contains("257MiB is above the limit of 256MiB"), "{above}");
        let ambiguous = parse(&["x", "--server-buffer", "64k"]).unwrap_err();
        assert!(ambiguous.contains("64KiB") && ambiguous.contains("64kB"), "{ambiguous}");
        let workers = parse(&["x", "--workers", "513"]).unwrap_err();
        assert!(workers.contains("1..=512"), "{workers}");
        assert!(parse(&["x", "--overlap", "newest"]).unwrap_err().contains("first, last, linux"));
    }
}
