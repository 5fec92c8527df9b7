//! Flows and their options in words.

use std::time::SystemTime;

use mos_proto::v1::{
    BufferPositions, Flow, FlowOptions, FlowTuple, Fragment, GetSockOptResponse, OptionsOrigin,
    OverlapPolicy, SideStats, StopScope, TcpState,
};
use mos_text::{FlowName, Span};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};
use prost_types::Timestamp;

use super::{Align, Table, Titles, document::dynamic, pairs};
use crate::{
    args::Format,
    error::Failure,
    request,
    units::{format_bytes, format_count},
};

/// What a cell shows when its value is not known.
pub(super) const UNKNOWN: &str = "-";

/// The columns of `table`, followed by those that `wide` adds.
const COLUMNS: [(&str, Align); 23] = [
    ("NAME", Align::Left),
    ("CLIENT", Align::Left),
    ("SERVER", Align::Left),
    ("CORE", Align::Right),
    ("STATE", Align::Left),
    ("CLIBUF", Align::Right),
    ("SVRBUF", Align::Right),
    ("BUFFERED", Align::Right),
    ("AGE", Align::Right),
    ("IDLE", Align::Right),
    ("VLAN", Align::Right),
    ("OVERLAP", Align::Left),
    ("STOPPED", Align::Left),
    ("PACKETS", Align::Right),
    ("BYTES", Align::Right),
    ("UNACKED", Align::Right),
    ("RETRANS", Align::Right),
    ("SUSPICIOUS", Align::Right),
    ("ONE-SIDED", Align::Left),
    ("MISSING", Align::Right),
    ("CONFLICT", Align::Right),
    ("ORIGIN", Align::Left),
    ("COMMUNITY-ID", Align::Left),
];

/// How many columns a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// Those of `table`.
    Narrow,
    /// All of them.
    Wide,
}

/// The columns of a table with a value for each side.
const SIDES: [(&str, Align); 3] =
    [("", Align::Left), ("CLIENT", Align::Right), ("SERVER", Align::Right)];

/// Number of columns of `table`.
const NARROW: usize = 9;

/// The columns of a list of flows.
pub(super) fn columns(width: Width) -> &'static [(&'static str, Align)] {
    match width {
        Width::Wide => &COLUMNS,
        Width::Narrow => COLUMNS.get(..NARROW).unwrap_or(&COLUMNS),
    }
}

/// The row of one flow, as of `now`.
pub(super) fn row(flow: &Flow, width: Width, now: SystemTime) -> Vec<String> {
    let options = flow.options.unwrap_or_default();
    let tuple = flow.tuple.clone().unwrap_or_default();
    let stats = flow.client_stats.as_ref().zip(flow.server_stats.as_ref());
    let sum = |field: fn(&SideStats) -> i64| {
        stats.map(|(client, server)| field(client).saturating_add(field(server)))
    };
    let count = |field| sum(field).map_or_else(|| UNKNOWN.to_owned(), format_count);
    let size = |bytes: Option<i64>| bytes.map_or_else(|| UNKNOWN.to_owned(), format_bytes);
    let held = sum(|side| side.buffered_bytes.saturating_add(side.out_of_order_bytes));
    let mut cells = vec![
        FlowName::short(&flow.name).to_owned(),
        endpoint(&tuple.client_address, tuple.client_port),
        endpoint(&tuple.server_address, tuple.server_port),
        flow.core.to_string(),
        states(flow),
        size(options.client_buffer_bytes),
        size(options.server_buffer_bytes),
        size(held),
        since(flow.start_time.as_ref(), now),
    ];
    if width == Width::Wide {
        cells.extend([
            since(flow.last_packet_time.as_ref(), now),
            vlans(&tuple),
            overlaps(&options),
            options.stop_monitoring.map_or(UNKNOWN, |_| stop_name(&options)).to_owned(),
            count(|side| side.packet_count),
            size(sum(|side| side.payload_bytes)),
            size(stats.and_then(|(client, server)| {
                Some(unacknowledged(client)?.saturating_add(unacknowledged(server)?))
            })),
            count(|side| side.retransmit_count),
            count(|side| side.suspicious_segment_count),
            one_sided(flow).to_owned(),
            size(sum(|side| side.missing_bytes)),
            size(sum(|side| side.conflicting_bytes)),
            origin_name(flow.options_origin()).to_owned(),
            flow.community_id.clone(),
        ]);
    }
    cells
}

