//! What a reason means on the wire: one row each.

use std::time::Duration;

use mos_text::Reason;
use tonic::Code;

/// How long to wait before the same request is tried again, where waiting helps.
const LATER: Option<Duration> = Some(Duration::from_secs(1));

/// The same, where it is a moment; of a rate, the error itself knows it better.
const SOON: Option<Duration> = Some(Duration::from_millis(50));

/// What a reason means on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorRow {
    /// `ErrorInfo.reason`.
    pub reason: Reason,
    /// gRPC code.
    pub code: Code,
    /// `ErrorInfo.metadata["errno"]`: the errno of `mtcp_setsockopt(3)` by name, where that page
    /// has a like error.
    pub errno: Option<&'static str>,
    /// `RetryInfo.retry_delay`: when it makes sense to try again with the same request.
    pub retry: Option<Duration>,
}

impl ErrorRow {
    /// Every row.
    #[must_use]
    pub fn all() -> [Self; Reason::ALL.len()] {
        Reason::ALL.map(Self::of)
    }

    /// The row of a reason.
    #[rustfmt::skip] // A table.
    pub(super) const fn of(reason: Reason) -> Self {
        let (code, errno, retry) = match reason {
            Reason::FlowNotFound           => (Code::NotFound,           Some("EBADF"),     None),
            Reason::FlowEnded              => (Code::NotFound,           Some("EBADF"),     None),
            Reason::FlowNameInvalid        => (Code::InvalidArgument,    Some("EBADF"),     None),
            Reason::FlowNotMonitored       => (Code::FailedPrecondition, Some("ENOTSOCK"),  None),
            Reason::AmbiguousFlow          => (Code::FailedPrecondition, None,              None),
            Reason::OptionUnknown          => (Code::InvalidArgument,    Some("ENOSYS"),    None),
            Reason::OptionNotImplemented   => (Code::Unimplemented,      Some("ENOSYS"),    None),
            Reason::OptionValueInvalid     => (Code::InvalidArgument,    Some("EINVAL"),    None),
            Reason::OptionLocked           => (Code::PermissionDenied,   Some("EPERM"),     None),
            Reason::EtagMismatch           => (Code::Aborted,            Some("ESTALE"),    None),
            Reason::BufferPoolExhausted    => (Code::ResourceExhausted,  Some("ENOMEM"),    None),
            Reason::BufferingDisabled      => (Code::FailedPrecondition, Some("EINVAL"),    None),
            Reason::DataOverwritten        => (Code::OutOfRange,         Some("ENODATA"),   None),
            Reason::DataNotYetReceived     => (Code::OutOfRange,         Some("ENODATA"),   None),
            Reason::CredentialsMissing     => (Code::Unauthenticated,    None,              None),
            Reason::CertificateHasNoName   => (Code::Unauthenticated,    None,              None),
            Reason::CertificateInvalid     => (Code::Unauthenticated,    None,              None),
            Reason::TokenInvalid           => (Code::Unauthenticated,    None,              None),
            Reason::TokenOverPlaintext     => (Code::Unauthenticated,    None,              None),
            Reason::AmbiguousCredentials   => (Code::Unauthenticated,    None,              None),
            Reason::RoleRequired           => (Code::PermissionDenied,   None,              None),
            Reason::AuditUnavailable       => (Code::FailedPrecondition, None,              None),
            Reason::PayloadDisabled        => (Code::PermissionDenied,   None,              None),
            Reason::CoreNotFound           => (Code::NotFound,           Some("EACCES"),    None),
            Reason::CoreNotRunning         => (Code::Unavailable,        Some("EACCES"),    LATER),
            Reason::CoreDraining           => (Code::Unavailable,        Some("EPERM"),     LATER),
            Reason::CoreQueueFull          => (Code::Unavailable,        Some("EAGAIN"),    SOON),
            Reason::CoreAckTimeout         => (Code::DeadlineExceeded,   Some("ETIMEDOUT"), LATER),
            Reason::ArgumentInvalid        => (Code::InvalidArgument,    Some("EINVAL"),    None),
            Reason::RequestIdReused        => (Code::InvalidArgument,    None,              None),
            Reason::FilterInvalid          => (Code::InvalidArgument,    None,              None),
            Reason::FilterAmbiguous        => (Code::InvalidArgument,    None,              None),
            Reason::FilterFieldUnavailable => (Code::InvalidArgument,    None,              None),
            Reason::PageTokenInvalid       => (Code::InvalidArgument,    None,              None),
            Reason::ResumeTokenInvalid     => (Code::InvalidArgument,    None,              None),
            Reason::ResumeTokenExpired     => (Code::OutOfRange,         None,              None),
            Reason::TooManyMatches         => (Code::FailedPrecondition, None,              None),
            Reason::IrreversibleNotAllowed => (Code::FailedPrecondition, None,              None),
            Reason::MatchTokenInvalid      => (Code::InvalidArgument,    None,              None),
            Reason::UndoUnknown            => (Code::NotFound,           None,              None),
            Reason::PolicyNotFound         => (Code::NotFound,           None,              None),
            Reason::PolicyExists           => (Code::AlreadyExists,      None,              None),
            Reason::PolicyGenerationNotFound => (Code::NotFound,         None,              None),
            Reason::PolicyUnconfirmed      => (Code::FailedPrecondition, None,              None),
            Reason::PolicyNotPending       => (Code::FailedPrecondition, None,              None),
            Reason::PoliciesFromFile       => (Code::FailedPrecondition, None,              None),
            Reason::PolicyStoreFull        => (Code::ResourceExhausted,  None,              None),
            Reason::PolicyStoreReadOnly    => (Code::FailedPrecondition, None,              None),
            Reason::PolicyStoreFailed      => (Code::Internal,           None,              None),
            Reason::TooManyStreams         => (Code::ResourceExhausted,  None,              LATER),
            Reason::TooManyCalls           => (Code::ResourceExhausted,  None,              LATER),
            Reason::RateLimited            => (Code::ResourceExhausted,  None,              SOON),
            Reason::AnswersUnread          => (Code::ResourceExhausted,  None,              LATER),
            Reason::SlowConsumer           => (Code::ResourceExhausted,  None,              LATER),
            Reason::RequestUnfinished      => (Code::DeadlineExceeded,   None,              None),
            Reason::ServerStopping         => (Code::Unavailable,        None,              LATER),
            Reason::MethodUnknown          => (Code::Unimplemented,      None,              None),
            Reason::NameUnknown            => (Code::NotFound,           None,              None),
            Reason::RequestUnreadable      => (Code::InvalidArgument,    None,              None),
            Reason::RequestTooLarge        => (Code::ResourceExhausted,  None,              None),
            Reason::CompressionUnsupported => (Code::Unimplemented,      None,              None),
            Reason::DeadlineExceeded       => (Code::DeadlineExceeded,   None,              LATER),
            Reason::CallCancelled          => (Code::Cancelled,          None,              None),
            Reason::Internal               => (Code::Internal,           None,              None),
        };
        Self { reason, code, errno, retry }
    }
}
