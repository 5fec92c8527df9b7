//! The states of one emulated endpoint, RFC 9293 section 3.3.2.

use core::fmt;

/// The emulated TCP state of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpState {
    /// No connection.
    Closed,
    /// Waits for a SYN.
    Listen,
    /// Has sent a SYN.
    SynSent,
    /// Has received a SYN and answered it.
    SynReceived,
    /// The handshake is complete.
    Established,
    /// Has sent a FIN that is not acknowledged yet.
    FinWait1,
    /// Its FIN is acknowledged; the peer may still send.
    FinWait2,
    /// Has received a FIN; may still send.
    CloseWait,
    /// Both have sent a FIN at once; waits for the acknowledgement of its own.
    Closing,
    /// Has received and then sent a FIN; waits for its acknowledgement.
    LastAck,
    /// Has closed first; waits for stray segments to die.
    TimeWait,
}

/// The transitions of RFC 9293 figure 5, each named after what the endpoint is seen to do. In other
/// states it changes nothing.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other states stay")]
impl TcpState {
    pub(super) const fn sends_syn(self) -> Self {
        if matches!(self, Self::Closed | Self::Listen) { Self::SynSent } else { self }
    }

    pub(super) const fn receives_syn(self) -> Self {
        let waits = matches!(self, Self::Closed | Self::Listen | Self::SynSent);
        if waits { Self::SynReceived } else { self }
    }

    pub(super) const fn sends_syn_ack(self) -> Self {
        self.receives_syn()
    }

    /// A SYN/ACK to an endpoint without a captured SYN proves that it has sent one.
    pub(super) const fn receives_syn_ack(self) -> Self {
        match self {
            Self::SynSent => Self::Established,
            Self::Closed => Self::SynSent,
            _ => self,
        }
    }

    /// An endpoint that acknowledges has received the answer to its SYN.
    pub(super) const fn sends_ack(self) -> Self {
        if matches!(self, Self::SynSent) { Self::Established } else { self }
    }

    pub(super) const fn receives_ack(self) -> Self {
        if matches!(self, Self::SynReceived) { Self::Established } else { self }
    }

    pub(super) const fn sends_fin(self) -> Self {
        if matches!(self, Self::CloseWait) { Self::LastAck } else { Self::FinWait1 }
    }

    /// Its FIN does not count.
    pub(super) const fn withdraws_fin(self) -> Self {
        match self {
            Self::FinWait1 | Self::FinWait2 => Self::Established,
            Self::Closing | Self::LastAck | Self::TimeWait | Self::Closed => Self::CloseWait,
            _ => self,
        }
    }

    /// The FIN of its peer does not count.
    pub(super) const fn unreceives_fin(self) -> Self {
        match self {
            Self::CloseWait => Self::Established,
            Self::Closing | Self::LastAck => Self::FinWait1,
            Self::TimeWait => Self::FinWait2,
            _ => self,
        }
    }

    pub(super) const fn receives_ack_of_fin(self) -> Self {
        match self {
            Self::FinWait1 => Self::FinWait2,
            Self::Closing => Self::TimeWait,
            Self::LastAck => Self::Closed,
            _ => self,
        }
    }

    pub(super) const fn receives_fin(self) -> Self {
        match self {
            Self::SynReceived | Self::Established => Self::CloseWait,
            Self::FinWait1 => Self::Closing,
            Self::FinWait2 => Self::TimeWait,
            _ => self,
        }
    }
}

impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        })
    }
}
