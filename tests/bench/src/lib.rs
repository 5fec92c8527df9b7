//! The benchmark suite: deterministic traffic, the least loop for such traffic, and the stack
//! measured next to it. `mos-bench` prints the results; nothing here asserts a time.

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
