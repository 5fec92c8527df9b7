//! Raw bindings to libdpdk.
