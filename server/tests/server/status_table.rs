//! The table of errors as clients see it: every rejection, its errno, code and reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::support::{metadata, row, worker_id};
use mos_control::Refusal;
use mos_stack::{
    EndCause, FlowId, LookupError, PeekError, Side, SockOptError, SockOptName, StreamOffset,
};
use mos_text::{FlowNameError, Reason};
use mosd::{
    Cutoff, ErrorRow, Filter, ManyFlows, PageTokenError, PolicyError, Rejection, ResumeError,
    Roles, StoreError, StoreFailure, Unavailable, Unproven, Unserved,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

const NAME: SockOptName = SockOptName::Buffer(Side::Client);

fn refusals() -> Vec<(&'static str, Refusal)> {
    let core = worker_id(3);
    let ended = |cause| Refusal::Lookup(LookupError::Ended { cause });
    vec![
        ("EACCES NotFound CORE_NOT_FOUND", Refusal::NoSuchWorker(core)),
        ("EACCES Unavailable CORE_NOT_RUNNING retry 1s", Refusal::WorkerNotRunning(core)),
        ("EPERM Unavailable CORE_DRAINING retry 1s", Refusal::WorkerStopping(core)),
        ("EAGAIN Unavailable CORE_QUEUE_FULL retry 50ms", Refusal::RingFull(core)),
        ("ETIMEDOUT DeadlineExceeded CORE_ACK_TIMEOUT retry 1s", Refusal::NoAnswer(core)),
        ("EBADF NotFound FLOW_NOT_FOUND", Refusal::Lookup(LookupError::NotFound)),
        ("EBADF NotFound FLOW_ENDED", ended(None)),
        ("EBADF NotFound FLOW_ENDED", ended(Some(EndCause::Fin))),
        ("EBADF NotFound FLOW_ENDED", ended(Some(EndCause::Rst))),
        ("EBADF NotFound FLOW_ENDED", ended(Some(EndCause::Timeout))),
        ("EBADF NotFound FLOW_ENDED", ended(Some(EndCause::Reused))),
        ("EBADF NotFound FLOW_ENDED", ended(Some(EndCause::Evicted))),
        ("ENOTSOCK FailedPrecondition FLOW_NOT_MONITORED", ended(Some(EndCause::Stopped))),
        (
            "EBADF NotFound FLOW_NOT_FOUND",
            Refusal::SockOpt(SockOptError::Lookup(LookupError::NotFound)),
        ),
        (
            "ENOTSOCK FailedPrecondition FLOW_NOT_MONITORED",
            Refusal::SockOpt(SockOptError::Stopped { name: NAME }),
        ),
        (
            "EPERM PermissionDenied OPTION_LOCKED",
            Refusal::SockOpt(SockOptError::Locked { name: NAME }),
        ),
        (
            "EINVAL InvalidArgument OPTION_VALUE_INVALID",
            Refusal::SockOpt(SockOptError::OutOfRange { name: NAME, value: 9, max: 8 }),
        ),
        (
            "ENOMEM ResourceExhausted BUFFER_POOL_EXHAUSTED",
            Refusal::SockOpt(SockOptError::PoolExhausted { requested_bytes: 2, free_bytes: 1 }),
        ),
        (
            "ESTALE Aborted ETAG_MISMATCH",
            Refusal::SockOpt(SockOptError::RevisionMismatch { current: 4 }),
        ),
    ]
}

fn peeks() -> Vec<(&'static str, PeekError)> {
    let (oldest, newest) = (StreamOffset(10), StreamOffset(20));
    vec![
        ("EBADF NotFound FLOW_NOT_FOUND", PeekError::Lookup(LookupError::NotFound)),
        (
            "ENOTSOCK FailedPrecondition FLOW_NOT_MONITORED",
            PeekError::Lookup(LookupError::Ended { cause: Some(EndCause::Stopped) }),
        ),
        ("ENOTSOCK FailedPrecondition FLOW_NOT_MONITORED", PeekError::Stopped(Side::Client)),
        (
            "EINVAL FailedPrecondition BUFFERING_DISABLED",
            PeekError::BufferingDisabled(Side::Client),
        ),
        ("ENODATA OutOfRange DATA_OVERWRITTEN", PeekError::Overwritten { oldest, newest }),
        ("ENODATA OutOfRange DATA_NOT_YET_RECEIVED", PeekError::NotYetReceived { oldest, newest }),
    ]
}

fn names() -> Vec<(&'static str, Rejection)> {
    let (flow, core) = (FlowId::from_bits(1).unwrap(), worker_id(3));
    let text = || "x".to_owned();
    let invalid = "EBADF InvalidArgument FLOW_NAME_INVALID";
    vec![
        ("EACCES NotFound CORE_NOT_FOUND", Rejection::CoreNotFound { flow, core, cores: 2 }),
        ("EACCES NotFound CORE_NOT_FOUND", Rejection::NoSuchCore { core: -1, cores: 2 }),
        ("EACCES Unavailable CORE_NOT_RUNNING retry 1s", Rejection::CoreNotRunning(core)),
        ("EBADF NotFound FLOW_NOT_FOUND", Rejection::NotOwner { core: 1, flow, owner: core }),
        (invalid, FlowNameError::Empty.into()),
        (invalid, FlowNameError::TooLong(257).into()),
        (invalid, FlowNameError::Handle(text()).into()),
        (invalid, FlowNameError::Tuple { text: text(), problem: "p" }.into()),
        (
            "ENOTSOCK FailedPrecondition FLOW_NOT_MONITORED",
            FlowNameError::OtherResource("cores/1".to_owned()).into(),
        ),
        ("EBADF NotFound FLOW_NOT_FOUND", Rejection::NoMatch(text())),
        (
            "- FailedPrecondition AMBIGUOUS_FLOW",
            Rejection::AmbiguousFlow { name: text(), count: 2, flows: vec![text(), text()] },
        ),
    ]
}

fn rates() -> [(&'static str, Rejection); 1] {
    let wait = Duration::from_millis(50);
    let rejection = Rejection::RateLimited { what: "calls", max: 50, wait };
    [("- ResourceExhausted RATE_LIMITED retry 50ms", rejection)]
}

fn arguments() -> Vec<(&'static str, Rejection)> {
    let text = || "x".to_owned();
    let filter = |text: &str| Rejection::Filter(Filter::parse(text).unwrap_err());
    vec![
        ("EINVAL InvalidArgument OPTION_VALUE_INVALID", Rejection::NoChange("options")),
        (
            "EINVAL InvalidArgument OPTION_VALUE_INVALID",
            Rejection::OptionValue { field: "f", value: text(), problem: text(), range: None },
        ),
        (
            "ENOSYS InvalidArgument OPTION_UNKNOWN",
            Rejection::OptionUnknown { field: "f", problem: text() },
        ),
        ("ENOSYS Unimplemented OPTION_NOT_IMPLEMENTED", Rejection::OptionNotImplemented(text())),
        (
            "EINVAL InvalidArgument ARGUMENT_INVALID",
            Rejection::Argument { field: "f", problem: text() },
        ),
        ("- InvalidArgument REQUEST_ID_REUSED", Rejection::RequestIdReused),
        ("- InvalidArgument FILTER_INVALID", filter("x")),
        ("- InvalidArgument FILTER_AMBIGUOUS", filter("core=1 AND core=1 OR core=1")),
        ("- InvalidArgument FILTER_FIELD_UNAVAILABLE", filter("policy = x")),
        ("- Unauthenticated CREDENTIALS_MISSING", Unproven::NoCertificate.into()),
        ("- Unauthenticated CERTIFICATE_HAS_NO_NAME", Unproven::Nameless(text()).into()),
        ("- Unauthenticated CERTIFICATE_INVALID", Unproven::Distrusted(text()).into()),
        ("- Unauthenticated TOKEN_INVALID", Unproven::Token.into()),
        ("- Unauthenticated TOKEN_OVER_PLAINTEXT", Unproven::TokenInPlainText.into()),
        ("- Unauthenticated AMBIGUOUS_CREDENTIALS", Unproven::Both.into()),
        (
            "- PermissionDenied ROLE_REQUIRED",
            Rejection::RoleRequired { needed: "admin", caller: text(), held: Roles::default() },
        ),
        ("- FailedPrecondition AUDIT_UNAVAILABLE", Rejection::Unaudited(Unavailable(text()))),
        ("- PermissionDenied PAYLOAD_DISABLED", Rejection::PayloadDisabled),
        ("ESTALE Aborted ETAG_MISMATCH", Rejection::EtagMismatch { flow: text(), current: text() }),
        ("- ResourceExhausted TOO_MANY_STREAMS retry 1s", Rejection::TooManyStreams { max: 2 }),
        ("- ResourceExhausted TOO_MANY_CALLS retry 1s", ManyFlows::TooManyWalks { max: 2 }.into()),
        ("- DeadlineExceeded DEADLINE_EXCEEDED retry 1s", ManyFlows::Unfinished.into()),
        (
            "- FailedPrecondition TOO_MANY_MATCHES",
            ManyFlows::TooManyMatches { matched: 2, max: 1 }.into(),
        ),
        ("- FailedPrecondition IRREVERSIBLE_NOT_ALLOWED", ManyFlows::Irreversible.into()),
        (
            "- InvalidArgument MATCH_TOKEN_INVALID",
            ManyFlows::MatchToken(PageTokenError::Forged).into(),
        ),
        ("- NotFound UNDO_UNKNOWN", ManyFlows::UndoUnknown.into()),
        ("- ResourceExhausted TOO_MANY_CALLS retry 1s", Cutoff::TooManyCalls { max: 2 }.into()),
        ("- ResourceExhausted ANSWERS_UNREAD retry 1s", Cutoff::UnreadAnswers { max: 2 }.into()),
        ("- ResourceExhausted SLOW_CONSUMER retry 1s", Cutoff::SlowConsumer.into()),
        ("- DeadlineExceeded REQUEST_UNFINISHED", Cutoff::Unfinished.into()),
        ("- Unavailable SERVER_STOPPING retry 1s", Rejection::Stopping),
        ("- Unimplemented METHOD_UNKNOWN", Unserved::NoSuchMethod.into()),
        ("- NotFound NAME_UNKNOWN", Unserved::NoSuchName.into()),
        ("- InvalidArgument REQUEST_UNREADABLE", Unserved::Unreadable(text()).into()),
        ("- ResourceExhausted REQUEST_TOO_LARGE", Unserved::RequestTooLarge.into()),
        ("- Unimplemented COMPRESSION_UNSUPPORTED", Unserved::Compression.into()),
        ("- DeadlineExceeded DEADLINE_EXCEEDED retry 1s", Unserved::Late.into()),
        ("- Cancelled CALL_CANCELLED", Unserved::Cancelled.into()),
        ("- Internal INTERNAL", Unserved::Unexplained(15).into()),
        ("- Internal INTERNAL", Rejection::UnexpectedReply(worker_id(3))),
        ("- Internal INTERNAL", Rejection::Panicked(uuid::Uuid::nil())),
    ]
}

fn places() -> Vec<(&'static str, Rejection)> {
    let page = |error: PageTokenError| ("- InvalidArgument PAGE_TOKEN_INVALID", error.into());
    let resume =
        |error| ("- InvalidArgument RESUME_TOKEN_INVALID", ResumeError::Token(error).into());
    let mut rows = vec![("- OutOfRange RESUME_TOKEN_EXPIRED", ResumeError::Expired.into())];
    rows.extend(PageTokenError::ALL.map(page));
    rows.extend(PageTokenError::ALL.map(resume));
    rows
}

fn policies() -> Vec<(&'static str, Rejection)> {
    let text = || "x".to_owned();
    let filter = |filter: &str| PolicyError::Filter {
        policy: text(),
        error: Filter::parse_for_newcomers(filter).unwrap_err(),
    };
    let store = |kind| PolicyError::Store(StoreError { kind, message: text() });
    let range = SockOptError::OutOfRange { name: NAME, value: 9, max: 8 };
    let borders = mos_stack::policy::PolicyTableError::Borders;
    let rows = vec![
        (
            "EINVAL InvalidArgument ARGUMENT_INVALID",
            PolicyError::Invalid { policy: text(), field: "name", problem: text() },
        ),
        ("- InvalidArgument FILTER_INVALID", filter("x")),
        ("- InvalidArgument FILTER_FIELD_UNAVAILABLE", filter("age > 1m")),
        (
            "EINVAL InvalidArgument OPTION_VALUE_INVALID",
            PolicyError::Options { policy: text(), error: range },
        ),
        ("EINVAL InvalidArgument ARGUMENT_INVALID", PolicyError::Set(text())),
        ("EINVAL InvalidArgument ARGUMENT_INVALID", PolicyError::Table(borders)),
        ("- NotFound POLICY_NOT_FOUND", PolicyError::NotFound(text())),
        ("- AlreadyExists POLICY_EXISTS", PolicyError::Exists(text())),
        (
            "ESTALE Aborted ETAG_MISMATCH",
            PolicyError::EtagMismatch { resource: text(), current: text() },
        ),
        ("- FailedPrecondition POLICIES_FROM_FILE", PolicyError::FromFile("x".into())),
        ("- FailedPrecondition POLICY_UNCONFIRMED", PolicyError::Unconfirmed(7)),
        ("- FailedPrecondition POLICY_NOT_PENDING", PolicyError::NotPending(7)),
        ("- NotFound POLICY_GENERATION_NOT_FOUND", PolicyError::GenerationNotFound(7)),
        ("- ResourceExhausted POLICY_STORE_FULL", store(StoreFailure::Full)),
        ("- FailedPrecondition POLICY_STORE_READ_ONLY", store(StoreFailure::ReadOnly)),
        ("- Internal POLICY_STORE_FAILED", store(StoreFailure::Failed)),
    ];
    rows.into_iter().map(|(row, error)| (row, error.into())).collect()
}

fn described(status: &Status) -> String {
    let (code, reason, errno) = row(status);
    let errno = if errno.is_empty() { "-" } else { &errno };
    let details = status.get_error_details();
    let retry = details.retry_info().and_then(|info| info.retry_delay);
    let retry = retry.map(|delay| format!(" retry {delay:?}")).unwrap_or_default();
    format!("{errno} {code:?} {reason}{retry}")
}

/// Every rejection, with its row.
fn rejections() -> impl Iterator<Item = (&'static str, Rejection)> {
    let resource = || "flows/0000000000000001".to_owned();
    let refused = refusals()
        .into_iter()
        .map(move |(row, refusal)| (row, Rejection::Refused { refusal, resource: resource() }));
    let peeked = peeks()
        .into_iter()
        .map(move |(row, error)| (row, Rejection::Peek { error, resource: resource() }));
    let values = arguments().into_iter().chain(places());
    refused.chain(peeked).chain(names()).chain(values).chain(policies()).chain(rates())
}

#[test]
fn every_rejection_has_its_row() {
    for (expected, rejection) in rejections() {
        let text = rejection.to_string();
        let status = Status::from(rejection.clone());
        assert_eq!(described(&status), expected, "{rejection:?}");
        assert_eq!(status.message(), text);
        assert!(!text.is_empty() && !text.contains('\n'));
        says_what_it_is_about(&status, &rejection);
    }
}

#[test]
fn every_reason_is_that_of_a_rejection_and_means_the_same_for_all_of_its_rejections() {
    let mut met = BTreeSet::new();
    for (_, rejection) in rejections() {
        let status = Status::from(rejection);
        let (code, reason, errno) = row(&status);
        let known = ErrorRow::all().into_iter().find(|known| known.reason.as_str() == reason);
        let known = known.unwrap_or_else(|| panic!("{reason} has no row"));
        assert_eq!((code, errno.as_str()), (known.code, known.errno.unwrap_or_default()));
        let retry = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
        assert_eq!(retry, known.retry, "{reason}");
        met.insert(reason);
    }
    let all: BTreeSet<String> = Reason::ALL.into_iter().map(|r| r.as_str().to_owned()).collect();
    assert_eq!(met, all);
}

#[test]
fn the_page_of_errors_has_every_reason_and_every_key_and_nothing_else() {
    let page = include_str!("../../../docs/reference/errors.md");
    let (reasons, keys) = page.split_once("\n## Metadata\n").expect("two tables");
    let (keys, _) = keys.split_once("\n## ").expect("a section behind the keys");
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let cells = |line: &'static str| line.strip_prefix("| `")?.split_once("` | ");
    let rows: Vec<_> = reasons.lines().filter_map(cells).collect();
    let written: BTreeMap<_, BTreeSet<String>> = rows
        .iter()
        .map(|(reason, row)| ((*reason).to_owned(), names(row.rsplit_once(" | ").unwrap().1)))
        .collect();
    let mut carried = BTreeMap::<_, BTreeSet<String>>::new();
    for (_, rejection) in rejections() {
        let details = Status::from(rejection).get_error_details();
        let info = details.error_info().unwrap();
        let names = info.metadata.keys().filter(|key| *key != "errno").cloned();
        carried.entry(info.reason.clone()).or_default().extend(names);
    }
    assert_eq!(written, carried);
    assert_eq!(rows.len(), written.len(), "a reason stands twice");
    let explained: BTreeSet<_> =
        keys.lines().filter_map(cells).map(|(key, _)| key.to_owned()).collect();
    assert_eq!(explained, carried.into_values().flatten().collect());
}

/// Beside the reason there is a detail that names the field, the resource, the state or the quota.
fn says_what_it_is_about(status: &Status, rejection: &Rejection) {
    let details = status.get_error_details();
    let has = match status.code() {
        Code::InvalidArgument | Code::OutOfRange => details.bad_request().is_some(),
        Code::FailedPrecondition => details.precondition_failure().is_some(),
        Code::ResourceExhausted => details.quota_failure().is_some(),
        Code::NotFound | Code::Aborted | Code::Unavailable | Code::DeadlineExceeded => {
            details.resource_info().is_some()
        }
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => true,
    };
    assert!(has, "{rejection:?}: {details:?}");
}

#[test]
fn numbers_that_a_program_needs_are_in_the_metadata() {
    let resource = || "flows/0000000000000001".to_owned();
    let refused = |error| {
        let refusal = Refusal::SockOpt(error);
        Status::from(Rejection::Refused { refusal, resource: resource() })
    };
    let status = refused(SockOptError::OutOfRange { name: NAME, value: 9, max: 8 });
    assert_eq!((metadata(&status, "max"), metadata(&status, "value")), ("8".into(), "9".into()));
    let status = refused(SockOptError::PoolExhausted { requested_bytes: 2, free_bytes: 1 });
    assert_eq!(metadata(&status, "requestedBytes"), "2");
    assert_eq!(metadata(&status, "freeBytes"), "1");
    let status = refused(SockOptError::Locked { name: NAME });
    assert_eq!(metadata(&status, "option"), "client_buffer_bytes");
    let error = PeekError::Overwritten { oldest: StreamOffset(10), newest: StreamOffset(20) };
    let status = Status::from(Rejection::Peek { error, resource: resource() });
    assert_eq!(metadata(&status, "oldestOffset"), "10");
    assert_eq!(metadata(&status, "newestOffset"), "20");
    let flows = vec!["a".to_owned(), "b".to_owned()];
    let status = Status::from(Rejection::AmbiguousFlow { name: resource(), count: 2, flows });
    assert_eq!(metadata(&status, "flows"), "a,b");
    let ended = Refusal::Lookup(LookupError::Ended { cause: Some(EndCause::Rst) });
    let status = Status::from(Rejection::Refused { refusal: ended, resource: resource() });
    assert_eq!(metadata(&status, "cause"), "rst");
}
