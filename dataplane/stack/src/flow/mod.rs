//! Flows: their handles, keys, table and what is known of them.

mod id;
mod summary;

pub use id::{FlowId, WorkerId};
pub use summary::{
    BufferSummary, EndCause, FlowSummary, FlowTuple, OptionsOrigin, PeekError, Peeked, SideSummary,
};
