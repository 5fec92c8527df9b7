//! Failures in words, each with its next step, and the exit codes.
//!
//! [`Exit`] is the only table of exit codes, [`Failure::explain`] the only place that turns errors
//! into words. Nothing here prints.

use std::io;

use mos_text::{Reason, Size, Span};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{client::CallError, connect::ConnectError};

/// How mosctl ends. The number of each is part of its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done,
    /// A failure with no code of its own.
    Other,
    /// Bad command line or file: nothing was sent.
    Usage,
    /// Some flows failed, some cores did not answer, or some bytes are missing.
    Partial,
    /// No such flow.
    NotFound,
    /// Not allowed.
    NotAllowed,
    /// Not reachable or timed out.
    Unreachable,
    /// Another client changed it.
    Conflict,
    /// Refused in the present state.
    Refused,
    /// Out of resources, or too fast.
    Exhausted,
    /// The server rejects the arguments.
    BadArguments,
    /// The server is too old, or the option is not built in.
    Unsupported,
    /// A stream ended well but lost data.
    Lost,
    /// `status` found a WARNING.
    Warning,
    /// `status` found something CRITICAL.
    Critical,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// Every exit, in the order of the codes.
    pub const ALL: [Self; 16] = [
        Self::Done,
        Self::Other,
        Self::Usage,
        Self::Partial,
        Self::NotFound,
        Self::NotAllowed,
        Self::Unreachable,
        Self::Conflict,
        Self::Refused,
        Self::Exhausted,
        Self::BadArguments,
        Self::Unsupported,
        Self::Lost,
        Self::Warning,
        Self::Critical,
        Self::Interrupted,
    ];

    /// The code, its meaning, and the gRPC codes that lead to it.
    #[must_use]
    #[rustfmt::skip] // A table.
    pub const fn row(self) -> (u8, &'static str, &'static str) {
        match self {
            Self::Done         => (0, "done; a closed pipe is no error", "OK"),
            Self::Other        => (1, "other failure", "UNKNOWN, INTERNAL, DATA_LOSS"),
            Self::Usage        => (2, "bad command line or file (nothing sent)", "none"),
            Self::Partial      => (3, "partly done: flows failed, cores unreachable", "OK"),
            Self::NotFound     => (4, "no such flow", "NOT_FOUND"),
            Self::NotAllowed   => (5, "not allowed", "UNAUTHENTICATED, PERMISSION_DENIED"),
            Self::Unreachable  => (6, "no answer; safe to retry", "UNAVAILABLE, DEADLINE_EXCEEDED"),
            Self::Conflict     => (7, "somebody else changed it", "ABORTED, ALREADY_EXISTS"),
            Self::Refused      => (8, "refused in this state", "FAILED_PRECONDITION, OUT_OF_RANGE"),
            Self::Exhausted    => (9, "resources or rate limit", "RESOURCE_EXHAUSTED"),
            Self::BadArguments => (10, "server rejects the arguments", "INVALID_ARGUMENT"),
            Self::Unsupported  => (11, "server too old or option not built in", "UNIMPLEMENTED"),
            Self::Lost         => (12, "stream ended well but lost data", "OK"),
            Self::Warning      => (13, "status found WARNING", "OK"),
            Self::Critical     => (14, "status found CRITICAL", "OK"),
            Self::Interrupted  => (130, "interrupted (Ctrl-C)", "CANCELLED"),
        }
    }

    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.row().0
    }

    /// The exit after a call that ended with `code`.
    #[must_use]
    pub const fn of_status(code: Code) -> Self {
        match code {
            Code::Ok => Self::Done,
            Code::Unknown | Code::Internal | Code::DataLoss => Self::Other,
            Code::NotFound => Self::NotFound,
            Code::Unauthenticated | Code::PermissionDenied => Self::NotAllowed,
            Code::Unavailable | Code::DeadlineExceeded => Self::Unreachable,
            Code::Aborted | Code::AlreadyExists => Self::Conflict,
            Code::FailedPrecondition | Code::OutOfRange => Self::Refused,
            Code::ResourceExhausted => Self::Exhausted,
            Code::InvalidArgument => Self::BadArguments,
            Code::Unimplemented => Self::Unsupported,
            Code::Cancelled => Self::Interrupted,
        }
    }
}

/// Why mosctl could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line makes no sense, or consent is missing. Nothing was sent.
    #[error("{0}")]
    Usage(String),
    /// Connecting failed.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// The server answered something that its contract excludes.
    #[error("{0}")]
    Contract(String),
}

