//! The records as text: JSON lines, CSV, or a table.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};

use super::{
    args::Output,
    csv,
    record::{DirectionRecord, FlowRecord},
    time,
};

/// Prints the records in their order.
///
/// # Errors
///
/// When `out` cannot be written.
pub(super) fn print(
    records: &[FlowRecord],
    output: Output,
    out: &mut impl Write,
) -> io::Result<()> {
    match output {
        Output::Table => writeln!(out, "{}", table(records).trim_fmt())?,
        Output::Csv | Output::Jsonl => {
            if output == Output::Csv {
                csv::print_names(out)?;
            }
            records.iter().try_for_each(|record| print_line(record, output, out))?;
        }
    }
    out.flush()
}

/// Prints a record in a form that has a line for each.
///
/// # Errors
///
/// When `out` cannot be written.
pub(super) fn print_line(
    record: &FlowRecord,
    output: Output,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    if output == Output::Csv {
        return csv::print(record, out);
    }
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}

const HEADER: [&str; 11] = [
    "START",
    "SECONDS",
    "CLIENT",
    "SERVER",
    "STATES",
    "END",
    "C2S PKTS",
    "C2S BYTES",
    "S2C PKTS",
    "S2C BYTES",
    "NOTES",
];

fn table(records: &[FlowRecord]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(HEADER);
    for record in records {
        table.add_row([
            time::for_people(record.start_ns),
            seconds(record.end_ns.saturating_sub(record.start_ns)),
            record.client().to_string(),
            record.server().to_string(),
            format!("{}/{}", record.client_state, record.server_state),
            record.end_cause.unwrap_or("open").to_owned(),
            record.c2s.packets.to_string(),
            record.c2s.stream_len.to_string(),
            record.s2c.packets.to_string(),
            record.s2c.stream_len.to_string(),
            notes(record).join(", "),
        ]);
    }
    for column in [1, 6, 7, 8, 9] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The anomalies of a flow.
fn notes(record: &FlowRecord) -> Vec<String> {
    let mut notes = Vec::new();
    if record.one_sided {
        notes.push("one-sided".to_owned());
    }
    notes.extend(anomalies("c2s", &record.c2s));
    notes.extend(anomalies("s2c", &record.s2c));
    notes
}

/// The anomalies of one direction.
fn anomalies(direction: &str, record: &DirectionRecord) -> Vec<String> {
    let DirectionRecord { evicted, missing_bytes, out_of_order_bytes, .. } = record;
    let DirectionRecord { conflicting_bytes, refused_bytes, crowded_out_bytes, .. } = record;
    let DirectionRecord { retransmits, suspicious_segments, .. } = record;
    let received = record.acknowledged_offset.unwrap_or(record.stream_len);
    let unacknowledged = &record.stream_len.saturating_sub(received);
    [
        (retransmits, "retransmitted"),
        (suspicious_segments, "suspicious"),
        (conflicting_bytes, "conflicting bytes"),
        (missing_bytes, "missing bytes"),
        (out_of_order_bytes, "bytes behind a hole"),
        (unacknowledged, "bytes unacknowledged"),
        (evicted, "bytes evicted"),
        (crowded_out_bytes, "bytes evicted early"),
        (refused_bytes, "bytes refused"),
    ]
    .into_iter()
    .filter(|(count, _)| **count > 0)
    .map(|(count, what)| format!("{direction} {count} {what}"))
    .collect()
}

fn seconds(nanos: u64) -> String {
    let millis = nanos / 1_000_000;
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_in_seconds() {
        assert_eq!(seconds(61_002_900_000), "61.002");
    }
}
