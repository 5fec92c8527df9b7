//! The pure monitoring stack: frames, time and commands in; state and events out.
//!
//! No I/O, no clock, no allocation after [`Stack::new`], no unsafe code, and no panic on any bytes.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod aside;
mod assembly;
mod event;
mod flow;
mod frame;
pub mod limits;
mod offset;
mod opening;
pub mod policy;
mod reassembly;
mod seq;
mod side;
mod socket;
mod stack;
mod stats;
mod suspicion;
mod tcp;
#[cfg(test)]
mod testing;
mod time;
pub mod wire;

pub use event::{Event, EventKind, EventKinds, EventSink, Fact, FlowRef, StatusChange};
pub use flow::{
    BufferPositions, BufferSummary, EndCause, FRAGMENTS_MAX, FlowDetails, FlowId, FlowStatus,
    FlowSummary, FlowTuple, Fragment, OptionsOrigin, PeekError, Peeked, SideDetails, SideSummary,
    StreamRead, WorkerId,
};
pub use frame::{Checksums, Frame, FrameSet, Link};
pub use limits::{Limits, LimitsError, Timeouts};
pub use offset::StreamOffset;
pub use reassembly::{HEAD_BYTES, Head, OverlapPolicy, OverlapRule};
use seq::SeqNum;
pub use side::{Roles, Side, Sides};
pub use socket::{
    Applied, LookupError, SockOptChange, SockOptError, SockOptKind, SockOptName, SockOptNames,
    SockOptRow, SockOptValue, SockOpts, StopScope, round_up_to_block,
};
pub use stack::{FIND_MAX, Gauges, SlotCursor, Stack};
pub use stats::{PacketOutcome, Stat, Stats};
pub use suspicion::Suspicion;
pub use tcp::TcpState;
pub use time::Instant;
pub use wire::{TUNNEL_PORTS_MAX, TunnelKind, TunnelKinds, TunnelPorts, Tunnels, Unread};
