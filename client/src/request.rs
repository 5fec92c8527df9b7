//! Converts parsed arguments to requests of the API.

use mos_proto::v1::{
    ApplySockOptRequest, CountFlowsRequest, ExportFlowsRequest, FlowOptions, FlowView,
    GetFlowRequest, GetSockOptRequest, ListFlowsRequest, PeekFlowRequest, RankFlowsRequest,
    RawSockOpt, ReadFlowRequest, SetSockOptRequest, Side, TcpState, WatchEventsRequest,
    WatchFlowsRequest, set_sock_opt_request::Change,
};
use mos_text::{
    FlowName,
    mos::{MOS_CLIBUF, MOS_STOP_MON, MOS_SVRBUF, SOL_MONSOCKET},
};

use crate::{
    args::{
        self, AddressMatch, Condition, CountArgs, EventsArgs, ExportArgs, Format, ListArgs,
        OptionFlags, RawTarget, Selector, SetoptArgs, Term, TopArgs, WatchArgs,
    },
    error::Failure,
    raw_option,
};

/// Largest page of the API, in flows.
const PAGE_FLOWS_MAX: i32 = 1000;
/// Largest answer to one peek, in bytes.
const PEEK_BYTES_MAX: u64 = 1 << 20;

/// The first page of a list. Requests for later pages differ only in their token.
#[must_use]
pub fn list_flows(args: &ListArgs, format: Format) -> ListFlowsRequest {
    let limit = i32::try_from(args.limit).unwrap_or(i32::MAX);
    ListFlowsRequest {
        filter: filter(&args.selector),
        page_size: if args.all { PAGE_FLOWS_MAX } else { limit.min(PAGE_FLOWS_MAX) },
        page_token: String::new(),
        view: match format {
            Format::Name => FlowView::Basic,
            Format::Table | Format::Wide | Format::Json | Format::Jsonl | Format::Yaml => {
                FlowView::Full
            }
        }
        .into(),
    }
}

/// The number of flows, in groups by the fields given.
#[must_use]
pub fn count_flows(args: &CountArgs) -> CountFlowsRequest {
    CountFlowsRequest { filter: filter(&args.selector), group_by: args.by.clone() }
}

/// The flows with the largest values of a field.
#[must_use]
pub fn rank_flows(args: &TopArgs) -> RankFlowsRequest {
    let (filter, rank_by, limit) = (filter(&args.selector), args.by.clone(), args.limit);
    RankFlowsRequest { filter, rank_by, limit, view: FlowView::Full.into() }
}

/// Every flow.
#[must_use]
pub fn export_flows(args: &ExportArgs) -> ExportFlowsRequest {
    let view = if args.basic { FlowView::Basic } else { FlowView::Full };
    ExportFlowsRequest { filter: filter(&args.selector), view: view.into() }
}

/// Events from now on.
#[must_use]
pub fn watch_events(args: &EventsArgs) -> WatchEventsRequest {
    WatchEventsRequest {
        types: args.types.iter().map(|one| (*one).into()).collect(),
        filter: filter(&args.selector),
        ..WatchEventsRequest::default()
    }
}

/// The flows that are there and their changes, or the changes since a bookmark.
#[must_use]
pub fn watch_flows(args: &WatchArgs, resume_token: String) -> WatchFlowsRequest {
    WatchFlowsRequest {
        filter: filter(&args.selector),
        resume_token,
        updates_only: args.updates_only,
        slow_policy: args.slow.policy().into(),
    }
}

/// The change of every flow that a filter matches, which may be `max_flows` at most.
///
/// # Errors
///
/// [`Failure::Usage`] for the raw form, which is for one flow.
pub fn apply_sock_opt(
    change: &OptionChange,
    filter: &str,
    max_flows: u64,
) -> Result<ApplySockOptRequest, Failure> {
    let Change::Options(options) = &change.change else {
        return Err(Failure::Usage("--optname is for named flows: give --flow".to_owned()));
    };
    Ok(ApplySockOptRequest {
        filter: filter.to_owned(),
        options: Some(*options),
        max_flow_count: i64::try_from(max_flows).unwrap_or(i64::MAX),
        ..ApplySockOptRequest::default()
    })
}

/// One flow in the given detail.
#[must_use]
pub fn get_flow(flow: &FlowName, view: FlowView) -> GetFlowRequest {
    GetFlowRequest { flow: flow.to_string(), view: view.into() }
}

/// The options of a flow, and the raw form of one of them if `target` names it.
#[must_use]
pub fn get_sock_opt(flow: &FlowName, target: &RawTarget) -> GetSockOptRequest {
    GetSockOptRequest { flow: flow.to_string(), raw: raw_sock_opt(target, Vec::new()) }
}

/// A change of options, the same for every flow named.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionChange {
    /// The change, as the API takes it.
    pub change: Change,
    /// Change the options only if they still have this etag.
    pub etag: Option<String>,
    /// Change nothing.
    pub dry_run: bool,
}

