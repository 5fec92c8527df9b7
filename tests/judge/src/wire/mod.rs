//! What goes over the wire: packets, the device, captures.

pub mod capture;
pub mod packet;
pub mod tun;
