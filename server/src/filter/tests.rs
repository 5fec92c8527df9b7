//! Tests of the filter: the language by examples, printing and evaluation by properties.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use mos_stack::{
    FlowId, FlowSummary, FlowTuple, Instant, OptionsOrigin, OverlapPolicy, Side, SideSummary,
    Sides, SockOptName, SockOpts, StopScope, StreamOffset, TcpState, WorkerId,
};
use mos_text::{Prefix, Size, Span};
use proptest::prelude::*;

use super::{
    expr::{Expr, Op},
    field::{Field, Kind, STATES, Scope, Value},
    *,
};
use crate::words::bounds::{FILTER_COMPARISONS_MAX, FILTER_DEPTH_MAX, FILTER_TEXT_MAX};

fn side(state: TcpState) -> SideSummary {
    SideSummary {
        state,
        packets: 3,
        payload_bytes: 100,
        acknowledged: Some(StreamOffset(90)),
        retransmits: 0,
        suspicious_segments: 2,
        buffer: mos_stack::BufferSummary {
            buffered_bytes: 7,
            next: StreamOffset(95),
            ..Default::default()
        },
    }
}

fn flow() -> FlowSummary {
    FlowSummary {
        id: FlowId::from_parts(WorkerId::new(2).unwrap(), 5, 9),
        inner_vlan: None,
        tuple: FlowTuple {
            client: "10.1.2.3:43512".parse().unwrap(),
            server: "192.0.2.10:443".parse().unwrap(),
            vlan: None,
        },
        sides: Sides { client: side(TcpState::Established), server: side(TcpState::CloseWait) },
        is_one_sided: false,
        options: SockOpts::default(),
        origin: OptionsOrigin::Default,
        revision: 0,
        started: Instant::from_nanos(1_000_000_000),
        last_packet: Instant::from_nanos(55_000_000_000),
    }
}

const NOW: Instant = Instant::from_nanos(61_000_000_000);

fn matches(text: &str) -> bool {
    let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    filter.matches(&flow(), NOW)
}

#[track_caller]
fn refused(text: &str, kind: FilterErrorKind, column: usize) -> String {
    let error = Filter::parse(text).unwrap_err();
    assert_eq!((error.kind, error.column), (kind, column), "{text}: {}", error.message);
    error.message
}

#[test]
fn every_field_can_be_compared() {
    for (text, expected) in [
        ("client.address = 10.1.2.3", true),
        ("client.address = \"10.0.0.0/8\"", true),
        ("client.address != 10.0.0.0/8", false),
        ("server.address = '10.0.0.0/8'", false),
        ("client.address = \"::/0\"", false),
        ("client.port = 43512", true),
        ("server.port >= 1024", false),
        ("vlan = 5", false),
        ("vlan != 5", true),
        ("core = 2", true),
        ("client_state = ESTABLISHED", true),
        ("client_state = established", true),
        ("server_state = CLOSE-WAIT", true),
        ("server_state != TCP_STATE_CLOSE_WAIT", false),
        ("age = 1m", true),
        ("age > 60s", false),
        ("idle >= 6s", true),
        ("idle < 500ms", false),
        ("payload_bytes = 200", true),
        ("payload_bytes = 0.2kB", true),
        ("payload_bytes < 1KiB", true),
        ("buffered_bytes > 13", true),
        ("out_of_order_bytes = 0", true),
        ("unacknowledged_bytes = 10", true),
        ("unacknowledged_bytes > 10", false),
        ("suspicious_segments > 0", true),
        ("suspicious_segments = 4", true),
        ("one_sided = true", false),
        ("one_sided = FALSE", true),
        ("one_sided != true", true),
        ("stop_monitoring = NONE", true),
        ("stop_monitoring = BOTH", false),
        ("options.client_buffer_bytes = 8192", true),
        ("options.server_buffer_bytes < 8192", false),
        ("options.client_overlap = FIRST", true),
        ("options.server_overlap = LAST", false),
        ("options.server_overlap = linux", false),
    ] {
        assert_eq!(matches(text), expected, "{text}");
    }
}