/// A failure in words: one line, then labelled facts, the next step last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What failed.
    pub headline: String,
    /// Facts: label and text.
    pub facts: Vec<(String, String)>,
}

impl Failure {
    /// How mosctl ends with this failure.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Connect(ConnectError::Io { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Exit::NotAllowed
            }
            Self::Connect(ConnectError::Files(_)) => Exit::Usage,
            Self::Connect(ConnectError::Tls { source: why, .. })
            | Self::Call(CallError::Untrusted { why, .. })
                if why.is_refusal =>
            {
                Exit::NotAllowed
            }
            Self::Connect(_)
            | Self::Call(
                CallError::TimedOut { .. } | CallError::Lost { .. } | CallError::Untrusted { .. },
            ) => Exit::Unreachable,
            Self::Call(CallError::Status { status, .. }) => Exit::of_status(status.code()),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) | Self::Contract(_) => Exit::Other,
        }
    }

    /// Whether the reader of the output has closed the pipe, which is no error.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The failure in words.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let fact = |label: &str, text: &str| (label.to_owned(), text.to_owned());
        match self {
            Self::Usage(message) | Self::Contract(message) => {
                Explanation { headline: message.clone(), facts: Vec::new() }
            }
            Self::Connect(error) => Explanation {
                headline: error.to_string(),
                facts: vec![fact("next", connect_hint(error))],
            },
            Self::Call(CallError::TimedOut { method, after }) => Explanation {
                headline: format!("no answer within {}", Span(*after).rounded()),
                facts: vec![
                    fact("call", method),
                    fact(
                        "next",
                        "`mosctl status`; asking again is safe; --timeout gives more time",
                    ),
                ],
            },
            Self::Call(CallError::Lost { method, cause }) => Explanation {
                headline: format!("the connection to mosd was lost: {cause}"),
                facts: vec![
                    fact("call", method),
                    fact(
                        "next",
                        "is mosd running, and does --endpoint name its gRPC address, with tls:// \
                         where it speaks TLS? asking again is safe",
                    ),
                ],
            },
            Self::Call(CallError::Untrusted { method, why }) => Explanation {
                headline: why.said.clone(),
                facts: vec![fact("call", method), fact("next", why.next)],
            },
            Self::Call(CallError::Status { method, status }) => explain_status(method, status),
            Self::Output(_) => Explanation { headline: self.to_string(), facts: Vec::new() },
        }
    }
}

fn connect_hint(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::TimedOut { .. } => {
            "is the host up and the port open? --connect-timeout gives more time"
        }
        ConnectError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            "join the group of the socket, or run as root"
        }
        ConnectError::Io { .. } => {
            "is mosd running there? start it with `mosd run`, or name its address with --endpoint"
        }
        ConnectError::Tls { source, .. } => source.next,
        ConnectError::Files(_) => "`mosctl context show` says where each value comes from",
        ConnectError::Transport { .. } => "does --endpoint name mosd's gRPC address?",
    }
}

/// Words for an error status, details included.
fn explain_status(method: &str, status: &Status) -> Explanation {
    let details = status.get_error_details();
    let mut facts = Vec::new();
    let mut fact = |label: &str, text: String| facts.push((label.to_owned(), text));
    // Servers repeat the message in the details; people need it once.
    let joined = |subject: &str, description: &str| match (subject, description) {
        (subject, text) if text.is_empty() || text == status.message() => subject.to_owned(),
        ("", text) => text.to_owned(),
        (subject, text) => format!("{subject}: {text}"),
    };
    for violation in details.bad_request().map_or(&[][..], |bad| &bad.field_violations) {
        fact("field", joined(&violation.field, &violation.description));
    }
    let reason = details.error_info().map_or("", |info| info.reason.as_str());
    match details.error_info().and_then(|info| info.metadata.get("errno")) {
        Some(errno) => fact("reason", format!("{reason} (errno {errno})")),
        None if !reason.is_empty() => fact("reason", reason.to_owned()),
        None => {}
    }
    fact("call", format!("{method} -> {}", code_name(status.code())));
    facts.extend(detail_facts(&details, joined));
    if let Some(next) = next_step(Reason::from_name(reason), status.code()) {
        facts.push(("next".to_owned(), next.to_owned()));
    }
    let headline = match status.message() {
        "" => format!("the server answered {}", code_name(status.code())),
        message => message.to_owned(),
    };
    Explanation { headline, facts }
}

