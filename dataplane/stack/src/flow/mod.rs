//! Flows: their handles, keys, table, timers, and what is known of them.

mod details;
mod eviction;
mod expiry;
mod id;
mod irregular;
mod key;
mod record;
mod rings;
mod summary;
mod table;
mod timeouts;
mod traits;
mod vlans;

pub use details::{BufferPositions, FRAGMENTS_MAX, FlowDetails, Fragment, SideDetails, StreamRead};
pub(crate) use eviction::{Evictable, EvictionQueues};
pub(crate) use expiry::TimerWheel;
pub use id::{FlowId, WorkerId};
pub(crate) use irregular::{Ledger, LedgerEntry};
pub(crate) use key::{End, FlowKey};
pub(crate) use record::{Flow, Predicted, Shared, Start};
pub use summary::{
    BufferSummary, EndCause, FlowStatus, FlowSummary, FlowTuple, OptionsOrigin, PeekError, Peeked,
    SideSummary,
};
pub(crate) use table::{Absent, FlowTable, Tag};
pub(crate) use timeouts::{FlowTimeouts, Timing};
pub(crate) use traits::{Trait, Traits};
pub(crate) use vlans::{VlanPairs, Vlans};

const _: () = assert!(FlowTable::<Flow, EndCause>::SLOT_BYTES == 320, "five lines of the cache");
