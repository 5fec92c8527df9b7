//! The kernel as judge: a raw peer talks to sockets of the kernel through a tun device, honestly
//! and not, and mosd has to show what the sockets read.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "everything here is test code: a step that fails is a test that fails"
)]

pub mod ends;
pub mod scene;
pub mod script;
pub mod strange;
pub mod strategies;
pub mod trial;
pub mod verdict;
pub mod wire;