/// Facts from everything but the field violations and the reason.
fn detail_facts(
    details: &ErrorDetails,
    joined: impl Fn(&str, &str) -> String,
) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact = |label: &str, text: String| facts.push((label.to_owned(), text));
    if let Some(info) = details.error_info() {
        let mut metadata: Vec<_> = info.metadata.iter().collect();
        metadata.sort();
        for (key, value) in metadata {
            if key != "errno" {
                fact(key, humanized(key, value));
            }
        }
    }
    if let Some(resource) = details.resource_info() {
        let name = joined(&resource.resource_name, &resource.description);
        fact("resource", format!("{} {name}", resource.resource_type).trim().to_owned());
    }
    for violation in details.precondition_failure().map_or(&[][..], |failed| &failed.violations) {
        fact("state", joined(&violation.subject, &violation.description));
    }
    for violation in details.quota_failure().map_or(&[][..], |quota| &quota.violations) {
        fact("quota", joined(&violation.subject, &violation.description));
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        fact("retry", format!("after {}", Span(delay).rounded()));
    }
    if let Some(request) = details.request_info() {
        fact("request", request.request_id.clone());
    }
    facts
}

/// A value of the error's metadata. Numbers of bytes are followed by the rounded size.
fn humanized(key: &str, value: &str) -> String {
    let counts_bytes = key.ends_with("Bytes") || key.ends_with("_bytes") || key == "max";
    match value.parse::<u64>() {
        Ok(bytes) if counts_bytes && bytes >= 1024 => {
            format!("{value} ({})", Size(bytes).rounded())
        }
        Ok(_) | Err(_) => value.to_owned(),
    }
}

/// What to try next where the server may be older than the client.
const SEE_VERSION: &str = "`mosctl info` shows version and features of the server";

/// What to try next: by the reason, or by the code if the reason is unknown or has no advice.
#[expect(clippy::too_many_lines, reason = "one arm for each kind of reason")]
fn next_step(reason: Option<Reason>, code: Code) -> Option<&'static str> {
    let Some(reason) = reason else { return next_step_by_code(code) };
    if let Some(next) = next_step_by_credentials(reason) {
        return Some(next);
    }
    Some(match reason {
        Reason::FlowNotFound | Reason::FlowEnded => "`mosctl flows list` shows the live flows",
        Reason::FlowNameInvalid => "`mosctl help tuples` shows how flows are named",
        Reason::AmbiguousFlow => "name one of the flows by its handle, or add @VLAN to the tuple",
        Reason::OptionValueInvalid => "`mosctl info` shows the limits",
        Reason::OptionUnknown | Reason::OptionNotImplemented => {
            "`mosctl setopt --help` lists the options; `mosctl info` shows version and features"
        }
        Reason::OptionLocked => "the option is locked by mosd's configuration ([options] locked)",
        Reason::FlowNotMonitored | Reason::IrreversibleNotAllowed => {
            "a stop is for good; `mosctl flows list` shows what is monitored"
        }
        Reason::BufferingDisabled => {
            "give that side a buffer with `mosctl setopt`: --clibuf or --svrbuf"
        }
        Reason::BufferPoolExhausted => "ask for less, or free some; `mosctl status` shows the pool",
        Reason::DataOverwritten | Reason::DataNotYetReceived => {
            "leave --offset out, or take one within the offsets above"
        }
        Reason::PolicyNotFound | Reason::PolicyExists => "`mosctl policy list` shows the policies",
        Reason::PolicyGenerationNotFound | Reason::PolicyNotPending => {
            "`mosctl policy history` shows the generations that are kept"
        }
        Reason::PolicyUnconfirmed => "`mosctl policy confirm`, or the same with --cancel",
        Reason::PoliciesFromFile => {
            "change the file, then `systemctl reload mosd`, which sends SIGHUP"
        }
        Reason::PolicyStoreFull => {
            "make room on the disk of the policies' folder; what was in force still is"
        }
        Reason::PolicyStoreReadOnly | Reason::PolicyStoreFailed => {
            "see to the policies' folder and its disk; what was in force still is"
        }
        Reason::TooManyStreams => "wait for another stream to end, then ask again",
        Reason::TooManyCalls | Reason::AnswersUnread | Reason::SlowConsumer => {
            "read answers sooner, or ask for less at once"
        }
        Reason::RateLimited => "wait as long as it says, or have a faster grant: `mosctl whoami`",
        Reason::ServerStopping => "ask again when mosd is back",
        Reason::AuditUnavailable => {
            "`mosctl status` says what is wrong with the audit; what only reads goes on"
        }
        Reason::PayloadDisabled => "the owner of mosd allows it with `payload = true` in [server]",
        Reason::EtagMismatch => {
            "read again with `mosctl getopt FLOW`, then repeat with the new etag"
        }
        Reason::CoreNotFound => "`mosctl status` shows the cores",
        Reason::CoreNotRunning
        | Reason::CoreDraining
        | Reason::CoreQueueFull
        | Reason::CoreAckTimeout => "`mosctl status` shows the cores; asking again is safe",
        Reason::FilterInvalid | Reason::FilterAmbiguous | Reason::FilterFieldUnavailable => {
            "`mosctl help filters` shows fields and operators"
        }
        Reason::PageTokenInvalid | Reason::MatchTokenInvalid => {
            "mosd was restarted meanwhile: begin again"
        }
        Reason::ResumeTokenInvalid | Reason::ResumeTokenExpired => {
            "begin without the token: what happened meanwhile is not known"
        }
        Reason::TooManyMatches => "narrow the filter, or allow that many with --max-flows N",
        Reason::UndoUnknown => "`mosctl setopt` sets options anew",
        Reason::RequestIdReused => "every request needs an id of its own",
        Reason::MethodUnknown | Reason::NameUnknown => SEE_VERSION,
        Reason::DeadlineExceeded => {
            "`mosctl status`; asking again is safe; --timeout gives more time"
        }
        Reason::CredentialsMissing
        | Reason::CertificateHasNoName
        | Reason::CertificateInvalid
        | Reason::TokenInvalid
        | Reason::TokenOverPlaintext
        | Reason::AmbiguousCredentials
        | Reason::RoleRequired
        | Reason::ArgumentInvalid
        | Reason::RequestUnreadable
        | Reason::RequestTooLarge
        | Reason::CompressionUnsupported
        | Reason::RequestUnfinished
        | Reason::CallCancelled
        | Reason::Internal => return next_step_by_code(code),
    })
}

