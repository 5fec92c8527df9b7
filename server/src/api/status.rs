//! The one table from rejections to errno names, gRPC codes and reasons.
//!
//! Nothing below the server knows these names and numbers. A new variant of [`Rejection`] or of the
//! refusals inside it fails to compile here until it has a row. Clients decide by `(code, reason)`;
//! `metadata.errno` keeps the symbolic errno of `mtcp_setsockopt(3)`; message texts may
//! change.

use std::{collections::HashMap, time::Duration};

use mos_control::Refusal;
use mos_stack::{EndCause, LookupError, PeekError, SockOptError};
use mos_text::FlowNameError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{api::rejection::Rejection, filter::FilterErrorKind};

/// Domain of every reason.
pub(super) const DOMAIN: &str = "mos.v1";

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// Symbolic errno, as `mtcp_setsockopt(3)` or this page's tables name it.
    pub errno: Option<&'static str>,
    /// gRPC code.
    pub code: Code,
    /// `ErrorInfo.reason`.
    pub reason: &'static str,
}

/// The code that an RPC ended with.
pub(super) fn code_of<T>(outcome: &Result<T, Status>) -> Code {
    outcome.as_ref().err().map_or(Code::Ok, Status::code)
}

const fn row(errno: &'static str, code: Code, reason: &'static str) -> Row {
    Row { errno: Some(errno), code, reason }
}

const fn bare(code: Code, reason: &'static str) -> Row {
    Row { errno: None, code, reason }
}

impl Rejection {
    /// The row of this rejection.
    #[must_use]
    pub(crate) const fn row(&self) -> Row {
        match self {
            Self::Refused { refusal, .. } => refused(*refusal),
            Self::Peek { error, .. } => peek(*error),
            Self::CoreNotFound { .. } => row("EACCES", Code::NotFound, "CORE_NOT_FOUND"),
            Self::CoreUnusable(_) => row("EACCES", Code::Unavailable, "CORE_NOT_RUNNING"),
            Self::NotOwner { .. } | Self::NoMatch(_) => {
                row("EBADF", Code::NotFound, "FLOW_NOT_FOUND")
            }
            Self::FlowName(FlowNameError::OtherResource(_)) => {
                row("ENOTSOCK", Code::FailedPrecondition, "FLOW_NOT_MONITORED")
            }
            Self::FlowName(
                FlowNameError::Empty | FlowNameError::Handle(_) | FlowNameError::Tuple { .. },
            ) => row("EBADF", Code::InvalidArgument, "FLOW_NAME_INVALID"),
            Self::AmbiguousFlow { .. } => bare(Code::FailedPrecondition, "AMBIGUOUS_FLOW"),
            Self::NoChange(_) | Self::OptionValue { .. } => {
                row("EINVAL", Code::InvalidArgument, "OPTION_VALUE_INVALID")
            }
            Self::OptionUnknown { .. } => row("ENOSYS", Code::InvalidArgument, "OPTION_UNKNOWN"),
            Self::OptionNotImplemented(_) => {
                row("ENOSYS", Code::Unimplemented, "OPTION_NOT_IMPLEMENTED")
            }
            Self::Argument { .. } => row("EINVAL", Code::InvalidArgument, "ARGUMENT_INVALID"),
            Self::Filter(error) => bare(
                Code::InvalidArgument,
                match error.kind {
                    FilterErrorKind::Invalid => "FILTER_INVALID",
                    FilterErrorKind::Ambiguous => "FILTER_AMBIGUOUS",
                    FilterErrorKind::FieldUnavailable => "FILTER_FIELD_UNAVAILABLE",
                },
            ),
            Self::PageToken(_) => bare(Code::InvalidArgument, "PAGE_TOKEN_INVALID"),
            Self::PayloadDisabled => bare(Code::PermissionDenied, "PAYLOAD_DISABLED"),
            Self::EtagMismatch { .. } => row("ESTALE", Code::Aborted, "ETAG_MISMATCH"),
            Self::TooManyStreams { .. } => bare(Code::ResourceExhausted, "TOO_MANY_STREAMS"),
            Self::Stopping => bare(Code::Unavailable, "SERVER_STOPPING"),
            Self::UnexpectedReply(_) => bare(Code::Internal, "INTERNAL"),
        }
    }

