//! Attackers and long runs, each with its size as a parameter: small ones are tests
//! (`tests/hostile.rs`, `tests/kernel_crowd.rs`), full ones are `make soak` (`bench/soak.rs`).
//!
//! Every run checks its invariants, and returns its figures for printing.

pub mod adversarial;
pub mod crowd;
pub mod floods;
pub mod frame;
pub mod lifetimes;
pub mod memory;
pub mod mutate;
pub mod pipe;
pub mod random;
pub mod syn_flood;
