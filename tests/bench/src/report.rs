//! The rows of a run, as a table.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};

use crate::{
    measure::{Timing, ratio},
    mode::{Mode, Verification},
};

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name of the traffic.
    pub traffic: String,
    /// What was done with each packet.
    pub mode: Mode,
    /// Whether checksums were verified.
    pub checksums: Verification,
    /// The stack.
    pub timing: Timing,
    /// The least loop.
    pub ceiling: Timing,
    /// Mean length of a packet on the wire, in bytes.
    pub wire_bytes: f64,
    /// Memory that the stack took, in bytes.
    pub memory_bytes: u64,
    /// Anything that was not as it should be.
    pub note: String,
}

impl Row {
    /// Packets in a microsecond, as one core of CPU time would do.
    #[must_use]
    pub fn mpps(&self) -> f64 {
        1000.0 / self.timing.median_ns
    }

    /// Bits on the wire in a nanosecond.
    #[must_use]
    pub fn gbps(&self) -> f64 {
        self.wire_bytes * 8.0 / self.timing.median_ns
    }

    /// Cycles of a clock of `mhz`, which is that of the machine's time stamp counter.
    #[must_use]
    pub fn cycles(&self, mhz: f64) -> f64 {
        self.timing.median_ns * mhz / 1000.0
    }

    /// How many times as long as the ceiling.
    #[must_use]
    pub fn to_ceiling(&self) -> f64 {
        self.timing.median_ns / self.ceiling.median_ns
    }
}

/// Writes the rows as a table.
///
/// # Errors
///
/// The output takes no more.
pub fn write_table(out: &mut impl Write, rows: &[Row], mhz: Option<f64>) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "traffic", "mode", "sums", "ns", "mean", "Mpps", "Gbps", "cycles", "ceiling", "ratio",
        "MiB", "",
    ]);
    for row in rows {
        table.add_row([
            row.traffic.clone(),
            row.mode.to_string(),
            row.checksums.to_string(),
            format!("{:.1}", row.timing.median_ns),
            format!("{:.1}", row.timing.mean_ns),
            format!("{:.2}", row.mpps()),
            format!("{:.2}", row.gbps()),
            mhz.map_or_else(|| "-".to_owned(), |mhz| format!("{:.0}", row.cycles(mhz))),
            format!("{:.1}", row.ceiling.median_ns),
            format!("{:.2}", row.to_ceiling()),
            format!("{:.1}", ratio(row.memory_bytes, 1 << 20)),
            row.note.clone(),
        ]);
    }
    for column in table.column_iter_mut().skip(3).take(8) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}")
}
