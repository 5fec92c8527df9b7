//! Every bound that a client can meet: the one table of them.
//!
//! The service keeps to these numbers, `GetServerInfo` tells them, and `docs/reference/limits.md`
//! is made of the table. What one principal can hold is always less than what there is for all, and
//! root on the Unix socket (the administrator) is not bounded by what others hold.

use std::time::Duration;

use clap::{builder::RangedI64ValueParser, value_parser};
use mos_control::{COMMAND_RING, EVENT_RING, PEEK_CHUNK};
use mos_stack::{Limits, WorkerId, limits::BLOCK_BYTES};
use mos_text::FlowName;

use self::Scope::{Call, Connection, Core, Flow, Principal, Server};

/// Time for the first bytes of a connection: the preface of HTTP/2.
pub(crate) const PREFACE_MAX: Duration = Duration::from_secs(5);

/// TLS handshakes under way at once, and the time for one: before the connection has a place.
pub(crate) const HANDSHAKES_MAX: usize = 64;
pub(crate) const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Time that a connection without a call stays open.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(600);

/// Connections of one principal, and how many more than all there are for the administrator.
pub(crate) const CONNECTIONS_PER_PRINCIPAL: usize = 64;
pub(crate) const CONNECTIONS_RESERVED: usize = 8;

/// Calls under way on one connection, of one principal, and of all.
pub(crate) const STREAMS_MAX: u32 = 100;
pub(crate) const CALLS_PER_PRINCIPAL: usize = 512;
pub(crate) const CALLS_OPEN_MAX: usize = 2048;

/// Streams of one principal, and of all.
pub(crate) const STREAMS_PER_PRINCIPAL: usize = 32;
pub(crate) const STREAMS_OPEN_MAX: usize = 128;

/// Bytes of the headers of a request.
pub(crate) const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// Largest request, in bytes.
pub(crate) const MESSAGE_IN_MAX: usize = 1024 * 1024;

/// Largest response, in bytes: what clients take by default.
pub(crate) const MESSAGE_OUT_MAX: usize = 4 * 1024 * 1024;

/// Longest time that a request may take once it is read, and that time where the client does not
/// say.
pub(crate) const DEADLINE_MAX: Duration = Duration::from_secs(10);
pub(crate) const DEADLINE_DEFAULT: Duration = Duration::from_secs(5);

/// Time from the first byte of a request to its answer, or to the first message of a stream. A
/// little more than a request may take, so that its own answer comes first.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(11);

/// Bytes of answers that wait for a client to take them: on one connection, of one principal, and
/// of all.
pub(crate) const ANSWER_BYTES_PER_CONNECTION: usize = 4 * 1024 * 1024;
pub(crate) const ANSWER_BYTES_PER_PRINCIPAL: usize = 8 * 1024 * 1024;
pub(crate) const ANSWER_BYTES: usize = 128 * 1024 * 1024;

/// Time for a client to take an answer, or what a stream has for it at once.
pub(crate) const ANSWER_TAKEN_MAX: Duration = Duration::from_secs(60);

/// Bytes of an etag and of a page token, at most; ours have 37 and 94.
pub(crate) const ETAG_MAX: usize = 128;
pub(crate) const PAGE_TOKEN_MAX: usize = 128;

/// Bytes of the text of a resume token: it has a number of 8 bytes for each worker.
pub(crate) const RESUME_TOKEN_MAX: usize = 6 * 1024;
const _: () = assert!((56 + 8 * WORKERS_MAX as usize) * 4 / 3 < RESUME_TOKEN_MAX);

/// Flows on a page, by default and at most.
pub(crate) const PAGE_DEFAULT: usize = 100;
pub(crate) const PAGE_MAX: usize = 1000;

/// Bytes of a page, at most.
pub(crate) const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Slots visited for one page, at most.
pub(crate) const PAGE_SLOTS_MAX: u32 = 65_536;

/// Walks over all flows that are under way at once: for one principal, and for all.
pub(crate) const WALKS_PER_PRINCIPAL: usize = 4;
pub(crate) const WALKS_OPEN_MAX: usize = 16;

/// Fields to group flows by, groups in an answer, and groups that are told apart on the way there.
pub(crate) const GROUP_FIELDS_MAX: usize = 2;
pub(crate) const GROUPS_MAX: usize = 1000;
pub(crate) const GROUPS_APART_MAX: usize = 10_000;

