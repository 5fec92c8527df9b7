//! What a filter can compare: the fields, and the values of their types.

use std::fmt;

use mos_stack::{OverlapPolicy, Side, SockOptKind, SockOptName, StopScope, TcpState};
use mos_text::{Prefix, Size, Span};

/// A field of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Address(Side),
    Port(Side),
    Vlan,
    Core,
    State(Side),
    Age,
    Idle,
    PayloadBytes,
    BufferedBytes,
    OutOfOrderBytes,
    UnacknowledgedBytes,
    SuspiciousSegments,
    OneSided,
    Option(SockOptName),
}

/// The type of a field, which decides the values and operators that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Address,
    Number,
    /// A number of bytes.
    Size,
    State,
    Span,
    Scope,
    Overlap,
    Truth,
}

/// What a filter selects from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Live flows.
    Flow,
    /// Events.
    Event,
    /// Flows that begin.
    Newcomer,
}

impl Scope {
    /// What it is that a filter selects, for messages.
    pub(super) const fn subjects(self) -> &'static str {
        match self {
            Self::Flow => "flows",
            Self::Event => "events",
            Self::Newcomer => "flows that begin",
        }
    }
}

/// What a field is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// Addresses of one prefix; a single address is a prefix of full length.
    Prefix(Prefix),
    Number(u64),
    State(TcpState),
    Span(Span),
    Scope(Option<StopScope>),
    Overlap(OverlapPolicy),
    Truth(bool),
}

/// Fields that the API names but that no flow has yet.
pub(super) const UNAVAILABLE: [&str; 1] = ["policy"];

impl Field {
    const FIXED: [Self; 16] = [
        Self::Address(Side::Client),
        Self::Port(Side::Client),
        Self::Address(Side::Server),
        Self::Port(Side::Server),
        Self::Vlan,
        Self::Core,
        Self::State(Side::Client),
        Self::State(Side::Server),
        Self::Age,
        Self::Idle,
        Self::PayloadBytes,
        Self::BufferedBytes,
        Self::OutOfOrderBytes,
        Self::UnacknowledgedBytes,
        Self::SuspiciousSegments,
        Self::OneSided,
    ];

    /// Every field.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::FIXED.into_iter().chain(SockOptName::ALL.map(Self::Option))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Address(Side::Client) => "client.address",
            Self::Address(Side::Server) => "server.address",
            Self::Port(Side::Client) => "client.port",
            Self::Port(Side::Server) => "server.port",
            Self::Vlan => "vlan",
            Self::Core => "core",
            Self::State(Side::Client) => "client_state",
            Self::State(Side::Server) => "server_state",
            Self::Age => "age",
            Self::Idle => "idle",
            Self::PayloadBytes => "payload_bytes",
            Self::BufferedBytes => "buffered_bytes",
            Self::OutOfOrderBytes => "out_of_order_bytes",
            Self::UnacknowledgedBytes => "unacknowledged_bytes",
            Self::SuspiciousSegments => "suspicious_segments",
            Self::OneSided => "one_sided",
            Self::Option(SockOptName::StopMonitoring) => "stop_monitoring",
            Self::Option(name) => name.row().path,
        }
    }

    /// Whether this scope has the field.
    pub(super) const fn is_in(self, scope: Scope) -> bool {
        match scope {
            Scope::Flow => true,
            Scope::Event => {
                matches!(self, Self::Address(_) | Self::Port(_) | Self::Vlan | Self::Core)
            }
            Scope::Newcomer => matches!(self, Self::Address(_) | Self::Port(_) | Self::Vlan),
        }
    }

    /// Whether flows can be grouped by it: it has few values, or says who a flow is between.
    pub(super) const fn makes_groups(self) -> bool {
        match self {
            Self::Address(_)
            | Self::Port(_)
            | Self::Vlan
            | Self::Core
            | Self::State(_)
            | Self::OneSided
            | Self::Option(_) => true,
            Self::Age
            | Self::Idle
            | Self::PayloadBytes
            | Self::BufferedBytes
            | Self::OutOfOrderBytes
            | Self::UnacknowledgedBytes
            | Self::SuspiciousSegments => false,
        }
    }

    /// Whether flows can be ranked by it: its values have an order, and are many.
    pub(super) const fn makes_ranks(self) -> bool {
        self.kind().is_ordered() && !self.makes_groups()
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Address(_) => Kind::Address,
            Self::Port(_) | Self::Vlan | Self::Core | Self::SuspiciousSegments => Kind::Number,
            Self::PayloadBytes
            | Self::BufferedBytes
            | Self::OutOfOrderBytes
            | Self::UnacknowledgedBytes => Kind::Size,
            Self::State(_) => Kind::State,
            Self::OneSided => Kind::Truth,
            Self::Age | Self::Idle => Kind::Span,
            Self::Option(name) => match name.row().kind {
                SockOptKind::Bytes => Kind::Size,
                SockOptKind::Overlap => Kind::Overlap,
                SockOptKind::Stop => Kind::Scope,
            },
        }
    }
}

