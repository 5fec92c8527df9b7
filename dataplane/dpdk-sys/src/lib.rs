//! Raw bindings to the system's libdpdk, under the names of C.
//!
//! Generated at build time, for just the functions that the runtime uses. What DPDK has only as
//! inline functions or macros comes from `shim/shim.c`, with the prefix `mos_`. Nothing here is
//! safe to call without knowing DPDK's rules; the safe wrappers are `mos-dataplane`'s `dpdk`.

#![allow(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    clippy::all,
    reason = "generated from C; which of these arise depends on the version of DPDK"
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));

// The one layout that Rust and the shim must agree upon.
const _: () = assert!(size_of::<mos_view>() == size_of::<*const u8>() + 16);
