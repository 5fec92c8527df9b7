//! What was typed: the command line as clap sees it, and nothing of what it means.

mod access;
mod audit;
mod events;
mod flows;
mod options;
mod policy;
mod selector;

use std::{error::Error, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use mos_text::{FlowName, Size, Span, TextError, mos};

pub(crate) use self::events::type_name;
pub use self::flows::{CountArgs, ExportArgs, ListArgs, Slow, TopArgs, WatchArgs};
pub use self::options::{OptionFlags, Overlap, Stop};
pub use self::policy::{ApplyArgs, CreatePolicyArgs, PolicyVerb};
pub use self::selector::{AddressMatch, Condition, Selector, Term};
pub use self::{
    access::{Access, CertsVerb, ContextAddArgs, ContextVerb, Folder, TokenVerb},
    audit::{AuditArgs, AuditVerb},
    events::EventsArgs,
};

/// Lists the TCP flows that mosd monitors and changes their options while they run.
#[derive(Debug, Parser)]
#[command(name = "mosctl", version, disable_help_subcommand = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const AFTER_HELP: &str = "\
Examples:
  mosctl list --port 443 --state established --limit 3
  mosctl setopt --flow tcp/10.0.0.1:43512-192.0.2.10:443 --clibuf 64KiB
  mosctl peek 00c004a900c901f2 --side client --all --raw > stream.bin
Topics: mosctl help exit-codes | filters | tuples";

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct Global {
    /// Where mosd is, and what TLS needs.
    #[command(flatten)]
    pub access: Access,
    /// Form of the output.
    #[arg(
        short,
        long,
        global = true,
        env = "MOSCTL_OUTPUT",
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub output: Format,
    /// Leaves the column titles out.
    #[arg(long, global = true)]
    pub no_headers: bool,
    /// When to colour; `NO_COLOR` is respected.
    #[arg(long, global = true, env = "MOSCTL_COLOR", value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Prints no notes on standard error, only warnings and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Shows each request as JSON on standard error.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Time for each request; streams have none unless this is given.
    #[arg(
        long,
        global = true,
        env = "MOSCTL_TIMEOUT",
        value_name = "DURATION",
        value_parser = positive_duration
    )]
    pub timeout: Option<Duration>,
    /// Time for connecting.
    #[arg(
        long,
        global = true,
        env = "MOSCTL_CONNECT_TIMEOUT",
        value_name = "DURATION",
        default_value = "3s",
        value_parser = positive_duration
    )]
    pub connect_timeout: Duration,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// More columns.
    Wide,
    /// One JSON document.
    Json,
    /// One JSON object on each line.
    Jsonl,
    /// YAML.
    Yaml,
    /// Names alone.
    Name,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Live flows.
    #[command(subcommand)]
    Flows(FlowsVerb),
    /// Lists flows; the same as `flows list`.
    List(ListArgs),
    /// Shows flows as they change; the same as `flows watch`.
    Watch(WatchArgs),
    /// Reads the options of a flow.
    Getopt(GetoptArgs),
    /// Changes options of flows while they run.
    Setopt(Box<SetoptArgs>),
    /// Puts back the options that a `setopt --selector` has replaced.
    Undo(UndoArgs),
    /// Shows buffered payload without consuming it.
    Peek(PeekArgs),
    /// Writes one side's stream as it grows, until the flow ends.
    Read(ReadArgs),
    /// Shows what happens to flows, as it happens, until Ctrl-C.
    Events(EventsArgs),
    /// What flows to come begin with.
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Says whether mosd is well: level, conditions with the next step, one row for each core.
    Status,
    /// Shows version, limits and features of mosd.
    Info,
    /// Shows who one is to mosd, how that is proven, and what one may do.
    Whoami,
    /// Shows who changed what and what was in force before, who read payload, who was denied.
    Audit(AuditArgs),
    /// Contexts: names for an endpoint and what TLS needs there.
    #[command(subcommand)]
    Context(ContextVerb),
    /// Certificates of a lab: a CA, a server, and those who call it.
    #[command(subcommand)]
    Certs(CertsVerb),
    /// Tokens, for callers without a certificate.
    #[command(subcommand)]
    Token(TokenVerb),
    /// Calls any method through server reflection.
    Call(CallArgs),
    /// Writes the completion script of a shell.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Prints the version of mosctl.
    Version,
    /// Explains a command or a topic: exit-codes, filters, tuples.
    Help {
        /// Command or topic.
        #[arg(value_name = "TOPIC")]
        topic: Vec<String>,
    },
}

