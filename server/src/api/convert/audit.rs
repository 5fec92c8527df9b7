//! Entries of the audit as clients see them.

use std::collections::HashMap;

use mos_proto::v1;
use serde_json::Value;

use super::saturating_i64;
use crate::audit::{Entry, Line, Values};

/// An entry as clients see it.
pub(crate) fn audit_entry(line: Line) -> v1::AuditEntry {
    let (time, sequence) = (line.at(), saturating_i64(line.seq));
    let Entry {
        event,
        principal,
        proof,
        grants,
        peer,
        method,
        request_id,
        intent,
        code,
        reason,
        target,
        before,
        after,
        mut details,
        took_us,
        lost,
    } = line.entry;
    details.extend(took_us.map(|micros| ("took_us".to_owned(), micros.into())));
    v1::AuditEntry {
        sequence,
        time,
        event: event.as_str().to_owned(),
        principal,
        proof,
        grants,
        peer,
        method,
        request_id,
        intent_sequence: intent.map(saturating_i64).unwrap_or_default(),
        code,
        reason,
        target,
        before: texts(before),
        after: texts(after),
        details: texts(details),
        lost_count: saturating_i64(lost),
    }
}

fn texts(values: Values) -> HashMap<String, String> {
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    values.into_iter().map(|(key, value)| (key, text(value))).collect()
}
