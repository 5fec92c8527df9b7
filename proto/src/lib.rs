//! The `mos.v1` API: generated messages, clients and servers, and nothing else.
//!
//! The contract is in the comments of `mos/v1/*.proto`.

/// Package `mos.v1`.
pub mod v1 {
    tonic::include_proto!("mos.v1");
}

/// Encoded `FileDescriptorSet` of `mos.v1` with all its imports, for server reflection and JSON.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mos_v1.bin"));

/// Every method, sorted by path: what the option `access` says of it.
pub static METHODS: &[Method] = &include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// A method of `mos.v1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Path of its requests: `/mos.v1.FlowService/ListFlows`.
    pub path: &'static str,
    /// The role that a caller needs.
    pub role: v1::Role,
    /// Whether its answer is a stream.
    pub is_streaming: bool,
    /// Whether a call is entered in the audit before it is carried out.
    pub is_audited: bool,
}

impl Method {
    /// The method whose requests have this path; `None` if there is none.
    #[must_use]
    pub fn at(path: &str) -> Option<&'static Self> {
        let found = METHODS.binary_search_by(|method| method.path.cmp(path));
        found.ok().and_then(|at| METHODS.get(at))
    }
}