/// Everything about one flow, as of `now`; with `-o wide` the contents of its buffers, too.
pub(crate) fn flow_details(flow: &Flow, format: Format, now: SystemTime) -> String {
    let options = flow.options.unwrap_or_default();
    let mut text = pairs(&[
        ("flow", flow.name.clone()),
        ("tuple", flow.tuple.as_ref().map_or_else(|| UNKNOWN.to_owned(), tuple_alias)),
        ("core", flow.core.to_string()),
        ("started", moment(flow.start_time.as_ref(), now)),
        ("last packet", moment(flow.last_packet_time.as_ref(), now)),
        ("one-sided", one_sided(flow).to_owned()),
        ("options from", origin_name(flow.options_origin()).to_owned()),
        ("etag", flow.etag.clone()),
        ("community id", flow.community_id.clone()),
    ]);
    text.push('\n');
    let mut rows = vec![
        cells("state", state(flow.client_state()), state(flow.server_state())),
        cells(
            "receive buffer",
            size_or_unknown(options.client_buffer_bytes),
            size_or_unknown(options.server_buffer_bytes),
        ),
        cells(
            "overlap",
            overlap_name(options.client_overlap),
            overlap_name(options.server_overlap),
        ),
    ];
    if options.stop_monitoring.is_some() {
        let stopped = |sides: [StopScope; 2]| {
            if sides.contains(&options.stop_monitoring()) { "stopped" } else { "yes" }
        };
        rows.push(cells(
            "monitored",
            stopped([StopScope::Client, StopScope::Both]),
            stopped([StopScope::Server, StopScope::Both]),
        ));
    }
    if let (Some(client), Some(server)) = (&flow.client_stats, &flow.server_stats) {
        rows.extend(side_rows(client, server));
        if format == Format::Wide {
            rows.extend(buffer_rows(client, server));
        }
    }
    text.push_str(&Table::new(&SIDES, Titles::Shown).rows(&rows));
    text
}

const fn one_sided(flow: &Flow) -> &'static str {
    if flow.one_sided { "yes" } else { "no" }
}

/// Bytes that an endpoint sent and the other has not acknowledged.
fn unacknowledged(side: &SideStats) -> Option<i64> {
    Some(side.stream_bytes.saturating_sub(side.acknowledged_offset?).max(0))
}

fn side_rows(client: &SideStats, server: &SideStats) -> Vec<Vec<String>> {
    let count = |label, field: fn(&SideStats) -> i64| {
        cells(label, format_count(field(client)), format_count(field(server)))
    };
    let size = |label, field: fn(&SideStats) -> i64| {
        cells(label, format_bytes(field(client)), format_bytes(field(server)))
    };
    vec![
        size("buffered", |side| side.buffered_bytes),
        size("out of order", |side| side.out_of_order_bytes),
        size("overwritten", |side| side.overwritten_bytes),
        count("packets sent", |side| side.packet_count),
        size("payload sent", |side| side.payload_bytes),
        size("stream sent", |side| side.stream_bytes),
        cells(
            "acknowledged",
            size_or_unknown(client.acknowledged_offset),
            size_or_unknown(server.acknowledged_offset),
        ),
        count("retransmitted", |side| side.retransmit_count),
        count("suspicious", |side| side.suspicious_segment_count),
        size("missing", |side| side.missing_bytes),
        size("conflicting", |side| side.conflicting_bytes),
    ]
}

/// Positions and fragments of both receive buffers, with the names of `mtcp_getsockopt(3)`.
fn buffer_rows(client: &SideStats, server: &SideStats) -> Vec<Vec<String>> {
    let position = |label, field: fn(&BufferPositions) -> u32| {
        let number = |side: &SideStats| {
            let positions = side.positions.as_ref();
            positions.map_or_else(|| UNKNOWN.to_owned(), |at| field(at).to_string())
        };
        cells(label, number(client), number(server))
    };
    let mut rows = vec![
        position("init seq", |at| at.init_seq),
        position("last byte read", |at| at.last_byte_read),
        position("next byte expected", |at| at.next_byte_expected),
        position("last byte received", |at| at.last_byte_received),
        cells("fragments", client.fragment_count.to_string(), server.fragment_count.to_string()),
    ];
    let listed = client.fragments.len().max(server.fragments.len());
    for index in 0..listed {
        let range = |side: &SideStats| side.fragments.get(index).map_or_else(String::new, fragment);
        rows.push(cells("", range(client), range(server)));
    }
    let unlisted = |side: &SideStats| {
        let listed = i32::try_from(side.fragments.len()).unwrap_or(i32::MAX);
        side.fragment_count.saturating_sub(listed)
    };
    if unlisted(client) > 0 || unlisted(server) > 0 {
        let more = |side: &SideStats| match unlisted(side) {
            0 => String::new(),
            count => format!("and {count} more"),
        };
        rows.push(cells("", more(client), more(server)));
    }
    rows
}

