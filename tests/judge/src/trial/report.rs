//! Reports: totals per 1,000, tables of wrong connections, and captures of single ones.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::scene::Played;
use crate::script::Script;
use crate::trial::court::Case;
use crate::verdict::{Verdict, hex};
use crate::wire::capture::{self, Framing, Seen};
use crate::wire::packet::{self, flags};

const HEAD: &str =
    "group              all   wrong  per 1,000   to kernel  from kernel  besides   told\n";

/// Connections of one group.
#[derive(Debug, Clone, Copy, Default)]
pub struct Total {
    /// All of them.
    pub all: usize,
    /// With bytes besides that the kernel answered with RST.
    pub besides: usize,
    /// Told, where nobody can know.
    pub told: usize,
    /// Wrong in any direction.
    pub wrong: usize,
    /// Wrong to the kernel.
    pub to: usize,
    /// Wrong from the kernel.
    pub from: usize,
}

/// Counts of verdicts.
#[derive(Debug, Default)]
pub struct Report {
    totals: BTreeMap<&'static str, Total>,
    labels: BTreeMap<String, Total>,
}

impl Total {
    fn count(&mut self, verdict: &Verdict) {
        self.all += 1;
        match verdict {
            Verdict::Right => {}
            Verdict::Besides => self.besides += 1,
            Verdict::Told => self.told += 1,
            Verdict::Wrong { to, from } => {
                self.wrong += 1;
                self.to += usize::from(to.is_some());
                self.from += usize::from(from.is_some());
            }
        }
    }
}

impl Report {
    /// Counts one connection.
    pub fn count(&mut self, case: &Case<'_>) {
        let script = &case.played.script;
        self.totals.entry(script.group).or_default().count(&case.verdict);
        let label = format!("{}, {}", script.group, script.label);
        self.labels.entry(label).or_default().count(&case.verdict);
    }

    /// The totals of each group.
    pub fn totals(&self) -> &BTreeMap<&'static str, Total> {
        &self.totals
    }

    /// The totals as a table.
    #[must_use]
    pub fn totals_table(&self) -> String {
        let mut text = HEAD.to_owned();
        for (group, total) in &self.totals {
            let Total { all, besides, told, wrong, to, from } = total;
            let rate = wrong * 1000 / all.max(&1);
            let most = format!("{group:<14} {all:>7} {wrong:>7} {rate:>10} {to:>11} {from:>12}");
            text.push_str(&format!("{most} {besides:>8} {told:>6}\n"));
        }
        text
    }

    /// Single changes: wrong ones of each type of segment in each state.
    #[must_use]
    pub fn kinds_table(&self) -> String {
        let mut cells: BTreeMap<&str, BTreeMap<&str, [usize; 2]>> = BTreeMap::new();
        let mut changes: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        for (label, Total { wrong, all, .. }) in &self.labels {
            let Some(label) = label.strip_prefix("single, ") else { continue };
            let Some((place, what)) = label.split_once(": ") else { continue };
            let state = place.split(' ').next_back().unwrap_or_default();
            let (kind, change) = what.split_once(' ').unwrap_or((what, "none"));
            let cells = [cells.entry(kind).or_default().entry(state), changes.entry(change)];
            for cell in cells {
                let cell = cell.or_default();
                *cell = [cell[0] + wrong, cell[1] + all];
            }
        }
        let mut text = String::new();
        for (kind, states) in &cells {
            let cell =
                |(state, [wrong, all]): (&&str, &[usize; 2])| format!("{state} {wrong}/{all}");
            let line: Vec<_> = states.iter().map(cell).collect();
            text.push_str(&format!("{kind:<11} {}\n", line.join(", ")));
        }
        let mut changes: Vec<_> =
            changes.into_iter().filter(|(_, [wrong, _])| *wrong > 0).collect();
        changes.sort_by_key(|(_, [wrong, _])| std::cmp::Reverse(*wrong));
        for (change, [wrong, all]) in changes {
            text.push_str(&format!("{wrong:>6} of {all:>6}  {change}\n"));
        }
        text
    }

    /// Connections that count, by label, in falling order: a line with their number, all, label.
    #[must_use]
    pub fn labels_table(&self, counts: impl Fn(&Total) -> usize) -> String {
        let rows = self.labels.iter().map(|(label, total)| (counts(total), total.all, label));
        let mut rows: Vec<_> = rows.filter(|(count, ..)| *count > 0).collect();
        rows.sort_by_key(|(count, _, label)| (std::cmp::Reverse(*count), label.as_str()));
        let line = |(count, all, label)| format!("{count:>6} of {all:>6}  {label}\n");
        rows.into_iter().map(line).collect()
    }
}

