//! The errors of the API, from the server's table of them.
//!
//! The keys of the metadata stand here: a test of the server compares the page with what each
//! rejection carries (`server/tests/server/status_table.rs`).

use mos_text::{DOMAIN, Reason, Span};
use mosctl::error::code_name;
use mosd::ErrorRow;

use crate::page::{begin, paragraph, table};

/// The keys of `ErrorInfo.metadata` besides `errno`.
#[rustfmt::skip] // A table.
const KEYS: [(&str, &str); 23] = [
    ("cause",           "why the flow ended, or why the token is refused"),
    ("column",          "where in the filter the error is, in characters from 1"),
    ("core",            "the number of the core in question"),
    ("currentEtag",     "the etag in force: of the options, of the policy or of the policies"),
    ("currentRevision", "the revision of the options in force"),
    ("flows",           "the names of flows with this tuple, 16 at most, with commas between them"),
    ("freeBytes",       "what the worker has left for receive buffers"),
    ("generation",      "the generation of policies in question"),
    ("key",             "the key of the configuration that decides it"),
    ("matched",         "how many flows match"),
    ("max",             "the greatest value allowed, or the bound that was reached"),
    ("maxFlowCount",    "how many flows the request allows"),
    ("min",             "the least value allowed"),
    ("newestOffset",    "one past the last offset that is held"),
    ("oldestOffset",    "the first offset that is held"),
    ("option",          "the option in question"),
    ("owner",           "the number of the core that has the flow"),
    ("policy",          "the key of the configuration that locks the option"),
    ("principal",       "who calls, as mosd knows the caller"),
    ("requestedBytes",  "what the change needs for receive buffers"),
    ("role",            "the role that is needed: viewer, operator, payload or admin"),
    ("value",           "the value that was sent"),
    ("version",         "the version of mosd"),
];

/// The keys that an error with this reason may carry, besides `errno`.
#[rustfmt::skip] // A table.
const fn keys(reason: Reason) -> &'static [&'static str] {
    match reason {
        Reason::FlowNotFound           => &["core", "owner"],
        Reason::FlowEnded              => &["cause"],
        Reason::FlowNameInvalid        => &[],
        Reason::FlowNotMonitored       => &["cause", "option"],
        Reason::AmbiguousFlow          => &["flows"],
        Reason::OptionUnknown          => &["option"],
        Reason::OptionNotImplemented   => &["option", "version"],
        Reason::OptionValueInvalid     => &["option", "value", "min", "max"],
        Reason::OptionLocked           => &["option", "policy"],
        Reason::EtagMismatch           => &["currentEtag", "currentRevision"],
        Reason::BufferPoolExhausted    => &["requestedBytes", "freeBytes"],
        Reason::BufferingDisabled      => &[],
        Reason::DataOverwritten
        | Reason::DataNotYetReceived   => &["oldestOffset", "newestOffset"],
        Reason::RoleRequired           => &["role", "principal"],
        Reason::PayloadDisabled        => &["key"],
        Reason::CoreNotFound
        | Reason::CoreNotRunning
        | Reason::CoreDraining
        | Reason::CoreQueueFull
        | Reason::CoreAckTimeout       => &["core"],
        Reason::AuditUnavailable
        | Reason::CredentialsMissing
        | Reason::TokenInvalid
        | Reason::TokenOverPlaintext
        | Reason::AmbiguousCredentials
        | Reason::CertificateHasNoName
        | Reason::CertificateInvalid
        | Reason::ArgumentInvalid
        | Reason::IrreversibleNotAllowed
        | Reason::UndoUnknown
        | Reason::ResumeTokenExpired
        | Reason::RequestIdReused      => &[],
        Reason::FilterInvalid
        | Reason::FilterAmbiguous
        | Reason::FilterFieldUnavailable => &["column"],
        Reason::PageTokenInvalid
        | Reason::ResumeTokenInvalid
        | Reason::MatchTokenInvalid    => &["cause"],
        Reason::TooManyMatches         => &["matched", "maxFlowCount"],
        Reason::PolicyGenerationNotFound
        | Reason::PolicyUnconfirmed
        | Reason::PolicyNotPending     => &["generation"],
        Reason::PoliciesFromFile       => &["key"],
        Reason::PolicyNotFound
        | Reason::PolicyExists
        | Reason::PolicyStoreFull
        | Reason::PolicyStoreReadOnly
        | Reason::PolicyStoreFailed    => &[],
        Reason::TooManyStreams
        | Reason::TooManyCalls
        | Reason::RateLimited
        | Reason::AnswersUnread
        | Reason::RequestTooLarge      => &["max"],
        Reason::SlowConsumer
        | Reason::RequestUnfinished
        | Reason::ServerStopping
        | Reason::MethodUnknown
        | Reason::NameUnknown
        | Reason::RequestUnreadable
        | Reason::CompressionUnsupported
        | Reason::DeadlineExceeded
        | Reason::CallCancelled        => &[],
        Reason::Internal               => &["core"],
    }
}