/// A range of held bytes: its first offset, and one past its last.
fn fragment(fragment: &Fragment) -> String {
    let end = fragment.offset.saturating_add(fragment.length_bytes);
    format!("{}..{end}", fragment.offset)
}

/// The states of both sides, and the contents of their receive buffers.
pub(crate) fn side_details(answer: &GetSockOptResponse) -> String {
    let (client, server) = (answer.client_state(), answer.server_state());
    let mut rows = vec![cells("state", state(client), state(server))];
    if let (Some(client), Some(server)) = (&answer.client_stats, &answer.server_stats) {
        rows.extend(buffer_rows(client, server));
    }
    Table::new(&SIDES, Titles::Shown).rows(&rows)
}

/// One option of a message, in words.
struct Facet {
    label: String,
    is_set: bool,
    value: String,
}

/// The options of a message, in the order of its fields: the API describes its own options.
fn facets(options: &FlowOptions) -> Result<Vec<Facet>, Failure> {
    let message = dynamic("FlowOptions", options)?;
    let facet = |field: FieldDescriptor| Facet {
        label: match field.name() {
            "stop_monitoring" => "stopped".to_owned(),
            name => name.trim_end_matches("_bytes").replace('_', " "),
        },
        is_set: message.has_field(&field),
        value: facet_value(&field, &message),
    };
    Ok(message.descriptor().fields().map(facet).collect())
}

/// A size, or the word of an enumerated value.
fn facet_value(field: &FieldDescriptor, message: &DynamicMessage) -> String {
    let is_set = message.has_field(field);
    match (&*message.get_field(field), field.kind()) {
        (Value::EnumNumber(number), Kind::Enum(words)) if is_set => {
            let unspecified = words.default_value();
            let prefix = unspecified.name().trim_end_matches("UNSPECIFIED");
            let word = words.get_value(*number);
            let word = word.as_ref().and_then(|word| word.name().strip_prefix(prefix));
            word.map_or_else(|| UNKNOWN.to_owned(), str::to_ascii_lowercase)
        }
        (Value::I64(bytes), _) if is_set => format_bytes(*bytes),
        // An absent `stop_monitoring` means that no side is stopped.
        (..) if field.name() == "stop_monitoring" => "none".to_owned(),
        (..) => UNKNOWN.to_owned(),
    }
}

/// The options of one flow.
pub(crate) fn option_details(
    name: &str,
    options: &FlowOptions,
) -> Result<Vec<(String, String)>, Failure> {
    let mut lines = vec![("flow".to_owned(), name.to_owned())];
    lines.extend(facets(options)?.into_iter().map(|facet| (facet.label, facet.value)));
    Ok(lines)
}

/// The options that changed from `old` to `new`, and those of `asked` that did not change.
///
/// Without `old`, the new values of the options of `asked`.
pub(crate) fn option_change(
    asked: Option<&FlowOptions>,
    old: Option<&FlowOptions>,
    new: &FlowOptions,
) -> Result<String, Failure> {
    let asked = asked.map(facets).transpose()?;
    let old = old.map(facets).transpose()?;
    let mut parts = Vec::new();
    for (index, Facet { label, value: after, .. }) in facets(new)?.iter().enumerate() {
        let was_asked = asked.as_ref().is_some_and(|asked| asked[index].is_set);
        match old.as_ref().map(|old| &old[index].value) {
            Some(before) if before != after => parts.push(format!("{label} {before} -> {after}")),
            Some(_) if was_asked => parts.push(format!("{label} {after} (unchanged)")),
            None if was_asked => parts.push(format!("{label} {after}")),
            Some(_) | None => {}
        }
    }
    Ok(if parts.is_empty() { "unchanged".to_owned() } else { parts.join(", ") })
}

/// An overlap policy in one word.
pub(super) fn overlap_name(policy: Option<i32>) -> &'static str {
    match policy.map(OverlapPolicy::try_from) {
        Some(Ok(OverlapPolicy::First)) => "first",
        Some(Ok(OverlapPolicy::Last)) => "last",
        Some(Ok(OverlapPolicy::Linux)) => "linux",
        Some(Ok(OverlapPolicy::Unspecified) | Err(_)) | None => UNKNOWN,
    }
}