/// Flows of a ranking, where the client does not say and at most.
pub(crate) const RANK_DEFAULT: usize = 20;
pub(crate) const RANK_MAX: usize = 1000;

/// Bytes of one chunk of an export, and chunks that wait for the client: as many again are on their
/// way there.
pub(crate) const EXPORT_CHUNK_BYTES: usize = 64 * 1024;
pub(crate) const EXPORT_QUEUE: usize = 4;

/// Requests of one batch.
pub(crate) const BATCH_MAX: usize = 1000;

/// Flows that one `ApplySockOpt` changes, where the client does not say and at most, and names of
/// them that a count tells.
pub(crate) const APPLY_FLOWS_DEFAULT: u64 = 1000;
pub(crate) const APPLY_FLOWS_MAX: u64 = 1 << 20;
pub(crate) const APPLY_SAMPLE_MAX: usize = 100;

/// Answers to `ApplySockOpt` with an id that are kept.
pub(crate) const APPLY_ANSWERS_MAX: usize = 1024;

/// Time for which a change of many flows can be undone, and how many flows can be: those of one
/// principal, and all. Each takes 24 bytes.
pub(crate) const UNDO_RETENTION: Duration = Duration::from_secs(600);
pub(crate) const UNDO_FLOWS_PER_PRINCIPAL: usize = 1 << 20;
pub(crate) const UNDO_FLOWS_MAX: usize = 1 << 21;

/// Bytes of a filter's text, comparisons in it, and how deep parentheses and negations are nested,
/// at most.
pub(crate) const FILTER_TEXT_MAX: usize = 2048;
pub(crate) const FILTER_COMPARISONS_MAX: usize = 32;
pub(crate) const FILTER_DEPTH_MAX: usize = 8;

/// Policies of a set, and alternatives of the filter of one of them, multiplied out, at most.
pub(crate) const POLICIES_MAX: usize = 1024;
pub(crate) const POLICY_ALTERNATIVES_MAX: usize = 16;

/// Bytes of a policy's comment, at most.
pub(crate) const POLICY_COMMENT_MAX: usize = 256;

/// Generations of policies that are kept.
pub(crate) const POLICY_GENERATIONS: usize = 10;

/// Longest time that a change of policies may wait to be confirmed.
pub(crate) const CONFIRM_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of a peek, by default and at most.
pub(crate) const PEEK_DEFAULT: usize = 4096;
pub(crate) const PEEK_MAX: usize = 1024 * 1024;

/// Time for which the answer to a request with an id is kept, and how many are.
pub(crate) const REQUEST_ID_RETENTION: Duration = Duration::from_secs(600);
pub(crate) const REQUEST_ID_ENTRIES_MAX: usize = 65_536;

/// Bytes of events that wait for one subscriber: those for which there is always room, and all.
pub(crate) const QUEUE_BYTES_MIN: usize = 64 * 1024;
pub(crate) const QUEUE_BYTES: usize = 1024 * 1024;

/// Bytes of events that wait beyond [`QUEUE_BYTES_MIN`]: for all subscribers of one principal, and
/// of all.
pub(crate) const QUEUED_BYTES_PER_PRINCIPAL: usize = 8 * 1024 * 1024;
pub(crate) const QUEUED_BYTES: usize = 32 * 1024 * 1024;

/// Messages that wait for one who watches flows.
pub(crate) const WATCH_MESSAGES: usize = 64;

/// How often a stream of events is given a bookmark.
pub(crate) const BOOKMARK_EVERY: Duration = Duration::from_secs(10);

/// For how long what a worker tells is kept for one who has gone with a bookmark.
pub(crate) const HISTORY_KEPT: Duration = Duration::from_secs(60);

/// Events of one worker that are kept for those who come back.
pub(crate) const EVENTS_KEPT: usize = EVENT_RING;

/// Messages with payload that wait for one reader, and the bytes that it has of them in all: one
/// more is on its way there, and one on its way from the worker.
pub(crate) const READ_QUEUE: usize = 2;
const READ_BYTES: usize = (READ_QUEUE + 2) * PEEK_CHUNK;

/// Lines that one kind of message adds to the log in a second: those that one caller causes, and
/// all callers.
pub(crate) const LOG_LINES_PER_CALLER: u32 = 10;
pub(crate) const LOG_LINES_PER_KIND: u32 = 100;