/// What to do with flows.
#[derive(Debug, Subcommand)]
pub enum FlowsVerb {
    /// Lists flows, 100 unless told otherwise.
    List(ListArgs),
    /// Shows one flow with its counters.
    Get(GetArgs),
    /// Counts flows, in groups if asked to.
    Count(CountArgs),
    /// Shows the flows with the largest values of a field.
    Top(TopArgs),
    /// Writes every flow in one stream; for machines with `-o jsonl`.
    Export(ExportArgs),
    /// Shows the flows that are there, then every change, until Ctrl-C.
    Watch(WatchArgs),
}

/// `flows get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Handle or tuple, see `mosctl help tuples`.
    pub flow: FlowName,
}

/// `getopt`.
#[derive(Debug, Args)]
pub struct GetoptArgs {
    /// Handle or tuple, see `mosctl help tuples`.
    pub flow: FlowName,
    /// The raw form of `mtcp_getsockopt()`.
    #[command(flatten)]
    pub raw: RawTarget,
}

/// Which option the raw form means.
#[derive(Debug, Args)]
#[command(next_help_heading = "Raw form, as mtcp_setsockopt() takes it")]
pub struct RawTarget {
    /// Level: a number or `SOL_MONSOCKET`, which is also the default.
    #[arg(
        long,
        value_name = "N",
        requires = "optname",
        value_parser = mos::parse_level,
        allow_negative_numbers = true
    )]
    pub level: Option<i32>,
    /// Option: a number (9, 0x09) or a name (`MOS_CLIBUF`).
    #[arg(
        long,
        value_name = "N",
        value_parser = mos::parse_option,
        allow_negative_numbers = true
    )]
    pub optname: Option<i32>,
    /// The core (mctx) that is believed to own the flow; checked by the server.
    #[arg(long, value_name = "N", requires = "optname")]
    pub core: Option<i32>,
}

/// `setopt`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct SetoptArgs {
    /// Handle or tuple, see `mosctl help tuples`; may be repeated.
    #[arg(long, num_args = 1.., value_name = "FLOW")]
    #[arg(required_unless_present_any = ["selector", "file"])]
    #[arg(conflicts_with_all = ["selector", "file"])]
    pub flow: Vec<FlowName>,
    /// Every flow that this filter matches, see `mosctl help filters`; '*' for every flow.
    #[arg(long, value_name = "FILTER", conflicts_with_all = ["file", "optname", "etag"])]
    pub selector: Option<String>,
    /// With --selector: changes nothing if more flows match.
    #[arg(long, value_name = "N", default_value = "1000")]
    #[arg(conflicts_with_all = ["flow", "file"])]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub max_flows: u64,
    /// One `SetSockOptRequest` as JSON for each flow, from a file or - for standard input.
    #[arg(short, long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["OptionFlags", "optname", "optval", "etag"])]
    pub file: Option<String>,
    /// The options to set.
    #[command(flatten)]
    pub options: OptionFlags,
    /// The raw form of `mtcp_setsockopt()`.
    #[command(flatten)]
    pub raw: RawTarget,
    /// Value: an int (four bytes, little endian), `MOS_SIDE_BOTH`, or bytes (`0x00000100`).
    #[arg(
        long,
        value_name = "V",
        requires = "optname",
        value_parser = RawValue::parse,
        allow_hyphen_values = true,
        conflicts_with = "OptionFlags"
    )]
    pub optval: Option<RawValue>,
    /// Changes nothing if the options changed since this etag was read.
    #[arg(long)]
    pub etag: Option<String>,
    /// Checks everything, changes nothing, answers as if done.
    #[arg(long)]
    pub dry_run: bool,
    /// Does not ask before what cannot be undone.
    #[arg(long)]
    pub yes: bool,
}

/// `undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// What `setopt --selector` printed, at most 10 minutes ago.
    pub token: String,
}

/// The value of a raw option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawValue(pub Vec<u8>);

impl RawValue {
    fn parse(text: &str) -> Result<Self, TextError> {
        mos::parse_value(text).map(Self)
    }
}

/// One side's receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// The client's buffer, which holds what the server sent.
    Client,
    /// The server's buffer, which holds what the client sent.
    Server,
}

/// `peek`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct PeekArgs {
    /// Handle or tuple, see `mosctl help tuples`.
    pub flow: FlowName,
    /// Whose receive buffer: the client's holds what the server sent.
    #[arg(long)]
    pub side: Side,
    /// Stream offset to begin at; 0 is the byte after the SYN. Without it: the oldest held byte.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub offset: Option<i64>,
    /// How much to show.
    #[arg(long, value_name = "SIZE", default_value = "4096", value_parser = positive_size)]
    pub bytes: u64,
    /// Writes a hexadecimal dump, as without any of these.
    #[arg(long, conflicts_with = "raw")]
    pub hex: bool,
    /// Writes the bytes as they are.
    #[arg(long)]
    pub raw: bool,
    /// Writes everything held, across holes, up to the newest byte at the start.
    #[arg(long, conflicts_with = "bytes")]
    pub all: bool,
}