/// The sides that are no longer monitored, in one word.
fn stop_name(options: &FlowOptions) -> &'static str {
    match options.stop_monitoring() {
        StopScope::Unspecified => "none",
        StopScope::Client => "client",
        StopScope::Server => "server",
        StopScope::Both => "both",
    }
}

pub(crate) const fn origin_name(origin: OptionsOrigin) -> &'static str {
    match origin {
        OptionsOrigin::Unspecified => UNKNOWN,
        OptionsOrigin::Default => "default",
        OptionsOrigin::Policy => "policy",
        OptionsOrigin::Explicit => "explicit",
    }
}

fn cells(label: &str, client: impl Into<String>, server: impl Into<String>) -> Vec<String> {
    vec![label.to_owned(), client.into(), server.into()]
}

fn overlaps(options: &FlowOptions) -> String {
    let (client, server) =
        (overlap_name(options.client_overlap), overlap_name(options.server_overlap));
    if client == server { client.to_owned() } else { format!("{client}/{server}") }
}

fn size_or_unknown(bytes: Option<i64>) -> String {
    bytes.map_or_else(|| UNKNOWN.to_owned(), format_bytes)
}

fn state(state: TcpState) -> &'static str {
    request::state_name(state)
}

/// One state if both sides share it, else the client's and the server's.
fn states(flow: &Flow) -> String {
    let (client, server) = (state(flow.client_state()), state(flow.server_state()));
    if client == server { client.to_owned() } else { format!("{client}/{server}") }
}

pub(super) fn endpoint(address: &str, port: i32) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// The VLAN id of a tuple, and behind a dot the inner one; [`UNKNOWN`] for none.
fn vlans(tuple: &FlowTuple) -> String {
    match (tuple.vlan_id, tuple.inner_vlan_id) {
        (Some(outer), Some(inner)) => format!("{outer}.{inner}"),
        (Some(outer), None) => outer.to_string(),
        (None, _) => UNKNOWN.to_owned(),
    }
}

/// The tuple in the form that every command takes.
fn tuple_alias(tuple: &FlowTuple) -> String {
    let vlan = tuple.vlan_id.map(|id| format!("@{id}")).unwrap_or_default();
    format!(
        "tcp/{}-{}{vlan}",
        endpoint(&tuple.client_address, tuple.client_port),
        endpoint(&tuple.server_address, tuple.server_port)
    )
}

/// The time since `then`; [`UNKNOWN`] if `then` is absent or in the future.
pub(super) fn since(then: Option<&Timestamp>, now: SystemTime) -> String {
    then.and_then(|then| SystemTime::try_from(*then).ok())
        .and_then(|then| now.duration_since(then).ok())
        .map_or_else(|| UNKNOWN.to_owned(), |passed| Span(passed).rounded())
}