/// Bytes of lines of the log that may wait. As many again may be on their way to the reader.
pub(crate) const LOG_BYTES: usize = 1024 * 1024;

/// Bytes of an audit file, after which another one is begun, and older ones that are kept.
pub(crate) const AUDIT_FILE_BYTES: u64 = 64 * 1024 * 1024;
pub(crate) const AUDIT_FILES_KEPT: usize = 10;

/// Entries that wait to be written, and those that are written at once.
pub(crate) const AUDIT_QUEUE: usize = 4096;
pub(crate) const AUDIT_BATCH: usize = 256;

/// Bytes of a line of an audit file, at most: far more than any that is written.
pub(crate) const AUDIT_LINE_BYTES: usize = 1024 * 1024;

/// Entries of one kind that one caller causes in a second without a change: denied calls, sign-ins,
/// refused handshakes.
pub(crate) const AUDIT_DENIALS_PER_SECOND: u32 = 10;

/// Entries of a page, by default and at most, and bytes of lines that are looked at for it.
pub(crate) const AUDIT_PAGE_DEFAULT: usize = 100;
pub(crate) const AUDIT_PAGE_MAX: usize = 1000;
pub(crate) const AUDIT_PAGE_BYTES: u64 = 8 * 1024 * 1024;

/// Connections of the page of metrics at once, bytes of the head of a request, and time for the
/// head and for a connection from its beginning to its end.
pub(crate) const SCRAPES_MAX: usize = 16;
pub(crate) const SCRAPE_HEAD_BYTES: usize = 8 * 1024;
pub(crate) const SCRAPE_HEAD_MAX: Duration = Duration::from_secs(3);
pub(crate) const SCRAPE_MAX: Duration = Duration::from_secs(10);

/// Workers of one process, at most.
pub(crate) const WORKERS_MAX: u16 = WorkerId::MAX + 1;

/// Parses a number of workers of a command line.
pub(crate) fn workers() -> RangedI64ValueParser<u16> {
    value_parser!(u16).range(1..=i64::from(WORKERS_MAX))
}

/// A bound that a client can meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its name, which does not change.
    pub name: &'static str,
    /// Its value, in `unit`.
    pub value: u64,
    /// What `value` counts.
    pub unit: Unit,
    /// What has that much: each of these.
    pub scope: Scope,
    /// What it bounds.
    pub meaning: &'static str,
}

/// What the value of a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
}

/// What a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The server: all clients together.
    Server,
    /// A principal: a user on the Unix socket, or a host.
    Principal,
    /// A connection.
    Connection,
    /// A call.
    Call,
    /// A core.
    Core,
    /// A flow.
    Flow,
}

/// What the configuration decides of the table.
#[derive(Debug, Clone, Copy)]
pub struct Configured<'a> {
    /// Bounds of each worker.
    pub stack: &'a Limits,
    /// Connections at once.
    pub connections_max: usize,
    /// Workers.
    pub cores: usize,
}

/// The table.
#[must_use]
pub fn limits(configured: &Configured<'_>) -> Vec<Limit> {
    let Configured { stack, connections_max, cores } = *configured;
    [
        connections(connections_max),
        calls(),
        answers(),
        requests(),
        changes(),
        flows(stack, cores),
        others(),
    ]
    .concat()
}

#[rustfmt::skip] // A table.
fn connections(connections_max: usize) -> Vec<Limit> {
    vec![
        count("connections.max", connections_max, Server,
            "open connections (`server.connections_max`); an idle one gives way to a new one"),
        count("connections_per_principal.max", CONNECTIONS_PER_PRINCIPAL, Principal,
            "open connections; an idle one gives way to a new one"),
        count("connections.reserved", CONNECTIONS_RESERVED, Server,
            "connections that the administrator can open besides"),
        count("tls_handshakes.max", HANDSHAKES_MAX, Server,
            "TLS handshakes under way; the oldest of who has most gives way to a new one"),
        time("tls_handshake_ms", HANDSHAKE_MAX, Connection,
            "for the TLS handshake"),
        time("connection.preface_ms", PREFACE_MAX, Connection,
            "for the preface of HTTP/2"),
        time("connection.idle_ms", IDLE_MAX, Connection,
            "without a call, after which it is closed"),
    ]
}