impl Kind {
    /// Whether values of this type have an order.
    pub(super) const fn is_ordered(self) -> bool {
        matches!(self, Self::Number | Self::Size | Self::Span)
    }

    /// What a value of this type looks like, for messages.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Address => "an address or a prefix, such as 10.0.0.1 or \"10.0.0.0/8\"",
            Self::Number => "a whole number",
            Self::State => {
                "a TCP state: CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT_1, \
                 FIN_WAIT_2, CLOSE_WAIT, CLOSING, LAST_ACK or TIME_WAIT"
            }
            Self::Size => "a size, such as 8192, 64KiB or 64kB",
            Self::Span => "a span of time, such as 500ms, 10s, 5m or 1h30m",
            Self::Scope => "NONE, CLIENT, SERVER or BOTH",
            Self::Overlap => "FIRST, LAST or LINUX",
            Self::Truth => "true or false",
        }
    }

    /// Parses a value of this type.
    pub(super) fn value(self, text: &str) -> Option<Value> {
        match self {
            Self::Address => text.parse().ok().map(Value::Prefix),
            Self::Number => {
                let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
                if is_number { text.parse().ok().map(Value::Number) } else { None }
            }
            Self::Size => text.parse().ok().map(|Size(bytes)| Value::Number(bytes)),
            Self::State => state(text).map(Value::State),
            Self::Span => text.parse().ok().map(Value::Span),
            Self::Scope => {
                let (_, scope) =
                    SCOPES.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name))?;
                Some(Value::Scope(scope))
            }
            Self::Overlap => {
                let (_, policy) =
                    POLICIES.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name))?;
                Some(Value::Overlap(policy))
            }
            Self::Truth => text.to_ascii_lowercase().parse().ok().map(Value::Truth),
        }
    }
}

const SCOPES: [(&str, Option<StopScope>); 4] = [
    ("NONE", None),
    ("CLIENT", Some(StopScope::Client)),
    ("SERVER", Some(StopScope::Server)),
    ("BOTH", Some(StopScope::Both)),
];

const POLICIES: [(&str, OverlapPolicy); 3] = [
    ("FIRST", OverlapPolicy::First),
    ("LAST", OverlapPolicy::Last),
    ("LINUX", OverlapPolicy::Linux),
];

pub(super) const STATES: [(&str, TcpState); 11] = [
    ("CLOSED", TcpState::Closed),
    ("LISTEN", TcpState::Listen),
    ("SYN_SENT", TcpState::SynSent),
    ("SYN_RECEIVED", TcpState::SynReceived),
    ("ESTABLISHED", TcpState::Established),
    ("FIN_WAIT_1", TcpState::FinWait1),
    ("FIN_WAIT_2", TcpState::FinWait2),
    ("CLOSE_WAIT", TcpState::CloseWait),
    ("CLOSING", TcpState::Closing),
    ("LAST_ACK", TcpState::LastAck),
    ("TIME_WAIT", TcpState::TimeWait),
];

/// A state in the spelling of the API (`TCP_STATE_SYN_SENT`, `SYN_SENT`) or of RFC 9293
/// (`SYN-SENT`), in any case.
fn state(text: &str) -> Option<TcpState> {
    let text = text.to_ascii_uppercase().replace('-', "_");
    let text = text.strip_prefix("TCP_STATE_").unwrap_or(&text);
    STATES.into_iter().find(|(name, _)| *name == text).map(|(_, state)| state)
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(f, "\"{prefix}\""),
            Self::Number(number) => number.fmt(f),
            Self::State(state) => name_of(*state, STATES, f),
            Self::Span(span) => span.fmt(f),
            Self::Scope(scope) => name_of(*scope, SCOPES, f),
            Self::Overlap(policy) => name_of(*policy, POLICIES, f),
            Self::Truth(is_so) => is_so.fmt(f),
        }
    }
}

fn name_of<T: Copy + PartialEq, const N: usize>(
    value: T,
    names: [(&str, T); N],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    names
        .into_iter()
        .filter(|(_, named)| *named == value)
        .try_for_each(|(name, _)| f.write_str(name))
}
