//! A packet within a record of a capture.

use mos_stack::{Instant, Link};

use super::error::LinkType;

pub(super) const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What the beginning of some bytes is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A whole record.
    Record { length: usize, packet: Option<Packet> },
    /// The beginning of a record; this many bytes are needed to parse it.
    Incomplete(usize),
}

/// A packet within a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet {
    /// When it was captured, where the record says so.
    pub(super) time: Option<Instant>,
    /// What its bytes begin with; `None` where the capture does not say.
    pub(super) link_type: Option<LinkType>,
    /// Where its bytes begin, from the beginning of the record.
    pub(super) start: usize,
    /// Captured bytes.
    pub(super) length: usize,
    /// Length on the wire.
    pub(super) wire_length: u32,
}

impl Packet {
    /// What its bytes begin with, if that can be read.
    pub(super) fn link(&self) -> Option<Link> {
        self.link_type.and_then(LinkType::link)
    }
}