#[test]
fn events_know_their_tuple_and_their_core_alone() {
    let tuple = flow().tuple;
    for (text, expected) in [
        ("", true),
        ("client.address = 10.0.0.0/8 AND client.port = 43512", true),
        ("server.address = 192.0.2.10 AND server.port != 443", false),
        ("vlan = 5 OR core = 2", true),
        ("NOT core = 2", false),
    ] {
        let filter = Filter::parse_for_events(text).unwrap();
        assert_eq!(filter.matches_event(&tuple, flow().id.worker()), expected, "{text}");
    }
    for (text, kind, column) in [
        ("core = 2 AND age > 1m", FilterErrorKind::FieldUnavailable, 14),
        ("client_state = LISTEN", FilterErrorKind::FieldUnavailable, 1),
        ("policy = x", FilterErrorKind::FieldUnavailable, 1),
        ("nonsense = 1", FilterErrorKind::Invalid, 1),
    ] {
        let error = Filter::parse_for_events(text).unwrap_err();
        assert_eq!((error.kind, error.column), (kind, column), "{text}: {}", error.message);
    }
}

/// The 13th fault of mOS 0.3: a match is sticky, and a filter for one port matches flows of
/// another.
#[test]
fn mos_13_a_filter_that_has_matched_still_tells_ports_apart() {
    let filter = Filter::parse("server.port = 443").unwrap();
    let mut other = flow();
    other.tuple.server.set_port(80);
    for _ in 0..2 {
        assert!(filter.matches(&flow(), NOW));
        assert!(!filter.matches(&other, NOW));
    }
}

#[test]
fn operators_combine_as_written() {
    assert!(matches(""));
    assert!(matches("  "));
    assert!(!matches("core = 2 AND core = 3"));
    assert!(matches("core = 2 OR core = 3"));
    assert!(matches("NOT core = 3"));
    assert!(matches("-core = 3"));
    assert!(matches("- core = 3 AND NOT NOT core = 2"));
    assert!(matches("(core = 3 OR core = 2) AND -(core = 4)"));
    assert!(matches("core=2"));
}

#[test]
fn and_beside_or_needs_parentheses() {
    refused("core = 1 AND core = 2 OR core = 3", FilterErrorKind::Ambiguous, 23);
    refused("core = 1 OR core = 2 AND core = 3", FilterErrorKind::Ambiguous, 22);
    refused("(core = 1 OR core = 2 AND core = 3)", FilterErrorKind::Ambiguous, 23);
}

#[test]
fn mistakes_are_refused_with_their_column() {
    use FilterErrorKind::Invalid;
    for (text, column, part) in [
        ("colour = 1", 1, "no field \"colour\""),
        ("core = 1 AND", 13, "expected a field"),
        ("core", 5, "expected =, !=, <, <=, > or >="),
        ("core =", 7, "expected a whole number"),
        ("core = x", 8, "a whole number"),
        ("core = -1", 8, "a whole number"),
        ("core = 18446744073709551616", 8, "a whole number"),
        ("payload_bytes > 64k", 17, "a size"),
        ("age > 10", 7, "a span of time"),
        ("client_state = OPEN", 16, "a TCP state"),
        ("one_sided = 1", 13, "true or false"),
        ("one_sided > false", 11, "has no order"),
        ("client_state < ESTABLISHED", 14, "has no order"),
        ("client.address > 10.0.0.1", 16, "has no order"),
        ("client.address = 10.1.0.0/8", 18, "a prefix"),
        ("client.address = 10.0.0.0/33", 18, "a prefix"),
        ("(core = 1", 10, "closing parenthesis"),
        ("core = 1)", 9, "was not opened"),
        ("core = 1 core = 2", 10, "expected AND, OR or the end"),
        ("core = \"1", 8, "has no end"),
        ("core = 1 ; x", 10, "does not belong"),
        ("client_state = \u{fc} ", 16, "does not belong"),
        ("AND", 1, "expected a field"),
        ("\"core\" = 1", 1, "expected a field"),
        ("core ! 1", 6, "does not belong"),
    ] {
        let message = refused(text, Invalid, column);
        assert!(message.contains(part), "{text}: {message}");
    }
    refused("core = 1 AND policy = web", FilterErrorKind::FieldUnavailable, 14);
}

