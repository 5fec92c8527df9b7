//! Reassembly of one direction's bytes.

mod overlap;

use crate::StreamOffset;
pub use overlap::OverlapPolicy;

/// Skeleton.
#[derive(Debug)]
pub struct Reassembler;
/// Skeleton.
#[derive(Debug)]
pub struct BufferPool;
impl Reassembler {
    pub(crate) fn piece_at<'p>(
        &self,
        _pool: &'p BufferPool,
        _at: StreamOffset,
    ) -> Option<&'p [u8]> {
        None
    }
}