    fn details(&self) -> ErrorDetails {
        let Row { errno, reason, .. } = self.row();
        let mut metadata = self.metadata();
        if let Some(errno) = errno {
            metadata.insert("errno".to_owned(), errno.to_owned());
        }
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
        if let Some(delay) = self.retry_delay() {
            details.set_retry_info(Some(delay));
        }
        self.add_subject(&mut details);
        details
    }

    /// When it makes sense to try again with the same request.
    const fn retry_delay(&self) -> Option<Duration> {
        match self {
            Self::CoreUnusable(_) | Self::TooManyStreams { .. } | Self::Stopping => {
                Some(Duration::from_secs(1))
            }
            Self::Refused { refusal, .. } => match refusal {
                Refusal::WorkerNotRunning(_)
                | Refusal::WorkerStopping(_)
                | Refusal::NoAnswer(_) => Some(Duration::from_secs(1)),
                Refusal::RingFull(_) => Some(Duration::from_millis(50)),
                Refusal::NoSuchWorker(_) | Refusal::Lookup(_) | Refusal::SockOpt(_) => None,
            },
            Self::Peek { .. }
            | Self::CoreNotFound { .. }
            | Self::NotOwner { .. }
            | Self::FlowName(_)
            | Self::NoMatch(_)
            | Self::AmbiguousFlow { .. }
            | Self::NoChange(_)
            | Self::OptionUnknown { .. }
            | Self::OptionNotImplemented(_)
            | Self::OptionValue { .. }
            | Self::Argument { .. }
            | Self::Filter(_)
            | Self::PageToken(_)
            | Self::PayloadDisabled
            | Self::EtagMismatch { .. }
            | Self::UnexpectedReply(_) => None,
        }
    }

