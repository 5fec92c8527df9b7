//! The health of the process: what is observed, what is wrong in words, and the metrics.

pub(crate) mod conditions;
pub(crate) mod descriptors;
pub(crate) mod telemetry;
pub(crate) mod vitals;