impl OptionChange {
    /// The change that the arguments describe.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] when no option is given, half of the raw form is missing, or one etag is
    /// given for several flows.
    pub fn from_args(args: &SetoptArgs) -> Result<Self, Failure> {
        let usage = |message: &str| Err(Failure::Usage(message.to_owned()));
        if args.etag.is_some() && args.flow.len() > 1 {
            return usage("an etag belongs to one flow: name one --flow with --etag");
        }
        let options = args.options.message();
        let change = match &args.optval {
            Some(value) => match raw_sock_opt(&args.raw, value.0.clone()) {
                Some(raw) => Change::Raw(raw),
                None => return usage("--optval needs --optname"),
            },
            None if args.raw.optname.is_some() => return usage("--optname needs --optval"),
            None if options == FlowOptions::default() => {
                return usage(&format!(
                    "nothing to set: give {}, or --optname with --optval",
                    OptionFlags::names()
                ));
            }
            None => Change::Options(options),
        };
        Ok(Self { change, etag: args.etag.clone(), dry_run: args.dry_run })
    }

    /// The request for one flow.
    #[must_use]
    pub fn for_flow(&self, flow: &FlowName) -> SetSockOptRequest {
        SetSockOptRequest {
            flow: flow.to_string(),
            change: Some(self.change.clone()),
            etag: self.etag.clone().unwrap_or_default(),
            request_id: String::new(),
            validate_only: self.dry_run,
        }
    }

    /// Whether the change cannot be undone.
    #[must_use]
    pub fn is_irreversible(&self) -> bool {
        is_irreversible(&self.change)
    }

    /// The requested buffer sizes, client's and server's, for comparison with those in force.
    #[must_use]
    pub fn buffer_bytes(&self) -> (Option<i64>, Option<i64>) {
        match &self.change {
            Change::Options(options) => (options.client_buffer_bytes, options.server_buffer_bytes),
            Change::Raw(raw) if raw.level == SOL_MONSOCKET => {
                let value = raw_option::as_int(&raw.optval).map(i64::from);
                match raw.optname {
                    MOS_CLIBUF => (value, None),
                    MOS_SVRBUF => (None, value),
                    _ => (None, None),
                }
            }
            Change::Raw(_) => (None, None),
        }
    }
}

/// Whether a change cannot be undone.
#[must_use]
pub const fn is_irreversible(change: &Change) -> bool {
    match change {
        Change::Options(options) => options.stop_monitoring.is_some(),
        Change::Raw(raw) => raw.level == SOL_MONSOCKET && raw.optname == MOS_STOP_MON,
    }
}

/// A peek at one side's buffer, for `bytes` or the maximum of one call.
#[must_use]
pub fn peek_flow(
    flow: &FlowName,
    side: args::Side,
    offset: Option<i64>,
    bytes: u64,
) -> PeekFlowRequest {
    let max_bytes = i32::try_from(bytes.min(PEEK_BYTES_MAX)).unwrap_or(i32::MAX);
    PeekFlowRequest { flow: flow.to_string(), side: side_of(side).into(), offset, max_bytes }
}

/// The stream that one side receives, up to `max_bytes` or to the end of the flow.
#[must_use]
pub fn read_flow(
    flow: &FlowName,
    side: args::Side,
    offset: Option<i64>,
    max_bytes: Option<u64>,
) -> ReadFlowRequest {
    let max_bytes = max_bytes.map_or(0, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    ReadFlowRequest { flow: flow.to_string(), side: side_of(side).into(), offset, max_bytes }
}

const fn side_of(side: args::Side) -> Side {
    match side {
        args::Side::Client => Side::Client,
        args::Side::Server => Side::Server,
    }
}

/// The selector in the API's filter language; empty means every flow.
#[must_use]
pub fn filter(selector: &Selector) -> String {
    let Selector { expression, terms } = selector;
    match expression {
        Some(expression) => expression.clone(),
        None => terms.iter().map(term_filter).collect::<Vec<_>>().join(" AND "),
    }
}

fn term_filter(term: &Term) -> String {
    let text = match &term.condition {
        Condition::Client(wanted) => address_filter("client", wanted),
        Condition::Server(wanted) => address_filter("server", wanted),
        Condition::Port(port) => format!("(client.port = {port} OR server.port = {port})"),
        Condition::State(state) => {
            let state = state_name(*state);
            format!("(client_state = {state} OR server_state = {state})")
        }
        Condition::Core(core) => format!("core = {core}"),
        Condition::OlderThan(age) => format!("age > {}", age),
        Condition::Idle(idle) => format!("idle > {}", idle),
    };
    match (term.negated, text.starts_with('(')) {
        (false, _) => text,
        (true, true) => format!("NOT {text}"),
        (true, false) => format!("NOT ({text})"),
    }
}

fn address_filter(end: &str, wanted: &AddressMatch) -> String {
    let network = wanted.network.as_ref().map(|network| format!("{end}.address = \"{network}\""));
    let port = wanted.port.map(|port| format!("{end}.port = {port}"));
    network.into_iter().chain(port).collect::<Vec<_>>().join(" AND ")
}

/// The state as filters and tables spell it.
#[must_use]
pub fn state_name(state: TcpState) -> &'static str {
    let name = state.as_str_name();
    match state {
        TcpState::Unspecified => "UNKNOWN",
        TcpState::Closed
        | TcpState::Listen
        | TcpState::SynSent
        | TcpState::SynReceived
        | TcpState::Established
        | TcpState::FinWait1
        | TcpState::FinWait2
        | TcpState::CloseWait
        | TcpState::Closing
        | TcpState::LastAck
        | TcpState::TimeWait => name.strip_prefix("TCP_STATE_").unwrap_or(name),
    }
}