/// The page of errors.
pub(crate) fn page() -> String {
    let code = |text: &str| format!("`{text}`");
    let rows: Vec<_> = ErrorRow::all()
        .into_iter()
        .map(|ErrorRow { reason, code: grpc, errno, retry }| {
            let keys: Vec<_> = keys(reason).iter().map(|key| code(key)).collect();
            vec![
                code(reason.as_str()),
                reason.description().to_owned(),
                code_name(grpc).to_owned(),
                errno.unwrap_or_default().to_owned(),
                retry.map(|delay| Span(delay).to_string()).unwrap_or_default(),
                keys.join(", "),
            ]
        })
        .collect();
    let keys: Vec<_> =
        KEYS.iter().map(|(key, meaning)| vec![code(key), (*meaning).to_owned()]).collect();
    [
        begin("Errors", "the table of errors"),
        paragraph(&format!(
            "A call that mosd refuses ends with a gRPC code and a `google.rpc.ErrorInfo`, whose \
             `domain` is `{DOMAIN}` and whose `reason` is one of these. Decide by code and reason: \
             they keep their meaning, and new reasons may come; the text of a message may change."
        )),
        paragraph(
            "`metadata` has the errno of mtcp_setsockopt(3) by the key `errno`, where that page \
             has a like error, and what a program may want besides. Where waiting helps, \
             `google.rpc.RetryInfo` says how long to wait before the same request is sent again.",
        ),
        table(&["reason", "meaning", "gRPC code", "errno", "retry after", "metadata"], &rows),
        "\n## Metadata\n".to_owned(),
        paragraph("Values are text; a key may be missing where it would say nothing."),
        table(&["key", "value"], &keys),
        "\n## Further details\n".to_owned(),
        paragraph("What the error is about stands in one more message of `google.rpc`:"),
        table(&["message", "says", "gRPC codes"], &details()),
        paragraph(
            "What gRPC itself refuses has a reason, too: a method that does not exist, a message \
             that cannot be read or is too large. A deadline that passes at the client, and a lost \
             connection, have none: they are the client's words. mosctl makes an \
             [exit code](exit-codes.md) of the gRPC code.",
        ),
    ]
    .concat()
}

/// The messages that say what an error is about.
fn details() -> Vec<Vec<String>> {
    [
        ("BadRequest", "the field, by its path", "INVALID_ARGUMENT, OUT_OF_RANGE"),
        (
            "ResourceInfo",
            "the flow, the policy, the core, the server or the service, by its name",
            "NOT_FOUND, ABORTED, UNAVAILABLE, DEADLINE_EXCEEDED; PERMISSION_DENIED of a flow",
        ),
        (
            "PreconditionFailure",
            "the flow, or the policies, that are not in the state needed",
            "FAILED_PRECONDITION",
        ),
        ("QuotaFailure", "the bound that was reached", "RESOURCE_EXHAUSTED"),
    ]
    .map(|(message, says, codes)| vec![format!("`{message}`"), says.to_owned(), codes.to_owned()])
    .to_vec()
}