/// `read`.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// Handle or tuple, see `mosctl help tuples`.
    pub flow: FlowName,
    /// Whose receive buffer: the client's receives what the server sent.
    #[arg(long)]
    pub side: Side,
    /// Stream offset to begin at; 0 is the byte after the SYN. Without it: the oldest held byte.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub offset: Option<i64>,
    /// Ends after this much.
    #[arg(long, value_name = "SIZE", value_parser = positive_size)]
    pub max_bytes: Option<u64>,
    /// Writes the bytes to a file.
    #[arg(short = 'O', long, value_name = "FILE")]
    pub output_file: Option<PathBuf>,
    /// Ends with exit code 12 if anything of the stream is missing.
    #[arg(long)]
    pub fail_on_loss: bool,
}

/// `call`.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// Service and method, for example mos.v1.FlowService/ListFlows.
    pub method: String,
    /// Request as proto3 JSON, @FILE, or - for standard input; several documents for a stream.
    #[arg(short, long, value_name = "JSON", default_value = "{}", allow_hyphen_values = true)]
    pub data: String,
}

impl CallArgs {
    /// The file that the request stands in, if it stands in one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.data.strip_prefix('@')
    }
}

fn positive_duration(text: &str) -> Result<Duration, Box<dyn Error + Send + Sync>> {
    match text.parse()? {
        Span(Duration::ZERO) => Err("a time-out must be longer than 0s".into()),
        Span(duration) => Ok(duration),
    }
}

fn positive_size(text: &str) -> Result<u64, Box<dyn Error + Send + Sync>> {
    match text.parse()? {
        Size(0) => Err("0 bytes show nothing".into()),
        Size(bytes) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, error::ErrorKind};

    use super::*;

    fn parse(line: &str) -> Result<Cli, ErrorKind> {
        Cli::try_parse_from(line.split(' ')).map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_may_stand_anywhere() {
        let cli = parse("mosctl flows list -o jsonl --timeout 2s --endpoint [::1]:50551").unwrap();
        assert_eq!(cli.global.output, Format::Jsonl);
        assert_eq!(cli.global.timeout, Some(Duration::from_secs(2)));
        assert_eq!(cli.global.access.endpoint.unwrap().to_string(), "[::1]:50551");
        assert_eq!(cli.global.connect_timeout, Duration::from_secs(3));
    }

    #[test]
    fn the_two_forms_of_setopt_exclude_each_other() {
        let raw = "mosctl setopt --flow 00c004a900c901f2 --optname MOS_CLIBUF --optval";
        parse(&format!("{raw} 65536")).unwrap();
        parse(&format!("{raw} -1")).unwrap();
        assert_eq!(
            parse(&format!("{raw} 1 --clibuf 64KiB")).unwrap_err(),
            ErrorKind::ArgumentConflict
        );
        let line = "mosctl setopt --flow 00c004a900c901f2 --optval 1";
        assert_eq!(parse(line).unwrap_err(), ErrorKind::MissingRequiredArgument);
    }

    #[test]
    fn several_flows_may_be_named_at_once_or_one_by_one() {
        for line in [
            "mosctl setopt --clibuf 0 --flow 00c004a900c901f2 00400001df3a0001",
            "mosctl setopt --flow 00c004a900c901f2 --flow 00400001df3a0001 --clibuf 0",
        ] {
            let Verb::Setopt(setopt) = parse(line).unwrap().verb else { panic!("{line}") };
            assert_eq!(setopt.flow.len(), 2);
        }
    }

    #[test]
    fn bad_values_are_refused_before_anything_is_sent() {
        for line in [
            "mosctl setopt --flow 00c004a900c901f2 --clibuf 64k",
            "mosctl setopt --flow nothing --clibuf 64KiB",
            "mosctl flows list --limit 0",
            "mosctl flows list --timeout 0s",
            "mosctl events --type flow",
            "mosctl events --limit 0",
            "mosctl peek 00c004a900c901f2 --side client --offset=-1",
            "mosctl peek 00c004a900c901f2 --side client --bytes 0",
            "mosctl read 00c004a900c901f2 --side client --max-bytes 0",
            "mosctl getopt 00c004a900c901f2 --optname MOS_NONE",
        ] {
            assert_eq!(parse(line).unwrap_err(), ErrorKind::ValueValidation, "{line}");
        }
        for line in [
            "mosctl flows list --all --limit 5",
            "mosctl peek 00c004a900c901f2 --side client --hex --raw",
        ] {
            assert_eq!(parse(line).unwrap_err(), ErrorKind::ArgumentConflict, "{line}");
        }
    }
}
