//! The real `mosctl` against a server with canned answers: output, messages and exit codes.
#![expect(clippy::tests_outside_test_module, reason = "this whole crate is tests")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod apply;
mod audit;
mod call;
mod count;
mod endings;
mod events;
mod export;
mod fake;
mod list;
mod many;
mod options;
mod payload;
mod read;
mod run;
mod system;
mod watch;