    /// The numbers and names that a program may want, by stable keys in camel case.
    fn metadata(&self) -> HashMap<String, String> {
        let pairs: Vec<(&str, String)> = match self {
            Self::Refused { refusal, .. } => refused_metadata(*refusal),
            Self::Peek { error, .. } => peek_metadata(*error),
            Self::CoreNotFound { core, .. } => vec![("core", core.to_string())],
            Self::CoreUnusable(core) => vec![("core", core.to_string())],
            Self::NotOwner { core, owner, .. } => {
                vec![("core", core.to_string()), ("owner", owner.to_string())]
            }
            Self::AmbiguousFlow { flows, .. } => vec![("flows", flows.join(","))],
            Self::OptionUnknown { field, .. } => vec![("option", (*field).to_owned())],
            Self::OptionNotImplemented(option) => {
                vec![("option", option.clone()), ("version", env!("CARGO_PKG_VERSION").to_owned())]
            }
            Self::OptionValue { field, value, range, .. } => {
                let mut pairs = vec![("option", (*field).to_owned()), ("value", value.clone())];
                if let Some((min, max)) = range {
                    pairs.extend([("min", min.to_string()), ("max", max.to_string())]);
                }
                pairs
            }
            Self::Filter(error) => vec![("column", error.column.to_string())],
            Self::PageToken(error) => vec![("cause", error.cause().to_owned())],
            Self::PayloadDisabled => vec![("key", "server.payload".to_owned())],
            Self::EtagMismatch { current, .. } => vec![("currentEtag", current.clone())],
            Self::TooManyStreams { max } => vec![("max", max.to_string())],
            Self::UnexpectedReply(core) => vec![("core", core.to_string())],
            Self::FlowName(_)
            | Self::NoMatch(_)
            | Self::NoChange(_)
            | Self::Argument { .. }
            | Self::Stopping => Vec::new(),
        };
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Adds the detail that says which field, resource, state or quota is meant.
    fn add_subject(&self, details: &mut ErrorDetails) {
        let text = self.to_string();
        match self {
            Self::Refused { refusal, resource } => refused_subject(*refusal, resource, details),
            Self::Peek { error, resource } => match error {
                PeekError::Lookup(error) => lookup_subject(*error, resource, details),
                PeekError::Stopped(_) | PeekError::BufferingDisabled(_) => {
                    precondition(self.row().reason, resource, &text, details);
                }
                PeekError::Overwritten { .. } | PeekError::NotYetReceived { .. } => {
                    details.add_bad_request_violation("offset", text);
                }
            },
            Self::CoreNotFound { core, .. } => {
                details.set_resource_info("mos.v1.Core", format!("cores/{core}"), "", text);
            }
            Self::CoreUnusable(core) => {
                details.set_resource_info("mos.v1.Core", format!("cores/{core}"), "", text);
            }
            Self::NotOwner { flow, .. } => {
                details.set_resource_info("mos.v1.Flow", format!("flows/{flow}"), "", text);
            }
            Self::NoMatch(name) => {
                details.set_resource_info("mos.v1.Flow", name, "", text);
            }
            Self::FlowName(FlowNameError::OtherResource(name)) => {
                precondition(self.row().reason, name, &text, details);
            }
            Self::FlowName(_) => {
                details.add_bad_request_violation("flow", text);
            }
            Self::AmbiguousFlow { name, .. } => {
                precondition(self.row().reason, name, &text, details);
            }
            Self::NoChange(field)
            | Self::OptionUnknown { field, .. }
            | Self::OptionValue { field, .. }
            | Self::Argument { field, .. } => {
                details.add_bad_request_violation(*field, text);
            }
            Self::Filter(_) => {
                details.add_bad_request_violation("filter", text);
            }
            Self::PageToken(_) => {
                details.add_bad_request_violation("page_token", text);
            }
            Self::EtagMismatch { flow, .. } => {
                details.set_resource_info("mos.v1.Flow", flow, "", text);
            }
            Self::TooManyStreams { .. } => {
                details.add_quota_failure_violation("streams", text);
            }
            Self::Stopping => {
                details.set_resource_info("mos.v1.Server", "mosd", "", text);
            }
            Self::OptionNotImplemented(_) | Self::PayloadDisabled | Self::UnexpectedReply(_) => {}
        }
    }
}

const fn refused(refusal: Refusal) -> Row {
    match refusal {
        Refusal::NoSuchWorker(_) => row("EACCES", Code::NotFound, "CORE_NOT_FOUND"),
        Refusal::WorkerNotRunning(_) => row("EACCES", Code::Unavailable, "CORE_NOT_RUNNING"),
        Refusal::WorkerStopping(_) => row("EPERM", Code::Unavailable, "CORE_DRAINING"),
        Refusal::RingFull(_) => row("EAGAIN", Code::Unavailable, "CORE_QUEUE_FULL"),
        Refusal::NoAnswer(_) => row("ETIMEDOUT", Code::DeadlineExceeded, "CORE_ACK_TIMEOUT"),
        Refusal::Lookup(error) | Refusal::SockOpt(SockOptError::Lookup(error)) => lookup(error),
        Refusal::SockOpt(SockOptError::Stopped { .. }) => {
            row("ENOTSOCK", Code::FailedPrecondition, "FLOW_NOT_MONITORED")
        }
        Refusal::SockOpt(SockOptError::Locked { .. }) => {
            row("EPERM", Code::PermissionDenied, "OPTION_LOCKED")
        }
        Refusal::SockOpt(SockOptError::OutOfRange { .. }) => {
            row("EINVAL", Code::InvalidArgument, "OPTION_VALUE_INVALID")
        }
        Refusal::SockOpt(SockOptError::PoolExhausted { .. }) => {
            row("ENOMEM", Code::ResourceExhausted, "BUFFER_POOL_EXHAUSTED")
        }
        Refusal::SockOpt(SockOptError::RevisionMismatch { .. }) => {
            row("ESTALE", Code::Aborted, "ETAG_MISMATCH")
        }
    }
}

const fn lookup(error: LookupError) -> Row {
    match error {
        LookupError::NotFound => row("EBADF", Code::NotFound, "FLOW_NOT_FOUND"),
        // The connection goes on, but it is no monitored flow any more.
        LookupError::Ended { cause: Some(EndCause::Stopped) } => {
            row("ENOTSOCK", Code::FailedPrecondition, "FLOW_NOT_MONITORED")
        }
        LookupError::Ended {
            cause:
                None
                | Some(
                    EndCause::Fin
                    | EndCause::Rst
                    | EndCause::Timeout
                    | EndCause::Reused
                    | EndCause::Evicted,
                ),
        } => row("EBADF", Code::NotFound, "FLOW_ENDED"),
    }
}

const fn peek(error: PeekError) -> Row {
    match error {
        PeekError::Lookup(error) => lookup(error),
        PeekError::Stopped(_) => row("ENOTSOCK", Code::FailedPrecondition, "FLOW_NOT_MONITORED"),
        PeekError::BufferingDisabled(_) => {
            row("EINVAL", Code::FailedPrecondition, "BUFFERING_DISABLED")
        }
        PeekError::Overwritten { .. } => row("ENODATA", Code::OutOfRange, "DATA_OVERWRITTEN"),
        PeekError::NotYetReceived { .. } => {
            row("ENODATA", Code::OutOfRange, "DATA_NOT_YET_RECEIVED")
        }
    }
}

fn refused_metadata(refusal: Refusal) -> Vec<(&'static str, String)> {
    match refusal {
        Refusal::NoSuchWorker(core)
        | Refusal::WorkerNotRunning(core)
        | Refusal::WorkerStopping(core)
        | Refusal::RingFull(core)
        | Refusal::NoAnswer(core) => vec![("core", core.to_string())],
        Refusal::Lookup(error) | Refusal::SockOpt(SockOptError::Lookup(error)) => {
            lookup_metadata(error)
        }
        Refusal::SockOpt(SockOptError::Stopped { name }) => vec![("option", name.to_string())],
        Refusal::SockOpt(SockOptError::Locked { name }) => {
            vec![("option", name.to_string()), ("policy", "options.locked".to_owned())]
        }
        Refusal::SockOpt(SockOptError::OutOfRange { name, value, max }) => vec![
            ("option", name.to_string()),
            ("value", value.to_string()),
            ("min", "0".to_owned()),
            ("max", max.to_string()),
        ],
        Refusal::SockOpt(SockOptError::PoolExhausted { requested_bytes, free_bytes }) => vec![
            ("requestedBytes", requested_bytes.to_string()),
            ("freeBytes", free_bytes.to_string()),
        ],
        Refusal::SockOpt(SockOptError::RevisionMismatch { current }) => {
            vec![("currentRevision", current.to_string())]
        }
    }
}

fn lookup_metadata(error: LookupError) -> Vec<(&'static str, String)> {
    match error {
        LookupError::Ended { cause: Some(cause) } => vec![("cause", cause.as_str().to_owned())],
        LookupError::NotFound | LookupError::Ended { cause: None } => Vec::new(),
    }
}

fn peek_metadata(error: PeekError) -> Vec<(&'static str, String)> {
    match error {
        PeekError::Lookup(error) => lookup_metadata(error),
        PeekError::Stopped(_) | PeekError::BufferingDisabled(_) => Vec::new(),
        PeekError::Overwritten { oldest, newest }
        | PeekError::NotYetReceived { oldest, newest } => {
            vec![("oldestOffset", oldest.to_string()), ("newestOffset", newest.to_string())]
        }
    }
}

fn refused_subject(refusal: Refusal, resource: &str, details: &mut ErrorDetails) {
    let text = refusal.to_string();
    match refusal {
        Refusal::NoSuchWorker(core)
        | Refusal::WorkerNotRunning(core)
        | Refusal::WorkerStopping(core)
        | Refusal::RingFull(core)
        | Refusal::NoAnswer(core) => {
            details.set_resource_info("mos.v1.Core", format!("cores/{core}"), "", text);
        }
        Refusal::Lookup(error) | Refusal::SockOpt(SockOptError::Lookup(error)) => {
            lookup_subject(error, resource, details);
        }
        Refusal::SockOpt(SockOptError::Stopped { .. }) => {
            precondition(refused(refusal).reason, resource, &text, details);
        }
        Refusal::SockOpt(SockOptError::OutOfRange { name, .. }) => {
            details.add_bad_request_violation(format!("options.{name}"), text);
        }
        Refusal::SockOpt(SockOptError::PoolExhausted { .. }) => {
            details.add_quota_failure_violation("buffer-pool", text);
        }
        Refusal::SockOpt(SockOptError::Locked { .. } | SockOptError::RevisionMismatch { .. }) => {
            details.set_resource_info("mos.v1.Flow", resource, "", text);
        }
    }
}

fn lookup_subject(error: LookupError, resource: &str, details: &mut ErrorDetails) {
    let text = error.to_string();
    if matches!(lookup(error).code, Code::FailedPrecondition) {
        precondition(lookup(error).reason, resource, &text, details);
    } else {
        details.set_resource_info("mos.v1.Flow", resource, "", text);
    }
}

fn precondition(kind: &str, subject: &str, text: &str, details: &mut ErrorDetails) {
    details.add_precondition_failure_violation(kind, subject, text);
}

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        Self::with_error_details(rejection.row().code, rejection.to_string(), rejection.details())
    }
}
