//! The reasons of errors: what programs decide by, next to the gRPC code.

use std::fmt;

/// `ErrorInfo.domain` of every reason.
pub const DOMAIN: &str = "mos.v1";

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $variant:ident => $name:literal;)*) => {
        /// `ErrorInfo.reason` of an error. Names never change their meaning; new ones may come.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[doc = $doc])* $variant,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: [Self; [$($name,)*].len()] = [$(Self::$variant,)*];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it says, in one sentence.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii_start(),)* }
            }
        }
    };
}

reasons! {
    /// No live flow has this name.
    FlowNotFound => "FLOW_NOT_FOUND";
    /// The flow with this handle has ended.
    FlowEnded => "FLOW_ENDED";
    /// The name of the flow cannot be read.
    FlowNameInvalid => "FLOW_NAME_INVALID";
    /// Monitoring of the flow or of the side was stopped, or the name is not that of a flow.
    FlowNotMonitored => "FLOW_NOT_MONITORED";
    /// More than one flow has this tuple.
    AmbiguousFlow => "AMBIGUOUS_FLOW";
    /// No option, or no value of an enumerated option, has this number.
    OptionUnknown => "OPTION_UNKNOWN";
    /// mOS has this option, and this version of mosd does not.
    OptionNotImplemented => "OPTION_NOT_IMPLEMENTED";
    /// The value of an option is out of range, or no option is set.
    OptionValueInvalid => "OPTION_VALUE_INVALID";
    /// The configuration forbids to change this option while a flow lives.
    OptionLocked => "OPTION_LOCKED";
    /// The options have changed since the etag was read.
    EtagMismatch => "ETAG_MISMATCH";
    /// The worker's memory for receive buffers cannot hold that much more.
    BufferPoolExhausted => "BUFFER_POOL_EXHAUSTED";
    /// The receive buffer of this side has the capacity 0.
    BufferingDisabled => "BUFFERING_DISABLED";
    /// The bytes at this offset are no longer held.
    DataOverwritten => "DATA_OVERWRITTEN";
    /// The bytes at this offset have not arrived.
    DataNotYetReceived => "DATA_NOT_YET_RECEIVED";
    /// The caller has shown nothing that proves who calls.
    CredentialsMissing => "CREDENTIALS_MISSING";
    /// The caller's certificate names nobody, or more than one.
    CertificateHasNoName => "CERTIFICATE_HAS_NO_NAME";
    /// The caller's certificate has expired, is revoked, or is from a CA that is not trusted.
    CertificateInvalid => "CERTIFICATE_INVALID";
    /// The token is not one that mosd knows, or its time is over.
    TokenInvalid => "TOKEN_INVALID";
    /// A token has come in plain text over TCP, where anybody on the way can read it.
    TokenOverPlaintext => "TOKEN_OVER_PLAINTEXT";
    /// The caller has shown a certificate and a token: there is no telling who is meant.
    AmbiguousCredentials => "AMBIGUOUS_CREDENTIALS";
    /// The caller has not the role that the method needs.
    RoleRequired => "ROLE_REQUIRED";
    /// The audit cannot be written, and nothing is done that it would not show.
    AuditUnavailable => "AUDIT_UNAVAILABLE";
    /// The configuration does not allow payload to be read.
    PayloadDisabled => "PAYLOAD_DISABLED";
    /// There is no core with this number.
    CoreNotFound => "CORE_NOT_FOUND";
    /// The worker of this core does not run.
    CoreNotRunning => "CORE_NOT_RUNNING";
    /// The worker of this core is about to stop.
    CoreDraining => "CORE_DRAINING";
    /// The command ring of this core is full.
    CoreQueueFull => "CORE_QUEUE_FULL";
    /// The worker of this core did not answer in time.
    CoreAckTimeout => "CORE_ACK_TIMEOUT";
    /// A field that is not an option has a value out of range.
    ArgumentInvalid => "ARGUMENT_INVALID";
    /// The request id has come with another request before.
    RequestIdReused => "REQUEST_ID_REUSED";
    /// The filter cannot be read.
    FilterInvalid => "FILTER_INVALID";
    /// AND and OR stand side by side without parentheses.
    FilterAmbiguous => "FILTER_AMBIGUOUS";
    /// The filter asks for a field that is not there.
    FilterFieldUnavailable => "FILTER_FIELD_UNAVAILABLE";
    /// The page token is not one of this process, or of another request.
    PageTokenInvalid => "PAGE_TOKEN_INVALID";
    /// The resume token is not one of this request.
    ResumeTokenInvalid => "RESUME_TOKEN_INVALID";
    /// What happened since the bookmark is no longer kept, or the process has restarted.
    ResumeTokenExpired => "RESUME_TOKEN_EXPIRED";
    /// More flows match than the request allows.
    TooManyMatches => "TOO_MANY_MATCHES";
    /// The change cannot be undone, and the request does not allow that.
    IrreversibleNotAllowed => "IRREVERSIBLE_NOT_ALLOWED";
    /// The match token is not one of this request and this process.
    MatchTokenInvalid => "MATCH_TOKEN_INVALID";
    /// No change with this undo token is kept: its time is over, or others took its room.
    UndoUnknown => "UNDO_UNKNOWN";
    /// No policy has this name.
    PolicyNotFound => "POLICY_NOT_FOUND";
    /// A policy has this name already.
    PolicyExists => "POLICY_EXISTS";
    /// The generation of policies is not kept, or never was.
    PolicyGenerationNotFound => "POLICY_GENERATION_NOT_FOUND";
    /// A change of policies has still to be confirmed or cancelled.
    PolicyUnconfirmed => "POLICY_UNCONFIRMED";
    /// This generation of policies does not wait to be confirmed.
    PolicyNotPending => "POLICY_NOT_PENDING";
    /// The configuration names a file that says what the policies are.
    PoliciesFromFile => "POLICIES_FROM_FILE";
    /// The disk, or the quota, has no room for policies.
    PolicyStoreFull => "POLICY_STORE_FULL";
    /// The folder of policies cannot be written to.
    PolicyStoreReadOnly => "POLICY_STORE_READ_ONLY";
    /// The policies could not be stored.
    PolicyStoreFailed => "POLICY_STORE_FAILED";
    /// As many streams are open as may be.
    TooManyStreams => "TOO_MANY_STREAMS";
    /// As many calls are under way as may be.
    TooManyCalls => "TOO_MANY_CALLS";
    /// The caller calls faster than its grant allows.
    RateLimited => "RATE_LIMITED";
    /// As many bytes of answers wait for the client to read them as may.
    AnswersUnread => "ANSWERS_UNREAD";
    /// The client did not read its answer, or what a stream had for it, in time.
    SlowConsumer => "SLOW_CONSUMER";
    /// The request was not complete in time.
    RequestUnfinished => "REQUEST_UNFINISHED";
    /// The service is about to stop.
    ServerStopping => "SERVER_STOPPING";
    /// mosd has no such method.
    MethodUnknown => "METHOD_UNKNOWN";
    /// The health or the reflection service does not know the name that it was asked for.
    NameUnknown => "NAME_UNKNOWN";
    /// The bytes sent are no request of this method.
    RequestUnreadable => "REQUEST_UNREADABLE";
    /// The request has more bytes than mosd takes.
    RequestTooLarge => "REQUEST_TOO_LARGE";
    /// The request is compressed, which mosd does not read.
    CompressionUnsupported => "COMPRESSION_UNSUPPORTED";
    /// The time that the client gave the call has passed.
    DeadlineExceeded => "DEADLINE_EXCEEDED";
    /// The client has cancelled the call.
    CallCancelled => "CALL_CANCELLED";
    /// An error of mosd itself.
    Internal => "INTERNAL";
}

impl Reason {
    /// The reason with this name; `None` for one that a later version has.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_found_again() {
        let names: BTreeSet<_> = Reason::ALL.map(Reason::as_str).into();
        assert_eq!(names.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.as_str()), Some(reason));
            assert!(reason.as_str().bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'));
        }
        assert_eq!(Reason::from_name("flow_not_found"), None);
    }

    #[test]
    fn every_description_is_one_sentence() {
        for text in Reason::ALL.map(Reason::description) {
            assert!(text.ends_with('.') && !text.starts_with(' '), "{text:?}");
        }
    }
}
