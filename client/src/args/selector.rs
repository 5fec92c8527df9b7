//! Which flows: a filter in one argument, or flags that must all hold, never both.
//!
//! `--not` negates the flag after it, so the order of the flags matters; clap's derive keeps no
//! order, hence the two traits by hand.

use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, error::ErrorKind};
use mos_proto::v1::TcpState;
use mos_text::{Prefix, Span, TextError, port};

const EXPRESSION: &str = "selector";
const NOT: &str = "not";
const CLIENT: &str = "client";
const SERVER: &str = "server";
const PORT: &str = "port";
const STATE: &str = "state";
const CORE: &str = "core";
const OLDER_THAN: &str = "older-than";
const IDLE: &str = "idle";
const FLAGS: [&str; 8] = [NOT, CLIENT, SERVER, PORT, STATE, CORE, OLDER_THAN, IDLE];

/// Which flows are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// A filter in the API's language.
    pub expression: Option<String>,
    /// Conditions that must all hold, in the order typed.
    pub terms: Vec<Term>,
}

/// One condition, perhaps negated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Whether `--not` stood before it.
    pub negated: bool,
    /// The condition.
    pub condition: Condition,
}

/// What one flag asks of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The client's address, port or both.
    Client(AddressMatch),
    /// The server's address, port or both.
    Server(AddressMatch),
    /// The port of either end.
    Port(u16),
    /// The state of either side.
    State(TcpState),
    /// The core that owns the flow.
    Core(u16),
    /// First packet longer ago than this.
    OlderThan(Span),
    /// Last packet longer ago than this.
    Idle(Span),
}

/// An address or network, a port, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressMatch {
    /// Address, or network with its prefix length.
    pub network: Option<Prefix>,
    /// Port.
    pub port: Option<u16>,
}

impl FromStr for AddressMatch {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let error = match text.parse() {
            Ok(network) => return Ok(Self { network: Some(network), port: None }),
            Err(error) => error,
        };
        let (network, digits) = match text.strip_prefix('[').and_then(|rest| rest.split_once("]:"))
        {
            Some(bracketed) => bracketed,
            None => text.rsplit_once(':').ok_or(error)?,
        };
        if network.contains(':') && !text.starts_with('[') {
            let problem = "needs brackets before the port: write [2001:db8::1]:443".to_owned();
            return Err(TextError { text: text.to_owned(), problem });
        }
        let network = if network.is_empty() { None } else { Some(network.parse()?) };
        Ok(Self { network, port: Some(port(digits)?) })
    }
}

fn parse_state(text: &str) -> Result<TcpState, String> {
    let name = text.to_ascii_uppercase().replace('-', "_");
    TcpState::from_str_name(&format!("TCP_STATE_{name}")).ok_or_else(|| {
        format!(
            "{text:?} is no TCP state: closed, listen, syn-sent, syn-received, established, \
             fin-wait-1, fin-wait-2, close-wait, closing, last-ack, time-wait"
        )
    })
}

