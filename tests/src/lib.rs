//! Shared code of the end-to-end tests: a running service, network namespaces, clients; and the
//! rules that guard the architecture.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "everything here is test code: a step that fails is a test that fails"
)]

pub mod certs;
pub mod events;
pub mod hostile;
pub mod hostile_client;
pub mod lab;
pub mod markdown;
pub mod noise;
pub mod program;
pub mod rpc;
pub mod service;
pub mod tidy;
pub mod traffic;
pub mod transfer;
