//! States of a connection: the honest steps that lead there, and those that follow.

use crate::ends::setup::{Role, Setting};
use crate::script::Step::{
    self, Ack, Again, Ahead, Connect, Data, Fill, Fin, Pause, Resume, Shutdown, Syn, SynAck, Write,
};

/// The state in which the kernel meets a strange packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Before the raw peer has sent its SYN: LISTEN or SYN-SENT.
    BeforeSyn,
    /// The raw peer has sent its SYN or SYN/ACK, nothing more.
    Handshake,
    /// ESTABLISHED, no byte sent.
    Idle,
    /// ESTABLISHED, bytes sent both ways.
    Open,
    /// ESTABLISHED, what the kernel sent is not acknowledged.
    Unacknowledged,
    /// ESTABLISHED, bytes wait behind a hole.
    OutOfOrder,
    /// ESTABLISHED, the kernel's window is full: nobody reads.
    Full,
    /// FIN-WAIT-1.
    FinWait1,
    /// FIN-WAIT-2.
    FinWait2,
    /// CLOSE-WAIT.
    CloseWait,
    /// LAST-ACK.
    LastAck,
    /// CLOSING.
    Closing,
    /// TIME-WAIT.
    TimeWait,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::BeforeSyn,
        Self::Handshake,
        Self::Idle,
        Self::Open,
        Self::Unacknowledged,
        Self::OutOfOrder,
        Self::Full,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::LastAck,
        Self::Closing,
        Self::TimeWait,
    ];

    /// How the kernel is set.
    #[must_use]
    pub fn setting(self) -> Setting {
        if self == Self::Full { Setting::Small } else { Setting::Usual }
    }

    /// The honest steps before the strange packet, and those behind it.
    #[must_use]
    pub fn steps(self, role: Role) -> (Vec<Step>, Vec<Step>) {
        let (first, answer, third) = match role {
            Role::Server => (None, Syn, Some(Ack)),
            Role::Client => (Some(Connect), SynAck, None),
        };
        let first: Vec<_> = first.into_iter().collect();
        let opening = [first.as_slice(), &[answer]].concat();
        let third: Vec<_> = third.into_iter().collect();
        let (before, behind): (&[Step], &[Step]) = match self {
            Self::BeforeSyn => {
                let rest = [&[answer], third.as_slice(), &TALK, &END].concat();
                return (first, rest);
            }
            Self::Handshake => return (opening, [third.as_slice(), &TALK, &END].concat()),
            Self::Idle => (&[], &[Data(30), Write(20), Ack, Data(30), Fin, Shutdown, Ack]),
            Self::Open => (&TALK, &[Data(30), Write(20), Ack, Data(30), Fin, Shutdown, Ack]),
            Self::Unacknowledged => {
                (&[Data(30), Write(40)], &[Data(30), Ack, Write(20), Ack, Fin, Shutdown, Ack])
            }
            Self::OutOfOrder => (
                &[Data(30), Ahead(40, 30)],
                &[Data(30), Data(50), Write(20), Ack, Fin, Shutdown, Ack],
            ),
            Self::Full => (
                &[Data(30), Pause, Fill(0)],
                &[Resume, Data(30), Data(30), Write(20), Ack, Fin, Shutdown, Ack],
            ),
            Self::FinWait1 => {
                (&[Data(30), Write(20), Shutdown], &[Data(30), Ack, Data(30), Fin, Ack])
            }
            Self::FinWait2 => {
                (&[Data(30), Write(20), Shutdown, Ack], &[Data(30), Data(30), Fin, Ack])
            }
            Self::CloseWait => (&[Data(30), Write(20), Ack, Fin], &[Write(20), Ack, Shutdown, Ack]),
            Self::LastAck => (&[Data(30), Write(20), Ack, Fin, Shutdown], &[Ack]),
            Self::Closing => (&[Data(30), Write(20), Ack, Shutdown, Fin], &[Ack]),
            Self::TimeWait => (&[Data(30), Write(20), Shutdown, Ack, Fin], &[Ack]),
        };
        ([opening.as_slice(), &third, before].concat(), behind.to_vec())
    }
}

/// Bytes both ways.
pub const TALK: [Step; 5] = [Data(30), Write(20), Ack, Data(30), Ack];

/// An orderly end.
pub const END: [Step; 3] = [Fin, Shutdown, Ack];

/// A whole honest connection with a full window, a hole and a repetition.
#[must_use]
pub fn honest(role: Role) -> Vec<Step> {
    let (mut steps, _) = State::Idle.steps(role);
    steps.extend([Data(30), Again(30, 30), Ahead(30, 30), Data(60), Write(100), Ack, Pause]);
    steps.extend([Data(40), Resume, Data(20), Write(50)]);
    steps.extend(END);
    steps
}