fn moment(then: Option<&Timestamp>, now: SystemTime) -> String {
    then.map_or_else(
        || UNKNOWN.to_owned(),
        |timestamp| format!("{timestamp} ({} ago)", since(Some(timestamp), now)),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn options(client: i64, server: i64) -> FlowOptions {
        FlowOptions {
            client_buffer_bytes: Some(client),
            server_buffer_bytes: Some(server),
            client_overlap: Some(OverlapPolicy::First.into()),
            server_overlap: Some(OverlapPolicy::Last.into()),
            stop_monitoring: None,
        }
    }

    fn flow() -> Flow {
        Flow {
            name: "flows/00c004a900c901f2".to_owned(),
            tuple: Some(FlowTuple {
                client_address: "2001:db8::5".to_owned(),
                client_port: 40_022,
                server_address: "2001:db8::a".to_owned(),
                server_port: 443,
                vlan_id: Some(100),
                inner_vlan_id: None,
            }),
            core: 3,
            client_state: TcpState::Established.into(),
            server_state: TcpState::CloseWait.into(),
            options: Some(options(8192, 0)),
            client_stats: Some(SideStats { buffered_bytes: 1_400, ..SideStats::default() }),
            server_stats: Some(SideStats { out_of_order_bytes: 20, ..SideStats::default() }),
            start_time: Some(Timestamp { seconds: 1_000, nanos: 0 }),
            ..Flow::default()
        }
    }

    /// What a wide row has in the column of this title.
    fn cell(flow: &Flow, title: &str) -> String {
        let column = COLUMNS.iter().position(|(other, _)| *other == title).unwrap();
        row(flow, Width::Wide, SystemTime::UNIX_EPOCH)[column].clone()
    }

    /// The line of the details that begins with this label, one space between two words.
    fn line(flow: &Flow, label: &str) -> String {
        let details = flow_details(flow, Format::Table, SystemTime::UNIX_EPOCH);
        let line = details.lines().find(|line| line.starts_with(label)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_row_shows_both_sides_and_what_is_held() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_192);
        assert_eq!(
            row(&flow(), Width::Narrow, now),
            [
                "00c004a900c901f2",
                "[2001:db8::5]:40022",
                "[2001:db8::a]:443",
                "3",
                "ESTABLISHED/CLOSE_WAIT",
                "8 KiB",
                "0 B",
                "1420 B",
                "3m12s",
            ]
        );
    }

    #[test]
    fn a_wide_row_and_the_details_tell_sent_from_acknowledged() {
        let stats = |stream_bytes, acknowledged_offset| {
            Some(SideStats { stream_bytes, acknowledged_offset, ..SideStats::default() })
        };
        let mut flow = flow();
        flow.client_stats = stats(700, Some(650));
        flow.server_stats = stats(90, Some(50));
        assert_eq!(cell(&flow, "UNACKED"), "90 B");
        assert_eq!(line(&flow, "stream sent"), "stream sent 700 B 90 B");
        assert_eq!(line(&flow, "acknowledged"), "acknowledged 650 B 50 B");
        flow.server_stats = stats(90, None);
        assert_eq!(cell(&flow, "UNACKED"), UNKNOWN);
    }

    #[test]
    fn a_wide_row_and_the_details_count_suspicious_segments() {
        let stats = |suspicious_segment_count| {
            Some(SideStats { suspicious_segment_count, ..SideStats::default() })
        };
        let mut flow = flow();
        (flow.client_stats, flow.server_stats) = (stats(3), stats(1));
        assert_eq!(cell(&flow, "SUSPICIOUS"), "4");
        assert_eq!(line(&flow, "suspicious"), "suspicious 3 1");
    }

    #[test]
    fn a_wide_row_and_the_details_say_whether_one_side_was_never_heard() {
        for (one_sided, word) in [(true, "yes"), (false, "no")] {
            let flow = Flow { one_sided, ..flow() };
            assert_eq!(cell(&flow, "ONE-SIDED"), word);
            assert_eq!(line(&flow, "one-sided"), format!("one-sided {word}"));
        }
    }

    #[test]
    fn every_row_fills_its_columns() {
        for width in [Width::Narrow, Width::Wide] {
            let cells = row(&flow(), width, SystemTime::UNIX_EPOCH);
            assert_eq!(cells.len(), columns(width).len());
            assert_eq!(row(&Flow::default(), width, SystemTime::UNIX_EPOCH).len(), cells.len());
        }
    }

    #[test]
    fn details_name_the_tuple_as_commands_take_it() {
        let text = flow_details(
            &flow(),
            Format::Table,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_041),
        );
        assert!(text.contains("tcp/[2001:db8::5]:40022-[2001:db8::a]:443@100"), "{text}");
        assert!(text.contains("1970-01-01T00:16:40Z (41s ago)"), "{text}");
    }

    #[test]
    fn a_change_tells_old_and_new() {
        let asked = FlowOptions { client_buffer_bytes: Some(65_536), ..FlowOptions::default() };
        let (old, new) = (options(8_192, 8_192), options(65_536, 8_192));
        let told = |old, new| option_change(Some(&asked), old, new).unwrap();
        assert_eq!(told(Some(&old), &new), "client buffer 8 KiB -> 64 KiB");
        assert_eq!(told(Some(&new), &new), "client buffer 64 KiB (unchanged)");
        assert_eq!(told(None, &new), "client buffer 64 KiB");
        let changed = |old, new| option_change(None, Some(old), new).unwrap();
        assert_eq!(changed(&old, &new), "client buffer 8 KiB -> 64 KiB");
        assert_eq!(changed(&new, &new), "unchanged");
    }

    #[test]
    fn a_stop_changes_a_word() {
        let old = options(1, 1);
        let new = FlowOptions { stop_monitoring: Some(StopScope::Both.into()), ..old };
        assert_eq!(option_change(None, Some(&old), &new).unwrap(), "stopped none -> both");
    }
}
