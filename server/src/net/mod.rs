//! Listeners, connections, and the caller and time limit of a request.

mod authority;
pub(crate) mod call;
mod connection;
mod limits;
pub(crate) mod listen;
