//! The `mos.v1` API: generated messages, clients and servers, and nothing else.
//!
//! The contract is in the comments of `mos/v1/*.proto`.

/// Package `mos.v1`.
pub mod v1 {
    tonic::include_proto!("mos.v1");
}

/// Encoded `FileDescriptorSet` of `mos.v1` with all its imports, for server reflection and JSON.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mos_v1.bin"));
