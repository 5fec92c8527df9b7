//! The seam between the control plane and the workers.
//!
//! ```text
//! control side                             worker side (one lcore)
//! CommandPort::try_submit  ──── ring ────▶ WorkerPort::take
//! CommandPort::try_receive ◀─── ring ───── WorkerPort::answer
//! Board (reads)            ◀── atomics ─── Board::publish
//! ```
//!
//! Neither side ever blocks or makes a system call here. A full ring gives the value back. Each
//! ring has one producer and one consumer; the types are not `Clone`. Commands are plain data:
//! memory for a large answer travels down with the command and comes back filled, so that a
//! worker neither allocates nor frees.

mod board;
mod command;
mod port;
mod refusal;
mod ring;

pub use board::{Board, Phase};
pub use command::{Answer, Command, FlowPage, PeekChunk, Reply, Request, RequestId};
pub use port::{PortMonitor, PortStatus};
pub use refusal::Refusal;
pub use ring::{COMMAND_RING, CommandPort, WorkerPort, link};

/// Flows that one [`FlowPage`] holds, and slots that one scan command visits, at most.
pub const FLOW_PAGE: usize = 64;

/// Bytes that one [`PeekChunk`] holds.
pub const PEEK_CHUNK: usize = 32 * 1024;
