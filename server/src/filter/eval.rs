//! Decides whether a flow, or an event, matches.

use std::{fmt, net::IpAddr, time::Duration};

use mos_stack::{
    FlowSummary, FlowTuple, Instant, OverlapPolicy, Side, SideSummary, SockOptValue, StopScope,
    TcpState, WorkerId,
};
use mos_text::Span;

use super::{
    expr::{Expr, Op},
    field::{Field, Value},
};

/// What a filter is evaluated on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    /// A flow, and the time of its worker.
    Flow {
        /// The flow.
        flow: &'a FlowSummary,
        /// The time.
        now: Instant,
    },
    /// An event.
    Event {
        /// The addresses and ports of its flow.
        tuple: &'a FlowTuple,
        /// The worker that emitted it.
        core: WorkerId,
    },
    /// A flow that begins: its addresses and ports.
    Newcomer(&'a FlowTuple),
}

pub(super) fn matches(expr: &Expr, subject: Subject<'_>) -> bool {
    match expr {
        Expr::And(parts) => parts.iter().all(|part| matches(part, subject)),
        Expr::Or(parts) => parts.iter().any(|part| matches(part, subject)),
        Expr::Not(part) => !matches(part, subject),
        Expr::Compare { field, op, value } => compare(actual(*field, subject), *op, *value),
    }
}

/// The first condition that fails, and the value that made it fail; `None` if all hold.
pub(super) fn failed(expr: &Expr, subject: Subject<'_>) -> Option<String> {
    match expr {
        Expr::And(parts) => parts.iter().find_map(|part| failed(part, subject)),
        _ if matches(expr, subject) => None,
        Expr::Compare { field, .. } => {
            let value = actual(*field, subject).to_string();
            Some(format!("{expr} (was {})", if value.is_empty() { "none" } else { &value }))
        }
        Expr::Or(_) | Expr::Not(_) => Some(expr.to_string()),
    }
}

/// The value of a field. `Display` writes it as filters spell it; nothing where it is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Actual {
    Address(IpAddr),
    Number(u64),
    State(TcpState),
    Span(Duration),
    Scope(Option<StopScope>),
    Overlap(OverlapPolicy),
    Truth(bool),
    /// No value: it is unequal to every value.
    Absent,
}

pub(super) fn actual(field: Field, subject: Subject<'_>) -> Actual {
    let (tuple, core) = match subject {
        Subject::Flow { flow, .. } => (&flow.tuple, Some(flow.id.worker())),
        Subject::Event { tuple, core } => (tuple, Some(core)),
        Subject::Newcomer(tuple) => (tuple, None),
    };
    let end = |side| match side {
        Side::Client => tuple.client,
        Side::Server => tuple.server,
    };
    match (field, subject) {
        (Field::Address(side), _) => Actual::Address(end(side).ip()),
        (Field::Port(side), _) => Actual::Number(end(side).port().into()),
        (Field::Vlan, _) => tuple.vlan.map_or(Actual::Absent, |vlan| Actual::Number(vlan.into())),
        (Field::Core, _) => core.map_or(Actual::Absent, |core| Actual::Number(core.index().into())),
        (field, Subject::Flow { flow, now }) => of_flow(field, flow, now),
        // The parser refuses the other fields in such a filter.
        (_, Subject::Event { .. } | Subject::Newcomer(_)) => Actual::Absent,
    }
}

/// The value of a field that only flows have.
fn of_flow(field: Field, flow: &FlowSummary, now: Instant) -> Actual {
    let sum = |of: fn(&SideSummary) -> u64| {
        Actual::Number(of(&flow.sides.client).saturating_add(of(&flow.sides.server)))
    };
    match field {
        Field::Address(_) | Field::Port(_) | Field::Vlan | Field::Core => Actual::Absent,
        Field::State(side) => Actual::State(flow.sides[side].state),
        Field::Age => Actual::Span(now.since(flow.started)),
        Field::Idle => Actual::Span(now.since(flow.last_packet)),
        Field::PayloadBytes => sum(|side| side.payload_bytes),
        Field::BufferedBytes => sum(|side| side.buffer.buffered_bytes),
        Field::OutOfOrderBytes => sum(|side| side.buffer.out_of_order_bytes),
        Field::UnacknowledgedBytes => {
            flow.unacknowledged_bytes().map_or(Actual::Absent, Actual::Number)
        }
        Field::OneSided => Actual::Truth(flow.is_one_sided),
        Field::SuspiciousSegments => sum(|side| side.suspicious_segments),
        Field::Option(name) => match flow.options.get(name) {
            SockOptValue::Bytes(bytes) => Actual::Number(bytes),
            SockOptValue::Overlap(policy) => Actual::Overlap(policy),
            SockOptValue::Stop(scope) => Actual::Scope(scope),
        },
    }
}

fn compare(actual: Actual, op: Op, value: Value) -> bool {
    let negates = op == Op::NotEqual;
    match (actual, value) {
        (Actual::Address(address), Value::Prefix(prefix)) => prefix.contains(address) != negates,
        (Actual::Number(number), Value::Number(wanted)) => op.holds(&number, &wanted),
        (Actual::Span(span), Value::Span(wanted)) => op.holds(&span, &wanted.0),
        (Actual::State(state), Value::State(wanted)) => (state == wanted) != negates,
        (Actual::Scope(scope), Value::Scope(wanted)) => (scope == wanted) != negates,
        (Actual::Overlap(policy), Value::Overlap(wanted)) => (policy == wanted) != negates,
        (Actual::Truth(is_so), Value::Truth(wanted)) => (is_so == wanted) != negates,
        // The field is absent: the parser gives a field only values of its own type.
        _ => negates,
    }
}

impl fmt::Display for Actual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Address(address) => address.fmt(f),
            Self::Number(number) => Value::Number(number).fmt(f),
            Self::State(state) => Value::State(state).fmt(f),
            Self::Span(span) => Value::Span(Span(span)).fmt(f),
            Self::Scope(scope) => Value::Scope(scope).fmt(f),
            Self::Overlap(policy) => Value::Overlap(policy).fmt(f),
            Self::Truth(is_so) => Value::Truth(is_so).fmt(f),
            Self::Absent => Ok(()),
        }
    }
}
