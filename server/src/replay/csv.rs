//! The records as CSV (RFC 4180): a line of names, and a line for each record. The columns are the
//! keys of the JSON form, those of a direction with its name before them; what is absent there is
//! empty here. Columns are only ever added, at the end of a direction's or of all.

use std::io::{self, Write};

use super::record::{DirectionRecord, FlowRecord};

const LINE_END: &[u8] = b"\r\n";

/// The columns of a flow.
const OF_FLOW: [&str; 11] = [
    "client_ip",
    "client_port",
    "server_ip",
    "server_port",
    "vlan",
    "start_ns",
    "end_ns",
    "end_cause",
    "one_sided",
    "client_state",
    "server_state",
];

/// The columns of each direction.
const OF_DIRECTION: [&str; 16] = [
    "policy",
    "packets",
    "payload_bytes",
    "retransmits",
    "suspicious_segments",
    "stream_len",
    "acknowledged_offset",
    "sha256",
    "file",
    "evicted",
    "crowded_out_bytes",
    "gaps",
    "missing_bytes",
    "out_of_order_bytes",
    "conflicting_bytes",
    "refused_bytes",
];

/// Prints the names of the columns.
///
/// # Errors
///
/// When `out` cannot be written.
pub(super) fn print_names(out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let of = |direction: &'static str| OF_DIRECTION.map(|name| format!("{direction}_{name}"));
    let names = OF_FLOW.map(str::to_owned).into_iter().chain(of("c2s")).chain(of("s2c"));
    print_line(names, out)
}

/// Prints a record.
///
/// # Errors
///
/// When `out` cannot be written.
pub(super) fn print(record: &FlowRecord, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let FlowRecord { c2s, s2c, .. } = record;
    print_line(flow(record).into_iter().chain(direction(c2s)).chain(direction(s2c)), out)
}

fn flow(record: &FlowRecord) -> [String; OF_FLOW.len()] {
    [
        record.client_ip.clone(),
        record.client_port.to_string(),
        record.server_ip.clone(),
        record.server_port.to_string(),
        optional(record.vlan.as_ref()),
        record.start_ns.to_string(),
        record.end_ns.to_string(),
        optional(record.end_cause.as_ref()),
        record.one_sided.to_string(),
        record.client_state.clone(),
        record.server_state.clone(),
    ]
}

fn direction(record: &DirectionRecord) -> [String; OF_DIRECTION.len()] {
    [
        record.policy.to_owned(),
        record.packets.to_string(),
        record.payload_bytes.to_string(),
        record.retransmits.to_string(),
        record.suspicious_segments.to_string(),
        record.stream_len.to_string(),
        optional(record.acknowledged_offset.as_ref()),
        optional(record.sha256.as_ref()),
        optional(record.file.as_ref()),
        record.evicted.to_string(),
        record.crowded_out_bytes.to_string(),
        record.gaps.to_string(),
        record.missing_bytes.to_string(),
        record.out_of_order_bytes.to_string(),
        record.conflicting_bytes.to_string(),
        record.refused_bytes.to_string(),
    ]
}

fn optional(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// No cell holds a comma, a quote or the end of a line: all are numbers, addresses and our own
/// words.
fn print_line(
    cells: impl Iterator<Item = String>,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    for (index, cell) in cells.enumerate() {
        debug_assert!(!cell.contains([',', '"', '\r', '\n']), "{cell} would need quotes");
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(cell.as_bytes())?;
    }
    out.write_all(LINE_END)
}
