//! `mosd replay --summary`: what a capture holds, at a glance.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write},
    net::IpAddr,
};

use mos_stack::{Stat, Stats};
use serde::Serialize;

use super::{
    args::Output,
    record::{FlowRecord, as_string},
    time,
};

/// Hosts that are told, at most.
const HOSTS: usize = 10;

/// How a flow is counted that was open when the capture ended.
const OPEN: &str = "open";

/// The whole capture.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    packets: u64,
    flows: usize,
    /// Bytes of all streams, as far as they are in order.
    stream_bytes: u64,
    /// The first packet of a flow, and the last one; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<Span>,
    /// Packets by outcome. Each packet is counted once, and those that are 0 are left out.
    packet_outcomes: BTreeMap<&'static str, u64>,
    /// Flows by how they ended.
    end_causes: BTreeMap<&'static str, u64>,
    missing_bytes: u64,
    conflicting_bytes: u64,
    /// Those with the most stream bytes, sent and received.
    hosts: Vec<Host>,
}

#[derive(Debug, Serialize)]
struct Span {
    #[serde(serialize_with = "as_string")]
    start_ns: u64,
    #[serde(serialize_with = "as_string")]
    end_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Host {
    address: IpAddr,
    flows: u64,
    sent_bytes: u64,
    received_bytes: u64,
}

impl Summary {
    /// Sums up the records, and what became of all packets.
    pub(super) fn new(records: &[FlowRecord], stats: &Stats) -> Self {
        let sum = |of: fn(&FlowRecord) -> u64| records.iter().map(of).sum();
        let start_ns = records.iter().map(|record| record.start_ns).min();
        let end_ns = records.iter().map(|record| record.end_ns).max();
        let mut end_causes = BTreeMap::new();
        for record in records {
            *end_causes.entry(record.end_cause.unwrap_or(OPEN)).or_default() += 1;
        }
        let outcomes = Stat::ALL.into_iter().filter(|stat| stat.is_outcome());
        Self {
            packets: stats.packets(),
            flows: records.len(),
            stream_bytes: sum(|record| record.c2s.stream_len + record.s2c.stream_len),
            span: start_ns.zip(end_ns).map(|(start_ns, end_ns)| Span { start_ns, end_ns }),
            packet_outcomes: outcomes
                .map(|stat| (stat.name().1, stats.get(stat)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            end_causes,
            missing_bytes: sum(|record| record.c2s.missing_bytes + record.s2c.missing_bytes),
            conflicting_bytes: sum(|record| {
                record.c2s.conflicting_bytes + record.s2c.conflicting_bytes
            }),
            hosts: hosts(records),
        }
    }

    /// Prints it.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written.
    pub(super) fn print(&self, output: Output, out: &mut impl Write) -> io::Result<()> {
        match output {
            Output::Jsonl | Output::Csv => {
                serde_json::to_writer(&mut *out, self)?;
                out.write_all(b"\n")?;
            }
            Output::Table => self.print_for_people(out)?,
        }
        out.flush()
    }

    fn print_for_people(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{} packets, {} flows, {} bytes",
            self.packets, self.flows, self.stream_bytes
        )?;
        if let Some(Span { start_ns, end_ns }) = self.span {
            let [start, end] = [start_ns, end_ns].map(time::for_people);
            writeln!(out, "{start} to {end} UTC")?;
        }
        writeln!(
            out,
            "{} bytes missing, {} conflicting",
            self.missing_bytes, self.conflicting_bytes
        )?;
        writeln!(out, "\npackets")?;
        for stat in Stat::ALL.into_iter().filter(|stat| stat.is_outcome()) {
            if let Some(count) = self.packet_outcomes.get(stat.name().1) {
                let meaning = stat.description().trim();
                writeln!(out, "{count:>12}  {:<17} {meaning}", stat.name().1)?;
            }
        }
        writeln!(out, "\nflows by their end")?;
        for (cause, count) in &self.end_causes {
            writeln!(out, "{count:>12}  {cause}")?;
        }
        writeln!(out, "\nhosts: bytes sent, bytes received, flows")?;
        for Host { address, flows, sent_bytes, received_bytes } in &self.hosts {
            writeln!(out, "{sent_bytes:>12} {received_bytes:>12} {flows:>7}  {address}")?;
        }
        Ok(())
    }
}

/// The hosts with the most bytes; where equal, those with the lower address first.
fn hosts(records: &[FlowRecord]) -> Vec<Host> {
    let mut hosts: HashMap<IpAddr, Host> = HashMap::new();
    for record in records {
        let (c2s, s2c) = (record.c2s.stream_len, record.s2c.stream_len);
        let ends = [(record.client().ip(), c2s, s2c), (record.server().ip(), s2c, c2s)];
        for (address, sent, received) in ends {
            let new = Host { address, flows: 0, sent_bytes: 0, received_bytes: 0 };
            let host = hosts.entry(address).or_insert(new);
            host.flows += 1;
            host.sent_bytes += sent;
            host.received_bytes += received;
        }
    }
    let mut hosts: Vec<_> = hosts.into_values().collect();
    let bytes = |host: &Host| host.sent_bytes + host.received_bytes;
    hosts.sort_by(|a, b| bytes(b).cmp(&bytes(a)).then(a.address.cmp(&b.address)));
    hosts.truncate(HOSTS);
    hosts
}
