//! Listeners, connections, HTTP/2, and the caller and time limit of a request; the page of metrics.

mod authority;
pub(crate) mod call;
mod connection;
mod cutoff;
pub(crate) mod guard;
pub(crate) mod http2;
pub(crate) mod listen;
mod openmetrics;
mod places;
pub(crate) mod scrape;
pub mod tls;

pub use cutoff::Cutoff;
