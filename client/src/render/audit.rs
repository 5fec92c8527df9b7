//! Entries of the audit in words, and as commands that put back what was in force before.

use mos_proto::v1::AuditEntry;
use tonic::Code;

use super::{Align, flow::UNKNOWN};
use crate::error::code_name;

/// The columns of the table.
pub(crate) const AUDIT_COLUMNS: [(&str, Align); 7] = [
    ("SEQ", Align::Right),
    ("TIME", Align::Left),
    ("EVENT", Align::Left),
    ("PRINCIPAL", Align::Left),
    ("METHOD", Align::Left),
    ("OUTCOME", Align::Left),
    ("ABOUT", Align::Left),
];

/// The options by their keys in the audit, and as flags of `setopt`.
const FLAGS: [(&str, &str); 4] = [
    ("client_buffer_bytes", "--clibuf"),
    ("server_buffer_bytes", "--svrbuf"),
    ("client_overlap", "--client-overlap"),
    ("server_overlap", "--server-overlap"),
];

/// An entry as a row.
pub(crate) fn audit_row(entry: &AuditEntry) -> Vec<String> {
    let method = entry.method.rsplit('/').next().unwrap_or_default();
    let time = entry.time.as_ref().map_or_else(|| UNKNOWN.to_owned(), ToString::to_string);
    // Nanoseconds are for programs.
    let time = match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time,
    };
    let outcome = match entry.code {
        None => String::new(),
        Some(code) if entry.reason.is_empty() => code_name(Code::from_i32(code)).to_owned(),
        Some(_) => entry.reason.clone(),
    };
    vec![
        entry.sequence.to_string(),
        time,
        entry.event.clone(),
        entry.principal.clone(),
        method.to_owned(),
        outcome,
        about(entry),
    ]
}

/// What the entry is about, and what else it says.
fn about(entry: &AuditEntry) -> String {
    let mut words = vec![entry.target.clone()];
    let mut details: Vec<_> = entry.details.iter().filter(|(key, _)| *key != "took_us").collect();
    details.sort();
    words.extend(details.into_iter().map(|(key, value)| format!("{key}={value}")));
    if entry.code.is_none() && !entry.reason.is_empty() {
        words.push(entry.reason.clone());
    }
    if entry.lost_count > 0 {
        words.push(format!("lost={}", entry.lost_count));
    }
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

/// The command that puts back what was in force before; `None` where nothing has changed, or
/// nothing can be put back.
pub(crate) fn undo_command(entry: &AuditEntry) -> Option<String> {
    if let Some(generation) = entry.before.get("generation") {
        let has_changed = entry.after.get("generation") != Some(generation);
        return has_changed.then(|| format!("mosctl policy rollback {generation}"));
    }
    let flags = FLAGS.iter().filter_map(|(key, flag)| {
        let value = entry.before.get(*key).filter(|value| entry.after.get(*key) != Some(*value))?;
        Some(format!(" {flag} {value}"))
    });
    let flags: String = flags.collect();
    (!flags.is_empty()).then(|| format!("mosctl setopt --flow {}{flags}", entry.target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(before: &[(&str, &str)], after: &[(&str, &str)]) -> AuditEntry {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        AuditEntry {
            sequence: 7,
            event: "result".to_owned(),
            method: "mos.v1.FlowService/SetSockOpt".to_owned(),
            target: "flows/00c004a900c901f2".to_owned(),
            code: Some(0),
            before: map(before),
            after: map(after),
            ..AuditEntry::default()
        }
    }

    #[test]
    fn what_has_changed_can_be_put_back_by_a_command() {
        let both = [("client_buffer_bytes", "8192"), ("server_overlap", "first")];
        let command = undo_command(&entry(&both, &[("client_buffer_bytes", "65536")])).unwrap();
        let flow = "mosctl setopt --flow flows/00c004a900c901f2";
        assert_eq!(command, format!("{flow} --clibuf 8192 --server-overlap first"));
        assert_eq!(undo_command(&entry(&both, &both)), None);
        let stop = [("stop_monitoring", "none")];
        assert_eq!(undo_command(&entry(&stop, &[("stop_monitoring", "both")])), None);
        let policies = entry(&[("generation", "41")], &[("generation", "42")]);
        assert_eq!(undo_command(&policies).unwrap(), "mosctl policy rollback 41");
        assert_eq!(undo_command(&entry(&[("generation", "4")], &[("generation", "4")])), None);
    }

    #[test]
    fn a_row_says_what_came_of_a_call() {
        let row = audit_row(&entry(&[], &[]));
        assert_eq!(row, ["7", "-", "result", "", "SetSockOpt", "OK", "flows/00c004a900c901f2"]);
        let denied = AuditEntry {
            code: Some(7),
            reason: "ROLE_REQUIRED".to_owned(),
            details: [("suppressed".to_owned(), "3".to_owned())].into(),
            ..entry(&[], &[])
        };
        assert_eq!(
            audit_row(&denied)[5..],
            ["ROLE_REQUIRED", "flows/00c004a900c901f2 suppressed=3"]
        );
    }
}