fn raw_sock_opt(target: &RawTarget, optval: Vec<u8>) -> Option<RawSockOpt> {
    let RawTarget { level, optname, core } = target;
    let optname = (*optname)?;
    Some(RawSockOpt { core: *core, level: level.unwrap_or(SOL_MONSOCKET), optname, optval })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Verb};

    fn list(line: &str) -> ListFlowsRequest {
        let words = ["mosctl", "list"].into_iter().chain(line.split(' '));
        let cli = Cli::try_parse_from(words.filter(|word| !word.is_empty())).unwrap();
        let Verb::List(args) = cli.verb else { panic!("{line}") };
        list_flows(&args, cli.global.output)
    }

    fn change(line: &str) -> Result<OptionChange, Failure> {
        let start = ["mosctl", "setopt", "--flow", "00c004a900c901f2"];
        let cli = Cli::try_parse_from(start.into_iter().chain(line.split(' '))).unwrap();
        let Verb::Setopt(args) = cli.verb else { panic!("{line}") };
        OptionChange::from_args(&args)
    }

    #[test]
    fn flags_become_a_filter() {
        for (line, filter) in [
            ("", ""),
            ("--port 443", "(client.port = 443 OR server.port = 443)"),
            ("--client 10.0.0.0/8", "client.address = \"10.0.0.0/8\""),
            (
                "--server [2001:db8::1]:443 --core 3",
                "server.address = \"2001:db8::1\" AND server.port = 443 AND core = 3",
            ),
            ("--not --server :443", "NOT (server.port = 443)"),
            ("--not --state syn-sent", "NOT (client_state = SYN_SENT OR server_state = SYN_SENT)"),
            ("--older-than 5m --not --idle 1.5s", "age > 5m AND NOT (idle > 1500ms)"),
        ] {
            assert_eq!(list(line).filter, filter, "{line}");
        }
        assert_eq!(list("core=3").filter, "core=3");
    }

    #[test]
    fn pages_are_as_large_as_the_limit_allows() {
        assert_eq!(list("").page_size, 100);
        assert_eq!(list("--limit 3").page_size, 3);
        assert_eq!(list("--limit 99999999999").page_size, 1000);
        assert_eq!(list("--all").page_size, 1000);
    }

    #[test]
    fn names_alone_need_no_counters() {
        assert_eq!(list("-o name").view(), FlowView::Basic);
        assert_eq!(list("-o table").view(), FlowView::Full);
    }

    #[test]
    fn zero_is_a_value_and_absence_is_none() {
        let Change::Options(options) = change("--clibuf 0").unwrap().change else {
            panic!("typed form expected")
        };
        assert_eq!(options.client_buffer_bytes, Some(0));
        assert_eq!(options.server_buffer_bytes, None);
        assert_eq!(options.stop_monitoring, None);
    }

    #[test]
    fn the_raw_form_is_sent_as_it_stands() {
        let change = change("--optname MOS_CLIBUF --optval 65537 --core 3").unwrap();
        assert_eq!(
            change.change,
            Change::Raw(RawSockOpt {
                core: Some(3),
                level: SOL_MONSOCKET,
                optname: MOS_CLIBUF,
                optval: vec![1, 0, 1, 0],
            })
        );
        assert_eq!(change.buffer_bytes(), (Some(65_537), None));
        assert!(!change.is_irreversible());
    }

    #[test]
    fn a_stop_in_either_form_is_irreversible() {
        assert!(change("--stop client").unwrap().is_irreversible());
        assert!(change("--optname 0x0c --optval 2").unwrap().is_irreversible());
        assert!(!change("--level 6 --optname 0x0c --optval 2").unwrap().is_irreversible());
    }

    #[test]
    fn nothing_to_set_is_refused() {
        for line in ["--dry-run", "--optname 9"] {
            assert!(matches!(change(line), Err(Failure::Usage(_))), "{line}");
        }
    }

    #[test]
    fn an_etag_holds_for_one_flow_only() {
        let line = "00400001df3a0001 --clibuf 0 --etag x";
        assert!(matches!(change(line), Err(Failure::Usage(_))));
    }

    #[test]
    fn one_peek_asks_for_a_mebibyte_at_most() {
        let flow = "00c004a900c901f2".parse().unwrap();
        let peek = |bytes| peek_flow(&flow, args::Side::Server, Some(7), bytes);
        assert_eq!((peek(10).max_bytes, peek(u64::MAX).max_bytes), (10, 1 << 20));
        assert_eq!((peek(1).side(), peek(1).offset), (Side::Server, Some(7)));
    }
}