/// Writes a connection as a capture, what the kernel read as an expectation, and what happened in
/// words.
///
/// # Errors
///
/// A file cannot be written.
pub fn keep(folder: &Path, name: &str, case: &Case<'_>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = |ending: &str| folder.join(format!("{name}.{ending}"));
    let packets: Vec<_> = case.played.packets.iter().collect();
    capture::write(&path("pcap"), Framing::Raw, &packets)?;
    fs::write(path("expect.json"), format!("{:#}\n", expectation(case.played)))?;
    fs::write(path("txt"), describe(case))
}

/// What mosd has to show: of each connection what was read, and how much the kernel sent.
fn expectation(played: &Played) -> Value {
    let read: Vec<_> = played.read.iter().filter(|read| !read.bytes.is_empty()).collect();
    let read: Vec<_> = read.iter().map(|read| hex(&read.bytes)).collect();
    let raw = [json!(played.raw.ip()), json!(played.raw.port())];
    let kernel = format!("{:?}", played.script.setup.role).to_lowercase();
    json!({ "raw": raw, "kernel": kernel, "read": read, "sent": played.sent })
}

/// What happened on a connection, in words.
#[must_use]
pub fn describe(case: &Case<'_>) -> String {
    let Case { played, policy, flows, verdict } = case;
    let Script { group, label, .. } = &played.script;
    let mut text = format!("{group}: {label}, --overlap {policy}\n");
    text.push_str(&format!("{:?}\n{:?}\n", played.script.setup, verdict));
    for read in &played.read {
        let bytes = String::from_utf8_lossy(&read.bytes);
        text.push_str(&format!("read {} bytes: {bytes}\n", read.bytes.len()));
    }
    text.push_str(&format!("kernel sent {:?} bytes, {} RSTs\n", played.sent, played.resets));
    for flow in *flows {
        text.push_str(&format!("mosd: {}\n", flow.line));
    }
    text.push_str(&list(played));
    text
}

/// The packets, one a line, with numbers relative to the first of each side.
fn list(played: &Played) -> String {
    let mut text = String::new();
    let mut first = [None; 2];
    for seen in &played.packets {
        let Some(heard) = packet::hear(&seen.packet) else {
            text.push_str(&format!("{}: no TCP header: {:02x?}\n", sender(seen), seen.packet));
            continue;
        };
        let own = *first[usize::from(seen.by_kernel)].get_or_insert(heard.seq);
        let other = first[usize::from(!seen.by_kernel)].unwrap_or(0);
        let relative = |number: u32, base: u32| number.wrapping_sub(base).cast_signed();
        let payload = seen.packet.get(heard.at..).unwrap_or_default();
        let payload =
            String::from_utf8_lossy(payload.get(..60.min(payload.len())).unwrap_or_default());
        let stamp = heard.timestamp.map_or(String::new(), |stamp| format!(" TSval {stamp}"));
        text.push_str(&format!(
            "{}: {:<12} seq {:<6} ack {:<6} win {:<5} len {}{stamp} {payload}\n",
            sender(seen),
            names(heard.flags),
            relative(heard.seq, own),
            if heard.flags & flags::ACK == 0 { 0 } else { relative(heard.ack, other) },
            heard.window,
            heard.payload,
        ));
    }
    text
}

fn sender(seen: &Seen) -> &'static str {
    if seen.by_kernel { "   kernel" } else { "raw" }
}

fn names(bits: u16) -> String {
    let known = [
        (flags::SYN, "SYN"),
        (flags::FIN, "FIN"),
        (flags::RST, "RST"),
        (flags::PSH, "PSH"),
        (flags::ACK, "ACK"),
        (flags::URG, "URG"),
    ];
    let names: Vec<_> =
        known.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    names.join("|")
}
