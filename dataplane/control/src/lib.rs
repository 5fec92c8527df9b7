//! The seam between the control plane and the workers.
//!
//! ```text
//! control side                             worker side (one lcore)
//! CommandPort::try_submit  ──── ring ────▶ WorkerPort::take
//!                          ──── ring ────▶ WorkerPort::take_scan
//! CommandPort::try_receive ◀─── ring ───── WorkerPort::answer
//! EventTap::try_receive    ◀─── ring ───── EventFeed
//! Board (reads)            ◀── atomics ─── Board::publish
//! ```
//!
//! Neither side ever blocks or makes a system call here. A full ring gives the value back. Each
//! ring has one producer and one consumer; the types are not `Clone`. Commands are plain data:
//! memory for a large answer travels down with the command and comes back filled, so that a
//! worker neither allocates nor frees.

mod batch;
mod board;
mod command;
mod events;
mod lossy;
mod port;
mod refusal;
mod ring;

pub use batch::{BATCH_DISCARD_BYTES, SOCK_OPT_BATCH, SockOptBatch, SockOptItem};
pub use board::{Board, Phase, Turns};
pub use command::{Answer, Command, FlowPage, PeekChunk, Reply, Request, RequestId};
pub use events::{EVENT_RING, EventFeed, EventTap, NumberedEvent, event_ring};
pub use lossy::{Delivery, LossyFeed, LossyTap, LostRange, Numbered};
pub use port::{PortMonitor, PortStatus};
pub use refusal::Refusal;
pub use ring::{COMMAND_RING, CommandPort, SCAN_RING, WorkerPort, link};

/// The control plane's ends of everything that joins it to one worker.
#[derive(Debug)]
pub struct WorkerLink {
    /// Commands and answers.
    pub commands: CommandPort,
    /// Events.
    pub events: EventTap,
}

/// A worker's thread has this name, and its core's number behind it.
pub const WORKER_THREAD: &str = "mos-worker-";

/// Flows that one [`FlowPage`] holds, and slots that one scan command visits, at most.
pub const FLOW_PAGE: usize = 64;

/// Bytes that one [`PeekChunk`] holds.
pub const PEEK_CHUNK: usize = 32 * 1024;
