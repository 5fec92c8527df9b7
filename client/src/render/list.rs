//! A list of flows, written page by page in the chosen format.

use std::time::SystemTime;

use mos_proto::v1::Flow;

use super::{
    Output, Table, document,
    flow::{self, Width},
};
use crate::{args::Format, error::Failure};

/// Whether a list holds every matching flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Every matching flow.
    Complete,
    /// A limit, a core without an answer, or an error cut it short.
    Partial,
}

/// A partly written list.
#[derive(Debug)]
pub(crate) struct FlowList {
    format: Format,
    table: Table,
    written: u64,
}

impl FlowList {
    /// An empty list.
    pub(crate) fn new(output: &Output) -> Self {
        let table = Table::new(flow::columns(width(output.format())), output.titles());
        Self { format: output.format(), table, written: 0 }
    }

    /// Flows written so far.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// Writes more flows.
    pub(crate) fn page(&mut self, output: &mut Output, flows: &[Flow]) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table | Format::Wide if flows.is_empty() => String::new(),
            Format::Table | Format::Wide => {
                let (width, now) = (width(self.format), SystemTime::now());
                let rows: Vec<_> = flows.iter().map(|f| flow::row(f, width, now)).collect();
                self.table.rows(&rows)
            }
            Format::Json => self.json_items(flows)?,
            Format::Jsonl => {
                let lines: Result<Vec<_>, _> = flows.iter().map(json_line).collect();
                lines?.concat()
            }
            Format::Yaml if flows.is_empty() => String::new(),
            Format::Yaml => {
                let start = if self.written == 0 { "flows:\n" } else { "" };
                let items: Result<Vec<_>, _> =
                    flows.iter().map(|flow| document::dynamic("Flow", flow)).collect();
                format!("{start}{}", document::yaml_items(&items?)?)
            }
            Format::Name => flows.iter().map(|flow| format!("{}\n", flow.name)).collect(),
        };
        self.written += flows.len() as u64;
        output.text(&text)?;
        Ok(output.flush()?)
    }

    /// Ends the list; JSON and YAML say whether it is complete.
    pub(crate) fn end(mut self, output: &mut Output, extent: Extent) -> Result<(), Failure> {
        let complete = extent == Extent::Complete;
        let text = match self.format {
            // A table without rows still shows its titles.
            Format::Table | Format::Wide if self.written == 0 => self.table.rows(&[]),
            Format::Table | Format::Wide | Format::Jsonl | Format::Name => String::new(),
            Format::Json if self.written == 0 => {
                format!("{{\"flows\":[],\"complete\":{complete}}}\n")
            }
            Format::Json => format!("\n],\"complete\":{complete}}}\n"),
            Format::Yaml if self.written == 0 => format!("flows: []\ncomplete: {complete}\n"),
            Format::Yaml => format!("complete: {complete}\n"),
        };
        output.text(&text)?;
        Ok(output.flush()?)
    }

    /// Items of the JSON array, one on each line.
    fn json_items(&self, flows: &[Flow]) -> Result<String, Failure> {
        let mut text = String::new();
        for flow in flows {
            let first = self.written == 0 && text.is_empty();
            text.push_str(if first { "{\"flows\":[\n" } else { ",\n" });
            text.push_str(json_line(flow)?.trim_end());
        }
        Ok(text)
    }
}

const fn width(format: Format) -> Width {
    if matches!(format, Format::Wide) { Width::Wide } else { Width::Narrow }
}

fn json_line(flow: &Flow) -> Result<String, Failure> {
    document::json(&document::dynamic("Flow", flow)?)
}