#[rustfmt::skip] // A table.
fn calls() -> Vec<Limit> {
    vec![
        count("streams_per_connection.max", widened(STREAMS_MAX), Connection,
            "calls under way, streams included"),
        count("calls_per_principal.max", CALLS_PER_PRINCIPAL, Principal,
            "calls under way, streams included"),
        count("calls.max", CALLS_OPEN_MAX, Server,
            "calls under way, streams included"),
        count("streams_per_principal.max", STREAMS_PER_PRINCIPAL, Principal,
            "open streams, those of health and reflection included"),
        count("streams.max", STREAMS_OPEN_MAX, Server,
            "open streams, those of health and reflection included"),
        bytes("request.header_bytes.max", widened(HEADER_BYTES_MAX), Call,
            "the headers of a request"),
        bytes("request.bytes.max", MESSAGE_IN_MAX, Call,
            "a request"),
        time("request.complete_ms", CALL_MAX, Call,
            "for a request to be complete and answered, or for a stream to begin"),
        time("deadline.default_ms", DEADLINE_DEFAULT, Call,
            "for a complete request to be answered, where the client does not say"),
        time("deadline.max_ms", DEADLINE_MAX, Call,
            "for a complete request to be answered"),
        time("request_id.retention_ms", REQUEST_ID_RETENTION, Call,
            "for which the answer to a request with an id is kept"),
        count("request_id.entries.max", REQUEST_ID_ENTRIES_MAX, Server,
            "answers to requests with an id that are kept"),
    ]
}

#[rustfmt::skip] // A table.
fn answers() -> Vec<Limit> {
    vec![
        bytes("response.bytes.max", MESSAGE_OUT_MAX, Call,
            "an answer, or a message of a stream"),
        bytes("response.waiting_bytes_per_connection.max", ANSWER_BYTES_PER_CONNECTION, Connection,
            "answers that the client has not taken"),
        bytes("response.waiting_bytes_per_principal.max", ANSWER_BYTES_PER_PRINCIPAL, Principal,
            "answers that the client has not taken"),
        bytes("response.waiting_bytes.max", ANSWER_BYTES, Server,
            "answers that clients have not taken"),
        time("response.taken_ms", ANSWER_TAKEN_MAX, Call,
            "for the client to take an answer, or what a stream has for it"),
        bytes("watch.queue_bytes", QUEUE_BYTES, Call,
            "events that wait for a subscriber"),
        bytes("watch.queue_bytes.reserved", QUEUE_BYTES_MIN, Call,
            "of them, what there is always room for"),
        bytes("watch.queue_bytes_per_principal.max", QUEUED_BYTES_PER_PRINCIPAL, Principal,
            "events that wait beyond what is reserved; what finds no room is counted as lost"),
        bytes("watch.queue_bytes.max", QUEUED_BYTES, Server,
            "events that wait beyond what is reserved"),
        count("watch.messages.max", WATCH_MESSAGES, Call,
            "messages that wait for one who watches flows"),
        time("watch.bookmark_ms", BOOKMARK_EVERY, Call,
            "from one bookmark to the next, once nothing waits"),
        bytes("read.waiting_bytes", READ_BYTES, Call,
            "payload on its way to a reader"),
    ]
}

