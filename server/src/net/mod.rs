//! Listeners, connections, and the caller and time limit of a request; the page of metrics.

mod authority;
pub(crate) mod call;
mod connection;
mod limits;
pub(crate) mod listen;
mod openmetrics;
pub(crate) mod scrape;
