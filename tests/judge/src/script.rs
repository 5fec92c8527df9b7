//! Scripts: what the two ends of a connection do, step by step, as data.

use crate::ends::setup::Setup;
use crate::strange::Strange;

/// One step of a script. Every packet of the raw peer is one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// The kernel connects.
    Connect,
    /// The raw peer sends its SYN.
    Syn,
    /// The raw peer answers the kernel's SYN.
    SynAck,
    /// It acknowledges all that it has received.
    Ack,
    /// It sends the next bytes of its stream, this number of them.
    Data(u16),
    /// It sends bytes behind a hole: the length of the hole, and of the bytes.
    Ahead(u16, u16),
    /// It sends bytes again: how far back they begin, and their number.
    Again(u16, u16),
    /// It sends its FIN.
    Fin,
    /// It refuses the kernel's latest segment with a RST.
    Rst,
    /// It sends bytes of its stream until the kernel's window has this number left.
    Fill(u16),
    /// The raw peer forgets the connection, as after a reboot: it has another number next time.
    Reborn,
    /// It sends a packet that no honest peer sends.
    Strange(Strange),
    /// The kernel's application writes this number of bytes.
    Write(u16),
    /// It ends its stream.
    Shutdown,
    /// It closes its socket.
    Close,
    /// It stops to read.
    Pause,
    /// It reads again.
    Resume,
}

/// A whole connection.
#[derive(Debug, Clone)]
pub struct Script {
    /// What it belongs to: `control`, `single`, `combined`, or a family of hand-written ones.
    pub group: &'static str,
    /// What is strange about it, in which state.
    pub label: String,
    /// How it is set up.
    pub setup: Setup,
    /// What happens.
    pub steps: Vec<Step>,
}
