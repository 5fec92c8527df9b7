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
