//! Why a segment was not believed at once.

/// Why an endpoint may not take a segment, or takes it for another connection. Some are refused for
/// good; the others are kept aside until the receiver acknowledges: see `tcp/verdict.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suspicion {
    /// No ACK flag, after the SYN. Refused: RFC 9293 section 3.10.7.4, fifth check.
    NoAck,
    /// Before the handshake is complete: it does not acknowledge the SYN that it answers. Refused:
    /// RFC 9293 sections 3.10.7.3 and 3.10.7.4.
    HandshakeAck,
    /// The acknowledgement is older than a window. Kept aside: RFC 5961 section 5.2.
    AckTooOld,
    /// It acknowledges what was not sent, as far as was captured. Kept aside: RFC 9293 section
    /// 3.10.7.4. A capture that missed packets shows it, too.
    AckNotSent,
    /// The timestamp is older than the last one, or echoes one that was not sent. Kept aside: RFC
    /// 7323 section 5.3.
    Timestamp,
    /// Signed on a connection without signatures, or the other way round. Kept aside: RFC 2385;
    /// RFC 5925, whose option on a connection without is ignored.
    Signature,
    /// Beyond the window that the receiver has granted. Kept aside: RFC 9293 section 3.10.7.4,
    /// first check. A capture that missed packets shows it, too.
    BeyondWindow,
    /// A SYN, or a SYN/ACK, with another number than that of the connection. Kept aside until the
    /// peer answers: RFC 9293 section 3.10.7.4, fourth check; RFC 5961 section 4.2.
    Syn,
    /// Payload of a SYN, or of a SYN/ACK. Kept aside: RFC 7413 section 4.2.
    SynPayload,
    /// A segment without SYN of a side that has not answered the SYN, or from below the SYN of a
    /// side that was not answered. Kept aside: RFC 9293 section 3.10.7.3.
    BeforeSyn,
    /// A FIN below bytes that were received, or with another number than the one before. What the
    /// stream reaches first counts: RFC 9293 section 3.10.7.4, eighth check.
    Fin,
    /// A reset whose number is not the next one expected: RFC 5961 section 3.2.
    Reset,
    /// One that was kept aside gave way to newer ones before its receiver has answered: nothing
    /// tells any more whether that has taken it.
    PushedOut,
}

impl Suspicion {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::NoAck,
        Self::HandshakeAck,
        Self::AckTooOld,
        Self::AckNotSent,
        Self::Timestamp,
        Self::Signature,
        Self::BeyondWindow,
        Self::Syn,
        Self::SynPayload,
        Self::BeforeSyn,
        Self::Fin,
        Self::Reset,
        Self::PushedOut,
    ];

    /// The reason, as events, records and metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAck => "no_ack",
            Self::HandshakeAck => "handshake_ack",
            Self::AckTooOld => "ack_too_old",
            Self::AckNotSent => "ack_not_sent",
            Self::Timestamp => "timestamp",
            Self::Signature => "signature",
            Self::BeyondWindow => "beyond_window",
            Self::Syn => "syn",
            Self::SynPayload => "syn_payload",
            Self::BeforeSyn => "before_syn",
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::PushedOut => "pushed_out",
        }
    }
}
