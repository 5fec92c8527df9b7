//! What an error says besides its message: one arm for each rejection.

use std::fmt::Display;

use mos_control::Refusal;
use mos_stack::{EndCause, LookupError, PeekError, SockOptError};
use mos_text::{Echo, FlowNameError, Reason};

use crate::{
    api::{
        convert::flow_name,
        rejection::{ManyFlows, Rejection, ResumeError, Unserved},
    },
    auth::Unproven,
    filter::FilterErrorKind,
    flows::page_token::PageTokenError,
    net::Cutoff,
    policies::{PolicyError, StoreFailure},
    words::bounds::MESSAGE_IN_MAX,
};

/// What an error says besides its message.
#[derive(Debug)]
pub(super) struct Explanation {
    /// What programs decide by.
    pub(super) reason: Reason,
    /// What the error is about.
    pub(super) about: About,
    /// Names and numbers that a program may want, by stable keys in camel case.
    pub(super) metadata: Vec<(&'static str, String)>,
    /// What is said of the thing it is about; `None`: the message.
    pub(super) text: Option<String>,
}

/// What an error is about. Each kind has its own message of `google.rpc`.
#[derive(Debug)]
pub(super) enum About {
    /// The request as a whole.
    Nothing,
    /// A field of the request, by its path: `BadRequest`.
    Field(String),
    /// A resource: `ResourceInfo`.
    Resource {
        /// Its type.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A resource that is not in the state asked for, by its name: `PreconditionFailure`.
    State(String),
    /// A bound that was reached: `QuotaFailure`.
    Quota(&'static str),
    /// This very request, by its id in the log: `RequestInfo`.
    Request(String),
}

impl Rejection {
    /// What this rejection says besides its message.
    pub(super) fn explain(&self) -> Explanation {
        match self {
            Self::Refused { refusal, resource } => refused(*refusal, resource),
            Self::Peek { error, resource } => peek(*error, resource),
            Self::CoreNotFound { core, .. } => of_core(Reason::CoreNotFound, core),
            Self::NoSuchCore { core, .. } => of_core(Reason::CoreNotFound, core),
            Self::CoreNotRunning(core) => of_core(Reason::CoreNotRunning, core),
            Self::NotOwner { core, flow: id, owner } => {
                let metadata: Metadata<'_> = &[("core", core), ("owner", owner)];
                explain(Reason::FlowNotFound, flow(flow_name(*id)), metadata)
            }
            Self::NoMatch(name) => explain(Reason::FlowNotFound, flow(name), &[]),
            Self::FlowName(FlowNameError::OtherResource(name)) => {
                explain(Reason::FlowNotMonitored, state(Echo(name).head()), &[])
            }
            Self::FlowName(
                FlowNameError::Empty
                | FlowNameError::TooLong(_)
                | FlowNameError::Handle(_)
                | FlowNameError::Tuple { .. },
            ) => explain(Reason::FlowNameInvalid, field("flow"), &[]),
            Self::AmbiguousFlow { name, flows, .. } => {
                explain(Reason::AmbiguousFlow, state(name), &[("flows", &flows.join(","))])
            }
            Self::NoChange(path) => explain(Reason::OptionValueInvalid, field(*path), &[]),
            Self::OptionUnknown { field: path, .. } => {
                explain(Reason::OptionUnknown, field(*path), &[("option", path)])
            }
            Self::OptionNotImplemented(option) => {
                let metadata: Metadata<'_> =
                    &[("option", option), ("version", &env!("CARGO_PKG_VERSION"))];
                explain(Reason::OptionNotImplemented, About::Nothing, metadata)
            }
            Self::OptionValue { field: path, value, range, .. } => {
                let metadata: Metadata<'_> = match range {
                    Some((min, max)) => {
                        &[("option", path), ("value", value), ("min", min), ("max", max)]
                    }
                    None => &[("option", path), ("value", value)],
                };
                explain(Reason::OptionValueInvalid, field(*path), metadata)
            }
            Self::Argument { field: at, .. } => explain(Reason::ArgumentInvalid, field(*at), &[]),
            Self::RequestIdReused => explain(Reason::RequestIdReused, field("request_id"), &[]),
            Self::Filter(error) => {
                explain(filter_reason(error.kind), field("filter"), &[("column", &error.column)])
            }
            Self::PageToken(error) => page_token(*error),
            Self::Resume(error) => resume(*error),
            Self::Unproven(why) => explain(unproven(why), About::Nothing, &[]),
            Self::RoleRequired { needed, caller, .. } => role_required(needed, caller),
            Self::Unaudited(_) => explain(Reason::AuditUnavailable, state("audit"), &[]),
            Self::PayloadDisabled => {
                explain(Reason::PayloadDisabled, About::Nothing, &[("key", &"server.payload")])
            }
            Self::EtagMismatch { flow: name, current } => etag_mismatch(flow(name), current),
            Self::Policy(error) => policy(error),
            Self::TooManyStreams { max } => {
                explain(Reason::TooManyStreams, About::Quota("streams"), &[("max", max)])
            }
            Self::RateLimited { what, max, .. } => rate_limited(what, *max),
            Self::ManyFlows(why) => many_flows(why),
            Self::Cutoff(cutoff) => cut_off(*cutoff),
            Self::Stopping => explain(Reason::ServerStopping, server(), &[]),
            Self::Unserved(why) => unserved(why),
            Self::UnexpectedReply(core) => {
                explain(Reason::Internal, About::Nothing, &[("core", core)])
            }
            Self::Panicked(id) => explain(Reason::Internal, About::Request(id.to_string()), &[]),
        }
    }
}

fn etag_mismatch(about: About, current: &str) -> Explanation {
    explain(Reason::EtagMismatch, about, &[("currentEtag", &current)])
}

fn rate_limited(what: &'static str, max: u32) -> Explanation {
    explain(Reason::RateLimited, About::Quota(what), &[("max", &max)])
}

fn role_required(needed: &str, caller: &str) -> Explanation {
    let metadata: Metadata<'_> = &[("role", &needed), ("principal", &caller)];
    explain(Reason::RoleRequired, About::Nothing, metadata)
}

fn many_flows(why: &ManyFlows) -> Explanation {
    match why {
        ManyFlows::TooManyWalks { max } => {
            explain(Reason::TooManyCalls, About::Quota("walks"), &[("max", max)])
        }
        ManyFlows::Unfinished => explain(Reason::DeadlineExceeded, server(), &[]),
        ManyFlows::TooManyMatches { matched, max } => {
            let metadata: Metadata<'_> = &[("matched", matched), ("maxFlowCount", max)];
            explain(Reason::TooManyMatches, state("flows"), metadata)
        }
        ManyFlows::Irreversible => {
            explain(Reason::IrreversibleNotAllowed, state("options.stop_monitoring"), &[])
        }
        ManyFlows::MatchToken(error) => {
            let metadata: Metadata<'_> = &[("cause", &error.cause())];
            explain(Reason::MatchTokenInvalid, field("match_token"), metadata)
        }
        ManyFlows::UndoUnknown => {
            let undo = About::Resource { kind: "mos.v1.Undo", name: String::new() };
            explain(Reason::UndoUnknown, undo, &[])
        }
    }
}

const fn unproven(why: &Unproven) -> Reason {
    match why {
        Unproven::NoCertificate => Reason::CredentialsMissing,
        Unproven::Nameless(_) => Reason::CertificateHasNoName,
        Unproven::Distrusted(_) => Reason::CertificateInvalid,
        Unproven::Token => Reason::TokenInvalid,
        Unproven::TokenInPlainText => Reason::TokenOverPlaintext,
        Unproven::Both => Reason::AmbiguousCredentials,
    }
}

fn unserved(why: &Unserved) -> Explanation {
    match why {
        Unserved::NoSuchMethod => explain(Reason::MethodUnknown, About::Nothing, &[]),
        Unserved::NoSuchName => {
            let service = About::Resource { kind: "grpc.Service", name: String::new() };
            explain(Reason::NameUnknown, service, &[])
        }
        Unserved::Unreadable(_) => explain(Reason::RequestUnreadable, field(""), &[]),
        Unserved::RequestTooLarge => {
            let quota = About::Quota("request.bytes.max");
            explain(Reason::RequestTooLarge, quota, &[("max", &MESSAGE_IN_MAX)])
        }
        Unserved::Compression => explain(Reason::CompressionUnsupported, About::Nothing, &[]),
        Unserved::Late => explain(Reason::DeadlineExceeded, server(), &[]),
        Unserved::Cancelled => explain(Reason::CallCancelled, About::Nothing, &[]),
        Unserved::Unexplained(_) => explain(Reason::Internal, About::Nothing, &[]),
    }
}

fn refused(refusal: Refusal, resource: &str) -> Explanation {
    let explanation = match refusal {
        Refusal::NoSuchWorker(core) => of_core(Reason::CoreNotFound, core),
        Refusal::WorkerNotRunning(core) => of_core(Reason::CoreNotRunning, core),
        Refusal::WorkerStopping(core) => of_core(Reason::CoreDraining, core),
        Refusal::RingFull(core) => of_core(Reason::CoreQueueFull, core),
        Refusal::NoAnswer(core) => of_core(Reason::CoreAckTimeout, core),
        Refusal::Lookup(error) => lookup(error, resource),
        Refusal::SockOpt(error) => sock_opt(error, resource),
    };
    explanation.saying(refusal)
}

fn policy(error: &PolicyError) -> Explanation {
    let policies = || state("policies");
    let named = |name: &str| About::Resource {
        kind: "mos.v1.SockOptPolicy",
        name: format!("policies/{}", Echo(name).head()),
    };
    match error {
        PolicyError::Invalid { field: path, .. } => {
            explain(Reason::ArgumentInvalid, field(format!("policy.{path}")), &[])
        }
        PolicyError::Filter { error, .. } => {
            let metadata: Metadata<'_> = &[("column", &error.column)];
            explain(filter_reason(error.kind), field("policy.filter"), metadata)
        }
        PolicyError::Options { policy, error } => sock_opt(*error, policy),
        PolicyError::Set(_) | PolicyError::Table(_) => {
            explain(Reason::ArgumentInvalid, field("policies"), &[])
        }
        PolicyError::NotFound(name) => explain(Reason::PolicyNotFound, named(name), &[]),
        PolicyError::Exists(name) => explain(Reason::PolicyExists, named(name), &[]),
        PolicyError::EtagMismatch { resource, current } => etag_mismatch(named(resource), current),
        PolicyError::FromFile(_) => {
            explain(Reason::PoliciesFromFile, policies(), &[("key", &"policies.file")])
        }
        PolicyError::Unconfirmed(generation) => {
            explain(Reason::PolicyUnconfirmed, policies(), &[("generation", generation)])
        }
        PolicyError::NotPending(generation) => {
            explain(Reason::PolicyNotPending, policies(), &[("generation", generation)])
        }
        PolicyError::GenerationNotFound(generation) => {
            let about =
                About::Resource { kind: "mos.v1.PolicyGeneration", name: generation.to_string() };
            explain(Reason::PolicyGenerationNotFound, about, &[("generation", generation)])
        }
        PolicyError::Store(error) => match error.kind {
            StoreFailure::Full => {
                explain(Reason::PolicyStoreFull, About::Quota("policies.store"), &[])
            }
            StoreFailure::ReadOnly => explain(Reason::PolicyStoreReadOnly, policies(), &[]),
            StoreFailure::Failed => explain(Reason::PolicyStoreFailed, About::Nothing, &[]),
        },
    }
}

fn cut_off(cutoff: Cutoff) -> Explanation {
    let unread = || About::Quota("unread-answers");
    match cutoff {
        Cutoff::TooManyCalls { max } => {
            explain(Reason::TooManyCalls, About::Quota("calls"), &[("max", &max)])
        }
        Cutoff::Unfinished => explain(Reason::RequestUnfinished, server(), &[]),
        Cutoff::UnreadAnswers { max } => explain(Reason::AnswersUnread, unread(), &[("max", &max)]),
        Cutoff::SlowConsumer => explain(Reason::SlowConsumer, unread(), &[]),
    }
}

fn sock_opt(error: SockOptError, resource: &str) -> Explanation {
    match error {
        SockOptError::Lookup(error) => lookup(error, resource),
        SockOptError::Stopped { name } => {
            explain(Reason::FlowNotMonitored, state(resource), &[("option", &name)])
        }
        SockOptError::Locked { name } => {
            let metadata: Metadata<'_> = &[("option", &name), ("policy", &"options.locked")];
            explain(Reason::OptionLocked, flow(resource), metadata)
        }
        SockOptError::OutOfRange { name, value, max } => {
            let metadata: Metadata<'_> =
                &[("option", &name), ("value", &value), ("min", &0), ("max", &max)];
            explain(Reason::OptionValueInvalid, field(format!("options.{name}")), metadata)
        }
        SockOptError::PoolExhausted { requested_bytes, free_bytes } => {
            let metadata: Metadata<'_> =
                &[("requestedBytes", &requested_bytes), ("freeBytes", &free_bytes)];
            explain(Reason::BufferPoolExhausted, About::Quota("buffer-pool"), metadata)
        }
        SockOptError::RevisionMismatch { current } => {
            explain(Reason::EtagMismatch, flow(resource), &[("currentRevision", &current)])
        }
    }
}

fn lookup(error: LookupError, resource: &str) -> Explanation {
    let explanation = match error {
        LookupError::NotFound => explain(Reason::FlowNotFound, flow(resource), &[]),
        LookupError::Ended { cause: None } => explain(Reason::FlowEnded, flow(resource), &[]),
        LookupError::Ended { cause: Some(cause) } => {
            let (reason, about) = match cause {
                // The connection goes on, but it is no monitored flow any more.
                EndCause::Stopped => (Reason::FlowNotMonitored, state(resource)),
                EndCause::Fin
                | EndCause::Rst
                | EndCause::Timeout
                | EndCause::Reused
                | EndCause::Evicted => (Reason::FlowEnded, flow(resource)),
            };
            explain(reason, about, &[("cause", &cause.as_str())])
        }
    };
    explanation.saying(error)
}

fn peek(error: PeekError, resource: &str) -> Explanation {
    let at = |reason, oldest: u64, newest: u64| {
        let metadata: Metadata<'_> = &[("oldestOffset", &oldest), ("newestOffset", &newest)];
        explain(reason, field("offset"), metadata)
    };
    match error {
        PeekError::Lookup(error) => lookup(error, resource),
        PeekError::Stopped(_) => explain(Reason::FlowNotMonitored, state(resource), &[]),
        PeekError::BufferingDisabled(_) => explain(Reason::BufferingDisabled, state(resource), &[]),
        PeekError::Overwritten { oldest, newest } => {
            at(Reason::DataOverwritten, oldest.0, newest.0)
        }
        PeekError::NotYetReceived { oldest, newest } => {
            at(Reason::DataNotYetReceived, oldest.0, newest.0)
        }
    }
}

fn page_token(error: PageTokenError) -> Explanation {
    explain(Reason::PageTokenInvalid, field("page_token"), &[("cause", &error.cause())])
}

fn resume(error: ResumeError) -> Explanation {
    match error {
        ResumeError::Token(error) => {
            let cause: Metadata<'_> = &[("cause", &error.cause())];
            explain(Reason::ResumeTokenInvalid, field("resume_token"), cause)
        }
        ResumeError::Expired => explain(Reason::ResumeTokenExpired, field("resume_token"), &[]),
    }
}

const fn filter_reason(kind: FilterErrorKind) -> Reason {
    match kind {
        FilterErrorKind::Invalid => Reason::FilterInvalid,
        FilterErrorKind::Ambiguous => Reason::FilterAmbiguous,
        FilterErrorKind::FieldUnavailable => Reason::FilterFieldUnavailable,
    }
}

/// Keys and values of an error's metadata.
type Metadata<'a> = &'a [(&'static str, &'a dyn Display)];

fn explain(reason: Reason, about: About, metadata: Metadata<'_>) -> Explanation {
    let metadata = metadata.iter().map(|(key, value)| (*key, value.to_string())).collect();
    Explanation { reason, about, metadata, text: None }
}

fn of_core(reason: Reason, core: impl Display) -> Explanation {
    let about = About::Resource { kind: "mos.v1.Core", name: format!("cores/{core}") };
    explain(reason, about, &[("core", &core)])
}

fn server() -> About {
    About::Resource { kind: "mos.v1.Server", name: "mosd".to_owned() }
}

fn flow(name: impl Into<String>) -> About {
    About::Resource { kind: "mos.v1.Flow", name: name.into() }
}

fn state(name: impl Into<String>) -> About {
    About::State(name.into())
}

fn field(path: impl Into<String>) -> About {
    About::Field(path.into())
}

impl Explanation {
    /// With this text instead of the message.
    fn saying(self, text: impl Display) -> Self {
        Self { text: Some(text.to_string()), ..self }
    }
}
