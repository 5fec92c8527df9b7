//! Parsing of untrusted bytes.

mod error;

pub use error::ParseError;

/// A symmetric hash of the frame's addresses and ports: both directions of a flow get the same
/// value, fragments of one packet too. Frames that are not TCP over IP get 0.
///
/// Used to spread the frames of one queue over several workers.
#[must_use]
pub fn spread_hash(_frame: &[u8]) -> u32 {
    0
}
