//! The details of one flow beyond its summary, and one step of a reader of a stream.
//!
//! mOS: `mtcp_getsockopt(3)`, `MOS_INFO_*` and `MOS_FRAGINFO_*`; `mtcp_peek(3)`.

use arrayvec::ArrayVec;

use crate::{EndCause, FlowSummary, Sides, StreamOffset};

/// Fragments that [`SideDetails`] lists, at most; a buffer may hold more.
pub const FRAGMENTS_MAX: usize = 64;

/// Everything that may be known of one flow, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowDetails {
    /// The same summary as in lists.
    pub summary: FlowSummary,
    /// Each side's receive buffer.
    pub sides: Sides<SideDetails>,
}

/// One side's receive buffer, which holds what the **other** endpoint sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideDetails {
    /// The runs of bytes held, lowest offset first.
    pub fragments: ArrayVec<Fragment, FRAGMENTS_MAX>,
    /// How many runs are held, those that are not listed included.
    pub fragments_total: u32,
    /// Where the buffer stands in sequence numbers; `None` without a buffer, and until the sender's
    /// numbers are known.
    pub positions: Option<BufferPositions>,
}

/// A contiguous run of held bytes. mOS: `struct tcp_ring_fragment`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// Its first byte.
    pub offset: StreamOffset,
    /// Its length, in bytes.
    pub length: u64,
}

/// Where a receive buffer stands, as TCP sequence numbers of the sender. mOS: `struct
/// tcp_buf_info`, with the meaning of its manual page: mOS 0.3 itself puts offsets into the last
/// three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferPositions {
    /// The number of stream offset 0.
    pub init_seq: u32,
    /// One past the last byte read. The emulated endpoint has no reader, so this equals
    /// `next_byte_expected`, as the manual page says of stand-alone monitors.
    pub last_byte_read: u32,
    /// The number of the first byte that is neither captured nor given up.
    pub next_byte_expected: u32,
    /// One past the last byte held; differs from `next_byte_expected` where bytes are held out of
    /// order.
    pub last_byte_received: u32,
}

/// One step of a reader through the stream that one side receives: first what it misses, then
/// bytes.
///
/// ```text
///  start            |                |          the reader continues here
///    |--- evicted ---|--- missing ---|--- length ---|
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRead {
    /// Where the step begins.
    pub start: StreamOffset,
    /// Bytes that were evicted before the reader got them.
    pub evicted: u64,
    /// Bytes that were never captured.
    pub missing: u64,
    /// Bytes copied.
    pub length: usize,
    /// How far the stream can be read now.
    pub readable: StreamOffset,
    /// How the connection ended, once it has: no more bytes will arrive.
    pub ended: Option<EndCause>,
}

impl StreamRead {
    /// Where the bytes copied begin.
    #[must_use]
    pub const fn data_offset(&self) -> StreamOffset {
        self.start.plus(self.evicted).plus(self.missing)
    }

    /// Where the reader continues.
    #[must_use]
    pub const fn next(&self) -> StreamOffset {
        self.data_offset().plus(self.length as u64)
    }
}
