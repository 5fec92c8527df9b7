//! The benchmark suite: deterministic traffic, the least loop that such traffic needs, and what the
//! stack makes of both. `mos-bench` prints what was measured; nothing here asserts a time.

#![forbid(unsafe_code)]

pub mod arena;
pub mod ceiling;
pub mod measure;
pub mod memory;
pub mod mode;
pub mod port;
pub mod reader;
pub mod report;
pub mod subject;
pub mod traffic;
