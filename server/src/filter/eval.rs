//! Decides whether a flow matches.

use std::{net::IpAddr, time::Duration};

use mos_stack::{FlowSummary, Instant, OverlapPolicy, Side, SideSummary, StopScope, TcpState};

use super::{
    expr::{Expr, Op},
    field::{Field, Value},
};

pub(super) fn matches(expr: &Expr, flow: &FlowSummary, now: Instant) -> bool {
    match expr {
        Expr::And(parts) => parts.iter().all(|part| matches(part, flow, now)),
        Expr::Or(parts) => parts.iter().any(|part| matches(part, flow, now)),
        Expr::Not(part) => !matches(part, flow, now),
        Expr::Compare { field, op, value } => compare(actual(*field, flow, now), *op, *value),
    }
}

/// What a flow has in a field.
#[derive(Debug)]
enum Actual {
    Address(IpAddr),
    Number(u64),
    State(TcpState),
    Span(Duration),
    Scope(Option<StopScope>),
    Overlap(OverlapPolicy),
    /// The flow has nothing there, which differs from everything.
    Absent,
}

fn actual(field: Field, flow: &FlowSummary, now: Instant) -> Actual {
    let sum = |of: fn(&SideSummary) -> u64| {
        Actual::Number(of(&flow.sides.client).saturating_add(of(&flow.sides.server)))
    };
    let end = |side| match side {
        Side::Client => flow.tuple.client,
        Side::Server => flow.tuple.server,
    };
    match field {
        Field::Address(side) => Actual::Address(end(side).ip()),
        Field::Port(side) => Actual::Number(end(side).port().into()),
        Field::Vlan => flow.tuple.vlan.map_or(Actual::Absent, |vlan| Actual::Number(vlan.into())),
        Field::Core => Actual::Number(flow.id.worker().index().into()),
        Field::State(side) => Actual::State(flow.sides[side].state),
        Field::Age => Actual::Span(now.since(flow.started)),
        Field::Idle => Actual::Span(now.since(flow.last_packet)),
        Field::PayloadBytes => sum(|side| side.payload_bytes),
        Field::BufferedBytes => sum(|side| side.buffer.buffered_bytes),
        Field::OutOfOrderBytes => sum(|side| side.buffer.out_of_order_bytes),
        Field::StopMonitoring => Actual::Scope(flow.options.stopped),
        Field::BufferCapacity(side) => Actual::Number(flow.options.buffer_bytes[side]),
        Field::Overlap(side) => Actual::Overlap(flow.options.overlap[side]),
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
        // Absent: the parser compares a field with values of its own type only.
        _ => negates,
    }
}
