//! How the process is: what is wrong in words, and the metrics.

pub mod telemetry;
pub(crate) mod vitals;
