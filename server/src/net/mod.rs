//! Listeners, connections, and what a request says of its caller and its time limit.

pub(crate) mod call;
mod connection;
mod limits;
pub(crate) mod listen;
