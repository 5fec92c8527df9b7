//! The rows of a run, as a table.

use std::{
    fs,
    io::{self, Write},
};

use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use serde::{Deserialize, Serialize};

use crate::{
    measure::{Timing, ratio},
    mode::{Mode, Verification},
};

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the traffic.
    pub traffic: String,
    /// Where the packets came from.
    pub source: String,
    /// What was done with each packet.
    pub mode: Mode,
    /// Whether checksums were verified.
    pub checksums: Verification,
    /// Workers, all at the same time.
    pub workers: u16,
    /// CPU time per packet in the stack.
    pub timing: Timing,
    /// The same in the least loop.
    pub ceiling: Timing,
    /// Packets measured.
    pub packets: u64,
    /// Mean length of a packet on the wire, in bytes: with preamble, check sequence and gap.
    pub wire_bytes: f64,
    /// Memory that the stack took, in bytes.
    pub memory_bytes: u64,
    /// Remarks; empty if everything was tracked and stored.
    pub note: String,
}

impl Row {
    /// Packets per microsecond of CPU time of all workers.
    #[must_use]
    pub fn mpps(&self) -> f64 {
        1000.0 * f64::from(self.workers) / self.timing.median_ns
    }

    /// Bits on the wire per nanosecond of CPU time of all workers.
    #[must_use]
    pub fn gbps(&self) -> f64 {
        self.wire_bytes * 8.0 * self.mpps() / 1000.0
    }

    /// Cycles per packet of a clock of `mhz`: that of the machine's time stamp counter.
    #[must_use]
    pub fn cycles(&self, mhz: f64) -> f64 {
        self.timing.median_ns * mhz / 1000.0
    }

    /// Time per packet as a multiple of the ceiling.
    #[must_use]
    pub fn to_ceiling(&self) -> f64 {
        self.timing.median_ns / self.ceiling.median_ns
    }
}

/// The rows of a run, and the machine that they were measured on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name of the processor; empty if unknown.
    pub processor: String,
    /// Clock of the processor as `/proc/cpuinfo` gives it, in MHz; `None` if unknown.
    pub clock_mhz: Option<f64>,
    /// The rows, in the order in which they were measured.
    pub rows: Vec<Row>,
}

impl Report {
    /// A report of this machine.
    #[must_use]
    pub fn of_machine(rows: Vec<Row>) -> Self {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let clock_mhz = value("cpu MHz").and_then(|mhz| mhz.parse().ok());
        Self { processor: value("model name").unwrap_or_default(), clock_mhz, rows }
    }
}

/// Writes the rows as a table.
///
/// # Errors
///
/// `out` cannot be written.
pub fn write_table(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let mhz = report.clock_mhz;
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "traffic", "source", "mode", "sums", "workers", "ns", "mean", "Mpps", "Gbps", "cycles",
        "ceiling", "ratio", "MiB", "note",
    ]);
    for row in &report.rows {
        table.add_row([
            row.traffic.clone(),
            row.source.clone(),
            row.mode.to_string(),
            row.checksums.to_string(),
            row.workers.to_string(),
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
    for column in table.column_iter_mut().skip(4).take(9) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}")
}