impl Args for Selector {
    fn augment_args(command: Command) -> Command {
        let flag = |id: &'static str, value: &'static str| {
            Arg::new(id)
                .long(id)
                .value_name(value)
                .action(ArgAction::Append)
                .help_heading("Which flows (all of it must hold)")
        };
        command
            .arg(
                Arg::new(EXPRESSION)
                    .value_name("SELECTOR")
                    .conflicts_with_all(FLAGS)
                    .help("A filter, see `mosctl help filters`; or the flags below"),
            )
            .arg(
                flag(CLIENT, "CIDR[:PORT]")
                    .value_parser(clap::value_parser!(AddressMatch))
                    .help("Address, network or :PORT of the client"),
            )
            .arg(
                flag(SERVER, "CIDR[:PORT]")
                    .value_parser(clap::value_parser!(AddressMatch))
                    .help("Address, network or :PORT of the server"),
            )
            .arg(
                flag(PORT, "N")
                    .value_parser(clap::value_parser!(u16).range(1..))
                    .help("Port of either end"),
            )
            .arg(flag(STATE, "STATE").value_parser(parse_state).help("TCP state of either side"))
            .arg(
                flag(CORE, "N")
                    .value_parser(clap::value_parser!(u16).range(..512))
                    .help("Core that owns the flow"),
            )
            .arg(
                flag(OLDER_THAN, "DURATION")
                    .value_parser(clap::value_parser!(Span))
                    .help("First packet longer ago than this"),
            )
            .arg(
                flag(IDLE, "DURATION")
                    .value_parser(clap::value_parser!(Span))
                    .help("Last packet longer ago than this"),
            )
            .arg(
                flag(NOT, "")
                    .num_args(0)
                    .default_missing_value("true")
                    .value_parser(clap::value_parser!(bool))
                    .help("Negates the flag after it"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Selector {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags: Vec<(usize, Option<Condition>)> = Vec::new();
        flags.extend(matches.indices_of(NOT).into_iter().flatten().map(|index| (index, None)));
        collect(matches, CLIENT, Condition::Client, &mut flags);
        collect(matches, SERVER, Condition::Server, &mut flags);
        collect(matches, PORT, Condition::Port, &mut flags);
        collect(matches, STATE, Condition::State, &mut flags);
        collect(matches, CORE, Condition::Core, &mut flags);
        collect(matches, OLDER_THAN, Condition::OlderThan, &mut flags);
        collect(matches, IDLE, Condition::Idle, &mut flags);
        flags.sort_by_key(|(index, _)| *index);
        let lonely =
            || Error::raw(ErrorKind::ValueValidation, "--not must stand before a selector flag\n");
        let mut terms = Vec::new();
        let mut negated = false;
        for (_, condition) in flags {
            match condition {
                None if negated => return Err(lonely()),
                None => negated = true,
                Some(condition) => {
                    terms.push(Term { negated, condition });
                    negated = false;
                }
            }
        }
        if negated {
            return Err(lonely());
        }
        Ok(Self { expression: matches.get_one::<String>(EXPRESSION).cloned(), terms })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Appends the values of one flag, each with its place on the command line.
fn collect<T: Clone + Send + Sync + 'static>(
    matches: &ArgMatches,
    id: &str,
    condition: fn(T) -> Condition,
    flags: &mut Vec<(usize, Option<Condition>)>,
) {
    let indices = matches.indices_of(id).into_iter().flatten();
    let values = matches.get_many::<T>(id).into_iter().flatten();
    flags.extend(indices.zip(values).map(|(index, value)| (index, Some(condition(value.clone())))));
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        selector: Selector,
    }

    fn parse(line: &str) -> Result<Selector, ErrorKind> {
        let words = line.split(' ').filter(|word| !word.is_empty());
        Line::try_parse_from(std::iter::once("mosctl").chain(words))
            .map(|line| line.selector)
            .map_err(|error| error.kind())
    }

    #[test]
    fn flags_keep_the_order_in_which_they_were_typed() {
        let selector = parse("--core 3 --port 443 --core 4").unwrap();
        let conditions: Vec<_> = selector.terms.into_iter().map(|term| term.condition).collect();
        assert_eq!(conditions, [Condition::Core(3), Condition::Port(443), Condition::Core(4)]);
    }

    #[test]
    fn not_negates_the_next_flag_and_no_other() {
        let selector = parse("--port 443 --not --state established --idle 5m").unwrap();
        let negated: Vec<_> = selector.terms.iter().map(|term| term.negated).collect();
        assert_eq!(negated, [false, true, false]);
        assert_eq!(selector.terms[1].condition, Condition::State(TcpState::Established));
    }

    #[test]
    fn not_without_a_flag_after_it_is_refused() {
        for line in ["--not", "--port 443 --not", "--not --not --port 443"] {
            assert_eq!(parse(line), Err(ErrorKind::ValueValidation), "{line}");
        }
    }

    #[test]
    fn a_filter_and_flags_exclude_each_other() {
        assert_eq!(parse("core=3").unwrap().expression.as_deref(), Some("core=3"));
        assert_eq!(parse("core=3 --port 443"), Err(ErrorKind::ArgumentConflict));
        assert_eq!(parse("core=3 --not"), Err(ErrorKind::ArgumentConflict));
    }

    #[test]
    fn addresses_are_taken_with_prefix_and_port() {
        for (text, network, port) in [
            ("10.0.0.0/8", Some("10.0.0.0/8"), None),
            ("10.0.0.1:80", Some("10.0.0.1"), Some(80)),
            ("10.0.0.0/8:80", Some("10.0.0.0/8"), Some(80)),
            ("2001:DB8::/32", Some("2001:db8::/32"), None),
            ("[2001:db8::/32]:443", Some("2001:db8::/32"), Some(443)),
            ("[::1]:443", Some("::1"), Some(443)),
            (":443", None, Some(443)),
        ] {
            let network = network.map(|network| network.parse().unwrap());
            let expected = AddressMatch { network, port };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for (text, part) in [
            ("", "write 10.0.0.1"),
            ("10.0.0.0/33", "write 10.0.0.1"),
            ("10.1.0.0/8", "write 10.0.0.0/8"),
            ("10.0.0.1:x", "0 to 65535"),
            ("10.0.0.1:+443", "0 to 65535"),
            ("host:80", "write 10.0.0.1"),
            ("[10.0.0.1", "write 10.0.0.1"),
            ("10.0.0.1:70000", "0 to 65535"),
            ("fe80::g:443", "brackets"),
        ] {
            let error = text.parse::<AddressMatch>().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn states_are_named_in_any_usual_spelling() {
        for text in ["SYN_RECEIVED", "syn-received", "Syn_Received"] {
            assert_eq!(parse_state(text), Ok(TcpState::SynReceived), "{text}");
        }
        assert!(parse_state("open").unwrap_err().contains("established"));
    }
}
