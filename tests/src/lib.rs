//! Helpers of the end-to-end tests, and the rules that guard the architecture.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "everything here is test code: a step that fails is a test that fails"
)]

pub mod tidy;