#[rustfmt::skip] // A table.
fn requests() -> Vec<Limit> {
    vec![
        count("list.page_size.default", PAGE_DEFAULT, Call,
            "flows on a page, where the client does not say"),
        count("list.page_size.max", PAGE_MAX, Call,
            "flows on a page"),
        bytes("list.page_bytes.max", PAGE_BYTES_MAX, Call,
            "flows on a page"),
        count("list.slots_per_page.max", widened(PAGE_SLOTS_MAX), Call,
            "places of flows looked at for a page"),
        count("walks_per_principal.max", WALKS_PER_PRINCIPAL, Principal,
            "calls under way that look at every flow: all that count, rank, export or change many"),
        count("walks.max", WALKS_OPEN_MAX, Server,
            "calls under way that look at every flow"),
        count("count.fields.max", GROUP_FIELDS_MAX, Call,
            "fields to group flows by"),
        count("count.groups.max", GROUPS_MAX, Call,
            "groups of flows in an answer, the largest ones"),
        count("count.groups_apart.max", GROUPS_APART_MAX, Call,
            "groups of flows that are told apart to find those"),
        count("rank.flows.default", RANK_DEFAULT, Call,
            "flows of a ranking, where the client does not say"),
        count("rank.flows.max", RANK_MAX, Call,
            "flows of a ranking"),
        bytes("export.chunk_bytes", EXPORT_CHUNK_BYTES, Call,
            "a message of an export"),
        bytes("flow.text_bytes.max", FlowName::TEXT_MAX, Call,
            "the name of a flow"),
        bytes("etag.text_bytes.max", ETAG_MAX, Call,
            "an etag"),
        bytes("resume_token.text_bytes.max", RESUME_TOKEN_MAX, Call,
            "a resume token"),
        bytes("page_token.text_bytes.max", PAGE_TOKEN_MAX, Call,
            "a page token"),
        bytes("filter.text_bytes.max", FILTER_TEXT_MAX, Call,
            "the text of a filter"),
        count("filter.comparisons.max", FILTER_COMPARISONS_MAX, Call,
            "comparisons in a filter"),
        count("filter.depth.max", FILTER_DEPTH_MAX, Call,
            "how deep parentheses and negations of a filter are nested"),
        count("policies.max", POLICIES_MAX, Server,
            "policies for flows to come"),
        count("policy.alternatives.max", POLICY_ALTERNATIVES_MAX, Call,
            "alternatives of a policy's filter, multiplied out"),
        bytes("policy.comment_bytes.max", POLICY_COMMENT_MAX, Call,
            "the comment of a policy"),
        count("policy.generations", POLICY_GENERATIONS, Server,
            "sets of policies that are kept"),
        time("policy.confirm_timeout_ms", CONFIRM_TIMEOUT_MAX, Call,
            "for a change of policies to be confirmed"),
        bytes("peek.bytes.default", PEEK_DEFAULT, Call,
            "payload of a peek, where the client does not say"),
        bytes("peek.bytes.max", PEEK_MAX, Call,
            "payload of a peek"),
    ]
}

#[rustfmt::skip] // A table.
fn changes() -> Vec<Limit> {
    vec![
        count("batch.requests.max", BATCH_MAX, Call,
            "requests of one `BatchSetSockOpt`"),
        count("apply.flows.default", narrowed(APPLY_FLOWS_DEFAULT), Call,
            "flows that one `ApplySockOpt` changes, where the client does not say"),
        count("apply.flows.max", narrowed(APPLY_FLOWS_MAX), Call,
            "flows that one `ApplySockOpt` changes"),
        count("apply.sample.max", APPLY_SAMPLE_MAX, Call,
            "names of flows in the answer to a count"),
        count("apply.request_id.entries.max", APPLY_ANSWERS_MAX, Server,
            "answers to `ApplySockOpt` with an id that are kept"),
        time("undo.retention_ms", UNDO_RETENTION, Call,
            "for which an `ApplySockOpt` can be undone"),
        count("undo.flows_per_principal.max", UNDO_FLOWS_PER_PRINCIPAL, Principal,
            "flows whose change can be undone; older changes give way to a new one"),
        count("undo.flows.max", UNDO_FLOWS_MAX, Server,
            "flows whose change can be undone"),
    ]
}

#[rustfmt::skip] // A table.
fn flows(stack: &Limits, cores: usize) -> Vec<Limit> {
    vec![
        bytes("buffer.client.max_bytes", narrowed(stack.buffer_bytes_max), Flow,
            "the client's receive buffer (`limits.buffer_max`)"),
        bytes("buffer.server.max_bytes", narrowed(stack.buffer_bytes_max), Flow,
            "the server's receive buffer (`limits.buffer_max`)"),
        bytes("buffer.block_bytes", BLOCK_BYTES, Flow,
            "what capacities of buffers are rounded up to"),
        bytes("buffer.pool_bytes_per_core", narrowed(stack.pool_bytes), Core,
            "memory for receive buffers (`limits.pool`)"),
        count("flows_per_core.max", widened(stack.flows_max), Core,
            "flows tracked at once (`limits.flows_max`)"),
        count("cores", cores, Server,
            "workers (`dataplane.workers`)"),
        count("core.commands.max", COMMAND_RING, Core,
            "commands that wait for a core"),
        count("core.events.max", EVENT_RING, Core,
            "events that wait for the control plane"),
        count("core.history.max", EVENTS_KEPT, Core,
            "events kept for watchers that come back with a bookmark, the newest"),
        time("core.history_ms", HISTORY_KEPT, Core,
            "for which events are told and kept after such a watcher has gone"),
    ]
}