#[test]
fn flows_that_begin_know_their_tuple_alone_and_say_what_they_fail_by() {
    let tuple = flow().tuple;
    for (text, failed) in [
        ("client.address = 10.0.0.0/8 AND server.port = 443", None),
        ("client.address = 10.0.0.0/8 AND server.port = 80", Some("server.port = 80 (was 443)")),
        ("server.port = 443 AND vlan = 5", Some("vlan = 5 (was none)")),
        (
            "client.address = 172.16.0.0/12",
            Some("client.address = \"172.16.0.0/12\" (was 10.1.2.3)"),
        ),
        ("vlan = 5 OR server.port = 80", Some("vlan = 5 OR server.port = 80")),
        ("NOT server.port = 443", Some("NOT server.port = 443")),
        ("", None),
    ] {
        let filter = Filter::parse_for_newcomers(text).unwrap();
        assert_eq!(filter.failed_by(&tuple).as_deref(), failed, "{text}");
    }
    for text in ["core = 2", "age > 1m", "policy = x"] {
        let error = Filter::parse_for_newcomers(text).unwrap_err();
        assert_eq!((error.kind, error.column), (FilterErrorKind::FieldUnavailable, 1), "{text}");
    }
    assert!(Filter::parse_for_newcomers("age > 1m").unwrap_err().message.contains("server.port"));
}

#[test]
fn what_multiplies_out_to_too_much_is_refused_and_one_field_never_multiplies() {
    let ports: Vec<_> = (0..32).map(|port| format!("server.port = {port}")).collect();
    let filter = Filter::parse_for_newcomers(&ports.join(" OR ")).unwrap();
    assert_eq!(filter.alternatives().map(|alternatives| alternatives.len()), Some(1));
    let pair = |n: u32| format!("(client.port = {n} OR client.address = 10.0.0.{n} OR vlan = {n})");
    let pairs: Vec<_> = (0..7).map(pair).collect();
    let filter = Filter::parse_for_newcomers(&pairs.join(" OR ")).unwrap();
    assert_eq!(filter.alternatives().map(|alternatives| alternatives.len()), Some(3));
    let wide = |n: u32| format!("(client.port != {n} OR server.port != {n} OR vlan != {n})");
    let wide: Vec<_> = (0..10).map(wide).collect();
    assert_eq!(Filter::parse_for_newcomers(&wide.join(" AND ")).unwrap().alternatives(), None);
}

#[test]
fn text_comparisons_and_depth_are_bounded() {
    let many = |n: usize| vec!["core = 1"; n].join(" OR ");
    assert_eq!(Filter::parse(&many(FILTER_COMPARISONS_MAX)).err(), None);
    refused(&many(FILTER_COMPARISONS_MAX + 1), FilterErrorKind::Invalid, 385);
    let deep = |n: usize| format!("{}core = 1{}", "(".repeat(n), ")".repeat(n));
    assert_eq!(Filter::parse(&deep(FILTER_DEPTH_MAX)).err(), None);
    refused(&deep(FILTER_DEPTH_MAX + 1), FilterErrorKind::Invalid, 9);
    let long = |n: usize| format!("{:n$}", "core = 1");
    assert_eq!(Filter::parse(&long(FILTER_TEXT_MAX)).err(), None);
    refused(&long(FILTER_TEXT_MAX + 1), FilterErrorKind::Invalid, FILTER_TEXT_MAX + 1);
    // Hostile nesting is refused before it overflows the stack.
    refused(&"-".repeat(FILTER_TEXT_MAX), FilterErrorKind::Invalid, 9);
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0_u32..16).prop_map(|low| IpAddr::V4((0x0a00_0000 | low << 20 | low).into())),
        (0_u128..16).prop_map(|low| IpAddr::V6(((0x2001_0db8 << 96) | low << 60 | low).into())),
    ]
}

fn any_prefix() -> impl Strategy<Value = Value> {
    (any_address(), 0_u8..=128).prop_map(|(address, length)| {
        let length = if address.is_ipv4() { length % 33 } else { length };
        Value::Prefix(Prefix::new(address, length).unwrap())
    })
}

fn any_state() -> impl Strategy<Value = TcpState> {
    (0..STATES.len()).prop_map(|index| STATES[index].1)
}

fn any_scope() -> impl Strategy<Value = Option<StopScope>> {
    prop_oneof![
        Just(None),
        Just(Some(StopScope::Client)),
        Just(Some(StopScope::Server)),
        Just(Some(StopScope::Both))
    ]
}

fn any_policy() -> impl Strategy<Value = OverlapPolicy> {
    prop::sample::select(&OverlapPolicy::ALL)
}

fn any_value(kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Address => any_prefix().boxed(),
        Kind::Number => prop_oneof![0..10_u64, any::<u64>()].prop_map(Value::Number).boxed(),
        Kind::Size => prop_oneof![0..10_u64, 0..=Size::MAX.0].prop_map(Value::Number).boxed(),
        Kind::State => any_state().prop_map(Value::State).boxed(),
        Kind::Span => prop_oneof![0..10_u64, any::<u64>()]
            .prop_map(|nanos| Value::Span(Span(Duration::from_nanos(nanos))))
            .boxed(),
        Kind::Scope => any_scope().prop_map(Value::Scope).boxed(),
        Kind::Overlap => any_policy().prop_map(Value::Overlap).boxed(),
        Kind::Truth => any::<bool>().prop_map(Value::Truth).boxed(),
    }
}

