//! The services against scripted workers: no DPDK, no dataplane.

#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "an integration test is one test module, and ends where something is not as it must be"
)]

mod apply_sock_opt;
mod containment;
mod count_flows;
mod export_flows;
mod hostile;
mod list_flows;
mod options;
mod peek_flow;
mod policies;
mod read_flow;
mod resolution;
mod seam;
mod status_table;
mod support;
mod transport;
mod watch_events;
mod watch_flows;
