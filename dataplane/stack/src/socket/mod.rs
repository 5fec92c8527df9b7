//! The monitor socket of a flow.

mod options;

pub use options::{
    Applied, LookupError, SockOptChange, SockOptError, SockOptName, SockOptNames, SockOpts,
    StopScope, round_up_to_block,
};