const OPS: [Op; 6] =
    [Op::Equal, Op::NotEqual, Op::Less, Op::LessOrEqual, Op::Greater, Op::GreaterOrEqual];

fn any_comparison(scope: Scope) -> impl Strategy<Value = Expr> {
    let fields: Vec<_> = Field::all().filter(|field| field.is_in(scope)).collect();
    (prop::sample::select(fields), 0..OPS.len()).prop_flat_map(|(field, op)| {
        let op = if field.kind().is_ordered() { OPS[op] } else { OPS[op % 2] };
        any_value(field.kind()).prop_map(move |value| Expr::Compare { field, op, value })
    })
}

fn any_expr(scope: Scope) -> impl Strategy<Value = Expr> {
    any_comparison(scope).prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.prop_map(|part| Expr::Not(Box::new(part))),
        ]
    })
}

prop_compose! {
    fn any_flow()(
        ends in (any_address(), any_address(), 0_u16..10, 0_u16..10),
        vlan in prop::option::of(0_u16..10),
        core in 0_u16..10,
        states in (any_state(), any_state()),
        bytes in prop::array::uniform6(0_u64..6),
        options in (0_u64..10, 0_u64..10, any_policy(), any_policy(), any_scope()),
        times in (0_u64..10, 0_u64..10),
        acknowledged in prop::option::of(0_u64..6),
        suspicious in (0_u64..6, 0_u64..6),
        is_one_sided in any::<bool>(),
    ) -> FlowSummary {
        let side = |state, at: usize, suspicious_segments| SideSummary {
            state,
            packets: 0,
            payload_bytes: bytes[at],
            acknowledged: acknowledged.map(StreamOffset),
            retransmits: 0,
            suspicious_segments,
            buffer: mos_stack::BufferSummary {
                next: StreamOffset(bytes[at]),
                buffered_bytes: bytes[at + 1],
                out_of_order_bytes: bytes[at + 2],
                ..Default::default()
            },
        };
        FlowSummary {
            id: FlowId::from_parts(WorkerId::new(core).unwrap(), 1, 1),
            inner_vlan: None,
            tuple: FlowTuple {
                client: SocketAddr::new(ends.0, ends.2),
                server: SocketAddr::new(ends.1, ends.3),
                vlan,
            },
            sides: Sides {
                client: side(states.0, 0, suspicious.0),
                server: side(states.1, 3, suspicious.1),
            },
            is_one_sided,
            options: SockOpts {
                buffer_bytes: Sides { client: options.0, server: options.1 },
                overlap: Sides { client: options.2, server: options.3 },
                stopped: options.4,
            },
            origin: OptionsOrigin::Default,
            revision: 0,
            started: Instant::from_nanos(times.0),
            last_packet: Instant::from_nanos(times.1),
        }
    }
}

const MODEL_NOW: u64 = 12;

/// The naive model: everything is decimal text or bits, and no code is shared with the evaluator.
fn model(expr: &Expr, flow: &FlowSummary) -> bool {
    match expr {
        Expr::And(parts) => !parts.iter().any(|part| !model(part, flow)),
        Expr::Or(parts) => parts.iter().map(|part| model(part, flow)).fold(false, |a, b| a | b),
        Expr::Not(part) => !model(part, flow),
        Expr::Compare { field, op, value } => {
            let order = match (field, value) {
                (Field::Address(side), Value::Prefix(prefix)) => {
                    let end =
                        if *side == Side::Client { flow.tuple.client } else { flow.tuple.server };
                    let inside = bits(end.ip())
                        .starts_with(&bits(prefix.address())[..prefix.length() as usize + 1]);
                    return inside == (op.as_str() == "=");
                }
                (Field::State(side), Value::State(state)) => {
                    return (format!("{:?}", flow.sides[*side].state) == format!("{state:?}"))
                        == (op.as_str() == "=");
                }
                (Field::Option(_), Value::Scope(scope)) => {
                    return (format!("{:?}", flow.options.stopped) == format!("{scope:?}"))
                        == (op.as_str() == "=");
                }
                (Field::Option(SockOptName::Overlap(side)), Value::Overlap(policy)) => {
                    return (format!("{:?}", flow.options.overlap[*side]) == format!("{policy:?}"))
                        == (op.as_str() == "=");
                }
                (Field::OneSided, Value::Truth(wanted)) => {
                    return (flow.is_one_sided.to_string() == wanted.to_string())
                        == (op.as_str() == "=");
                }
                (field, Value::Span(Span(span))) => {
                    let then = if *field == Field::Age { flow.started } else { flow.last_packet };
                    i128::from(MODEL_NOW - then.as_nanos()) - span.as_nanos().cast_signed()
                }
                (field, Value::Number(wanted)) => match model_number(*field, flow) {
                    Some(number) => i128::from(number) - i128::from(*wanted),
                    None => return op.as_str() == "!=",
                },
                other => panic!("{other:?}"),
            };
            match op.as_str() {
                "=" => order == 0,
                "!=" => order != 0,
                "<" => order < 0,
                "<=" => order <= 0,
                ">" => order > 0,
                _ => order >= 0,
            }
        }
    }
}