/// What to try next where mosd does not know who calls, or knows and says no.
fn next_step_by_credentials(reason: Reason) -> Option<&'static str> {
    if reason == Reason::RoleRequired {
        Some("`mosctl whoami` shows your roles and what they allow")
    } else if reason == Reason::CredentialsMissing {
        Some(
            "show a certificate with --cert and --key, or a token with --token-file, or use a \
             context that names them",
        )
    } else if reason == Reason::TokenInvalid {
        Some("`mosctl token create` makes another one, whose grant goes into mosd's roles file")
    } else if reason == Reason::TokenOverPlaintext {
        Some("call over tls:// or the Unix socket; that token has been seen, so make another one")
    } else if reason == Reason::AmbiguousCredentials {
        Some("leave --cert and --key out, or --token-file")
    } else if matches!(reason, Reason::CertificateHasNoName | Reason::CertificateInvalid) {
        Some(
            "`mosctl certs show FILE` tells names and days of a certificate; have a new one issued",
        )
    } else {
        None
    }
}

/// What to try next where the code is all that is known.
const fn next_step_by_code(code: Code) -> Option<&'static str> {
    match code {
        Code::Unavailable | Code::DeadlineExceeded => Some("`mosctl status`; asking again is safe"),
        Code::Unimplemented => Some(SEE_VERSION),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => None,
    }
}

