//! The control plane of `mosd`: the gRPC services over the workers' command rings.
//!
//! ```text
//! listen ─▶ serve ─▶ service ─▶ rpc/* ─▶ worker_client ─▶ (command ring) ─▶ worker
//!                       │        │ ▲
//!                       │        │ └────── fan_out ◀────── (event ring) ◀─── worker
//!                    status     convert, filter, page_token, answers, streams, vitals
//! ```
//!
//! Speaks to `mos-control` only: everything here runs and is tested against any thread that answers
//! on a worker port. `main.rs` alone starts the dataplane; `replay` runs a capture through it.

pub mod answers;
pub mod args;
pub mod call;
mod community_id;
pub mod config;
pub mod control;
pub mod convert;
pub mod etag;
mod facts;
pub mod fan_out;
pub mod filter;
pub mod flow_name;
pub mod listen;
pub mod logging;
pub mod page_token;
pub mod rejection;
pub mod replay;
mod rpc;
pub mod serve;
pub mod service;
pub mod size;
pub mod span;
pub mod status;
pub mod streams;
pub mod telemetry;
pub mod vitals;
pub mod worker_client;