fn model_number(field: Field, flow: &FlowSummary) -> Option<u64> {
    let sides = [flow.sides.client, flow.sides.server];
    Some(match field.name() {
        "client.port" => flow.tuple.client.port().into(),
        "server.port" => flow.tuple.server.port().into(),
        "vlan" => return flow.tuple.vlan.map(u64::from),
        "core" => flow.id.to_bits() >> 54,
        "payload_bytes" => sides.iter().map(|side| side.payload_bytes).sum(),
        "buffered_bytes" => sides.iter().map(|side| side.buffer.buffered_bytes).sum(),
        "out_of_order_bytes" => sides.iter().map(|side| side.buffer.out_of_order_bytes).sum(),
        "unacknowledged_bytes" => {
            let [client, server] = sides;
            let client_left = server.buffer.next.0.max(client.acknowledged?.0);
            let server_left = client.buffer.next.0.max(server.acknowledged?.0);
            client_left + server_left - client.acknowledged?.0 - server.acknowledged?.0
        }
        "suspicious_segments" => {
            flow.sides.client.suspicious_segments + flow.sides.server.suspicious_segments
        }
        "options.client_buffer_bytes" => flow.options.buffer_bytes.client,
        "options.server_buffer_bytes" => flow.options.buffer_bytes.server,
        other => panic!("{other}"),
    })
}

/// `4` or `6`, then the bits of the address.
fn bits(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("4{:032b}", address.to_bits()),
        IpAddr::V6(address) => format!("6{:0128b}", address.to_bits()),
    }
}

fn size(expr: &Expr) -> usize {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().map(size).sum(),
        Expr::Not(part) => size(part),
        Expr::Compare { .. } => 1,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_printed_filter_reads_as_the_same_filter(expr in any_expr(Scope::Flow)) {
        let text = expr.to_string();
        prop_assume!(text.len() <= FILTER_TEXT_MAX && size(&expr) <= FILTER_COMPARISONS_MAX);
        prop_assert_eq!(Filter::parse(&text), Ok(Filter(Some(expr))), "{}", text);
    }

    #[test]
    fn evaluation_agrees_with_the_naive_model(expr in any_expr(Scope::Flow), flow in any_flow()) {
        let expected = model(&expr, &flow);
        let filter = Filter(Some(expr));
        prop_assert_eq!(filter.matches(&flow, Instant::from_nanos(MODEL_NOW)), expected);
    }

    #[test]
    fn a_flow_that_begins_fits_the_alternatives_if_it_matches(
        expr in any_expr(Scope::Newcomer),
        flow in any_flow(),
    ) {
        let FlowSummary { tuple, .. } = flow;
        let expected = model(&expr, &flow);
        let filter = Filter(Some(expr));
        prop_assert_eq!(filter.failed_by(&tuple).is_none(), expected);
        // Both addresses of a flow have the same version.
        let is_flow = tuple.client.is_ipv4() == tuple.server.is_ipv4();
        if let Some(alternatives) = filter.alternatives().filter(|_| is_flow) {
            let fits = alternatives.iter().any(|alternative| alternative.contains(&tuple));
            prop_assert_eq!(fits, expected, "{:?}", alternatives);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z_.()\"'<>=!0-9 ANDORNT/:ü-]{0,80}") {
        if let Err(error) = Filter::parse(&text) {
            prop_assert!(error.column >= 1 && error.column <= text.chars().count() + 1);
        }
    }
}