#[rustfmt::skip] // A table.
fn others() -> Vec<Limit> {
    vec![
        count("log.lines_per_second_per_principal.max", widened(LOG_LINES_PER_CALLER), Principal,
            "lines of one kind that its requests cause; the rest is summed up"),
        count("log.lines_per_second.max", widened(LOG_LINES_PER_KIND), Server,
            "lines of one kind that requests cause; the rest is summed up"),
        bytes("log.waiting_bytes.max", LOG_BYTES, Server,
            "lines that wait for the reader of the log; what finds no room is counted"),
        count("audit.page_size.default", AUDIT_PAGE_DEFAULT, Call,
            "entries of the audit on a page, where the client does not say"),
        count("audit.page_size.max", AUDIT_PAGE_MAX, Call,
            "entries of the audit on a page"),
        bytes("audit.page_scan_bytes.max", narrowed(AUDIT_PAGE_BYTES), Call,
            "lines of the audit that are looked at for a page"),
        count("audit.waiting.max", AUDIT_QUEUE, Server,
            "entries that wait to be written; a change that finds no room is refused"),
        count("audit.denials_per_second_per_principal.max", widened(AUDIT_DENIALS_PER_SECOND),
            Principal, "denied calls and sign-ins that are entered; the rest is counted"),
        bytes("audit.file_bytes.max", narrowed(AUDIT_FILE_BYTES), Server,
            "a file of the audit, and a day; then another one is begun"),
        count("audit.files.max", AUDIT_FILES_KEPT, Server,
            "older files of the audit that are kept"),
        count("metrics.connections.max", SCRAPES_MAX, Server,
            "connections of the page of metrics; the oldest gives way to a new one"),
        bytes("metrics.header_bytes.max", SCRAPE_HEAD_BYTES, Call,
            "the head of a request for metrics"),
        time("metrics.header_ms", SCRAPE_HEAD_MAX, Call,
            "for the head of a request for metrics"),
        time("metrics.connection_ms", SCRAPE_MAX, Connection,
            "for a connection of the page of metrics, from its beginning to its end"),
    ]
}

fn count(name: &'static str, value: usize, scope: Scope, meaning: &'static str) -> Limit {
    let value = u64::try_from(value).unwrap_or(u64::MAX);
    Limit { name, value, unit: Unit::Count, scope, meaning }
}

fn bytes(name: &'static str, value: usize, scope: Scope, meaning: &'static str) -> Limit {
    Limit { unit: Unit::Bytes, ..count(name, value, scope, meaning) }
}

fn time(name: &'static str, span: Duration, scope: Scope, meaning: &'static str) -> Limit {
    let millis = usize::try_from(span.as_millis()).unwrap_or(usize::MAX);
    Limit { unit: Unit::Milliseconds, ..count(name, millis, scope, meaning) }
}

fn widened(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn narrowed(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn table() -> Vec<Limit> {
        limits(&Configured { stack: &Limits::default(), connections_max: 1024, cores: 1 })
    }

    #[test]
    fn names_are_distinct_and_say_what_is_counted() {
        let table = table();
        let names: BTreeSet<_> = table.iter().map(|limit| limit.name).collect();
        assert_eq!(names.len(), table.len());
        for Limit { name, value, unit, .. } in table {
            assert!(value > 0, "{name}");
            assert_eq!(name.ends_with("_ms"), unit == Unit::Milliseconds, "{name}");
            assert_eq!(name.contains("bytes"), unit == Unit::Bytes, "{name}");
        }
    }

    #[test]
    fn no_principal_can_take_all_that_there_is() {
        for (each, all) in [
            (CONNECTIONS_PER_PRINCIPAL, 1024),
            (CALLS_PER_PRINCIPAL, CALLS_OPEN_MAX),
            (STREAMS_PER_PRINCIPAL, STREAMS_OPEN_MAX),
            (ANSWER_BYTES_PER_PRINCIPAL, ANSWER_BYTES),
            (QUEUED_BYTES_PER_PRINCIPAL, QUEUED_BYTES),
        ] {
            assert!(each * 4 <= all, "{each} of {all}");
        }
    }
}
