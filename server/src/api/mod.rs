//! `mos.v1`: requests, answers and errors as clients see them. No other room knows these types;
//! `boot/serve.rs` alone puts them on the wire.

pub(crate) mod answers;
pub(crate) mod audited;
pub(crate) mod containment;
pub(crate) mod convert;
pub(crate) mod counted;
pub(crate) mod etag;
pub(crate) mod gated;
pub(crate) mod rejection;
mod rpc;
pub(crate) mod service;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod streams;
pub(crate) mod undos;
