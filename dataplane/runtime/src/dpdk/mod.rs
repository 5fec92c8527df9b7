//! The safe wrappers around DPDK: the only unsafe code of this crate.
//!
//! Each resource of DPDK owns what it needs (a queue its port, a port its pool, a pool EAL), so
//! that everything ends in the right order, also after a failure.

mod devargs;
mod eal;
mod inject;
mod interface;
mod kernel_losses;
mod lcore;
mod log;
mod mbuf;
mod mempool;
mod open;
mod port;
mod source;

pub use eal::EalError;

pub(crate) use self::{
    eal::Eal,
    inject::Injector,
    lcore::Registration,
    open::{OpenPort, Opened, open, probe},
    source::{HandoffSource, PortSource},
};