/// The code as gRPC spells it.
#[must_use]
#[rustfmt::skip] // A table.
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok                 => "OK",
        Code::Cancelled          => "CANCELLED",
        Code::Unknown            => "UNKNOWN",
        Code::InvalidArgument    => "INVALID_ARGUMENT",
        Code::DeadlineExceeded   => "DEADLINE_EXCEEDED",
        Code::NotFound           => "NOT_FOUND",
        Code::AlreadyExists      => "ALREADY_EXISTS",
        Code::PermissionDenied   => "PERMISSION_DENIED",
        Code::ResourceExhausted  => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted            => "ABORTED",
        Code::OutOfRange         => "OUT_OF_RANGE",
        Code::Unimplemented      => "UNIMPLEMENTED",
        Code::Internal           => "INTERNAL",
        Code::Unavailable        => "UNAVAILABLE",
        Code::DataLoss           => "DATA_LOSS",
        Code::Unauthenticated    => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code.
    fn codes() -> impl Iterator<Item = Code> {
        (0..17).map(Code::from_i32)
    }

    #[test]
    fn every_grpc_code_ends_as_the_table_says() {
        for code in codes().filter(|code| !matches!(code, Code::Ok)) {
            let (_, _, grpc) = Exit::of_status(code).row();
            assert!(grpc.split(", ").any(|name| name == code_name(code)), "{code:?}: {grpc}");
        }
    }

    #[test]
    fn exit_codes_are_distinct_and_in_order() {
        let exits = Exit::ALL.map(Exit::code);
        assert!(exits.is_sorted_by(|a, b| a < b), "{exits:?}");
    }

    #[test]
    fn a_status_without_details_still_has_a_headline_and_a_call() {
        let failure = Failure::from(CallError::Status {
            method: "mos.v1.FlowService/GetFlow".to_owned(),
            status: Box::new(Status::internal("")),
        });
        assert_eq!(failure.exit(), Exit::Other);
        assert_eq!(
            failure.explain(),
            Explanation {
                headline: "the server answered INTERNAL".to_owned(),
                facts: vec![(
                    "call".to_owned(),
                    "mos.v1.FlowService/GetFlow -> INTERNAL".to_owned()
                )],
            }
        );
    }

    #[test]
    fn only_a_status_that_the_server_sent_is_told_as_its_word() {
        let cause = io::Error::from(io::ErrorKind::ConnectionReset);
        let mut lost = Status::cancelled("operation was canceled");
        lost.set_source(std::sync::Arc::new(cause));
        let failure = Failure::from(CallError::new("S/M", lost, std::time::Duration::ZERO));
        assert_eq!(failure.exit(), Exit::Unreachable);
        let Explanation { headline, facts } = failure.explain();
        assert_eq!(headline, "the connection to mosd was lost: connection reset");
        assert!(facts.last().is_some_and(|(label, _)| label == "next"), "{facts:?}");
        let sent = Status::cancelled("mosd says so");
        let failure = Failure::from(CallError::new("S/M", sent, std::time::Duration::ZERO));
        assert_eq!(failure.exit(), Exit::Interrupted);
    }

    #[test]
    fn every_detail_of_an_error_is_told_once() {
        let mut details = ErrorDetails::with_error_info(
            "BUFFER_POOL_EXHAUSTED",
            "mos.v1",
            [
                ("errno".to_owned(), "ENOMEM".to_owned()),
                ("requestedBytes".to_owned(), "1048576".to_owned()),
                ("freeBytes".to_owned(), "512".to_owned()),
            ],
        );
        details.add_quota_failure_violation("buffer-pool", "the pool is empty");
        details.set_retry_info(Some(std::time::Duration::from_millis(50)));
        let status =
            Status::with_error_details(Code::ResourceExhausted, "the pool is empty", details);
        let facts = explain_status("S/M", &status).facts;
        let told: Vec<_> = facts.iter().map(|(label, text)| format!("{label}={text}")).collect();
        assert_eq!(
            told,
            [
                "reason=BUFFER_POOL_EXHAUSTED (errno ENOMEM)",
                "call=S/M -> RESOURCE_EXHAUSTED",
                "freeBytes=512",
                "requestedBytes=1048576 (1 MiB)",
                "quota=buffer-pool",
                "retry=after 50ms",
                "next=ask for less, or free some; `mosctl status` shows the pool",
            ]
        );
    }

    #[test]
    fn a_socket_that_may_not_be_opened_is_not_an_absent_server() {
        let refused = |kind: io::ErrorKind| {
            let endpoint = mos_text::Endpoint::Unix("/run/mosd/mosd.sock".into());
            Failure::from(ConnectError::Io { endpoint, source: kind.into() })
        };
        assert_eq!(refused(io::ErrorKind::PermissionDenied).exit(), Exit::NotAllowed);
        assert_eq!(refused(io::ErrorKind::NotFound).exit(), Exit::Unreachable);
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
        let output = |kind: io::ErrorKind| Failure::from(io::Error::from(kind)).exit();
        assert_eq!(output(io::ErrorKind::BrokenPipe), Exit::Done);
        assert_eq!(output(io::ErrorKind::StorageFull), Exit::Other);
    }
}
