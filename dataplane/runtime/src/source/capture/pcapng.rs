//! The records of a pcapng, draft-ietf-opsawg-pcapng.
//!
//! What lies behind a damaged length cannot be found, so damage ends a capture. Anything else costs
//! what it is about, and not the file: an interface that cannot be read, or was not described, its
//! packets; blocks of other kinds (names, secrets, statistics, custom ones) themselves.

use mos_stack::Instant;

use super::{
    error::{LinkType, ProblemCause},
    order::ByteOrder,
    packet::{NANOS_PER_SECOND, Packet, Parsed},
    window::RECORD_MAX,
};

/// Interfaces of a section that are remembered, at most; the packets of others are not read.
const INTERFACES_MAX: usize = 4096;

/// Bytes of a block around its body: type and length before it, the length again behind it.
const FRAMING: usize = 12;

/// The current section of a pcapng.
#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    order: ByteOrder,
    interfaces: Vec<Interface>,
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    /// `None` where the description is too short.
    link_type: Option<LinkType>,
    /// Bytes of a frame that are captured, at most; 0: all.
    snaplen: u32,
    /// `None` where no number has so many digits: then its packets have no times.
    units_per_second: Option<u64>,
    offset_seconds: i64,
}

/// Types of blocks.
mod block {
    pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
    /// Obsolete, but some files have it.
    pub(super) const PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const ENHANCED_PACKET: u32 = 6;
}

impl Section {
    /// What `bytes` begin with.
    ///
    /// # Errors
    ///
    /// When no block can be read here, and so none behind it.
    pub(super) fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ProblemCause> {
        /// Type, length, and the byte order in a section header.
        const HEAD: usize = 12;
        let Some(head) = bytes.first_chunk::<HEAD>() else { return Ok(Parsed::Incomplete(HEAD)) };
        let kind = self.order.u32(head, 0);
        if kind == block::SECTION_HEADER {
            self.order = match head {
                [.., 0x4d, 0x3c, 0x2b, 0x1a] => ByteOrder::Little,
                [.., 0x1a, 0x2b, 0x3c, 0x4d] => ByteOrder::Big,
                _ => return Err(ProblemCause::Damaged("a section of no byte order")),
            };
        }
        let length = self.order.u32(head, 4) as usize;
        if length < FRAMING || !length.is_multiple_of(4) {
            return Err(ProblemCause::Damaged("a block of impossible length"));
        }
        if length > RECORD_MAX {
            return Err(ProblemCause::Damaged("a block of more than 16 MiB"));
        }
        let Some(block) = bytes.get(..length) else { return Ok(Parsed::Incomplete(length)) };
        let packet = match kind {
            block::SECTION_HEADER => self.begin(block).map(|()| None)?,
            block::INTERFACE_DESCRIPTION => {
                self.describe_interface(block);
                None
            }
            block::PACKET => Some(self.packet(block, self.order.u16(block, 8).into())?),
            block::SIMPLE_PACKET => Some(self.simple_packet(block)?),
            block::ENHANCED_PACKET => Some(self.packet(block, self.order.u32(block, 8))?),
            _ => None,
        };
        Ok(Parsed::Record { length, packet })
    }

    fn begin(&mut self, block: &[u8]) -> Result<(), ProblemCause> {
        if self.order.u16(block, 12) != 1 {
            return Err(ProblemCause::Damaged("a section of an unknown version"));
        }
        self.interfaces.clear();
        Ok(())
    }

    fn describe_interface(&mut self, block: &[u8]) {
        if self.interfaces.len() < INTERFACES_MAX {
            self.interfaces.push(Interface::new(self.order, block));
        }
    }

    /// An Enhanced Packet, or an obsolete one, whose other fields stand in the same places.
    fn packet(&self, block: &[u8], interface: u32) -> Result<Packet, ProblemCause> {
        const START: usize = 28;
        let [high, low, captured, wire_length] =
            [12, 16, 20, 24].map(|at| self.order.u32(block, at));
        let length = captured as usize;
        if block.len().checked_sub(START + 4).is_none_or(|room| length > room) {
            return Err(ProblemCause::Damaged("a malformed packet"));
        }
        let interface = self.interfaces.get(interface as usize);
        let time = interface.and_then(|interface| interface.time(high, low));
        let link_type = interface.and_then(|interface| interface.link_type);
        Ok(Packet { time, link_type, start: START, length, wire_length })
    }

    /// A packet without a time: it takes that of the packet before. How much of it was captured
    /// follows from its length and that of the interface's packets.
    fn simple_packet(&self, block: &[u8]) -> Result<Packet, ProblemCause> {
        const START: usize = 12;
        let malformed = ProblemCause::Damaged("a malformed packet");
        let room = block.len().checked_sub(START + 4).ok_or(malformed)?;
        let wire_length = self.order.u32(block, 8);
        let interface = self.interfaces.first();
        let snaplen = interface.map_or(0, |interface| interface.snaplen);
        let captured = if snaplen == 0 { wire_length } else { wire_length.min(snaplen) };
        let link_type = interface.and_then(|interface| interface.link_type);
        let length = room.min(captured as usize);
        Ok(Packet { time: None, link_type, start: START, length, wire_length })
    }
}

impl Interface {
    /// The interface that a block describes. What is not said has its default, and what is said
    /// behind a malformed option is not known.
    fn new(order: ByteOrder, block: &[u8]) -> Self {
        const BODY: usize = 8;
        const RESOLUTION: u16 = 9;
        const OFFSET: u16 = 14;
        let mut interface = Self {
            link_type: (block.len() >= BODY + FRAMING)
                .then(|| LinkType(order.u16(block, 8).into())),
            snaplen: order.u32(block, 12),
            units_per_second: Some(1_000_000),
            offset_seconds: 0,
        };
        let mut options = block.get(16..block.len() - 4).unwrap_or_default();
        while let Some((head, rest)) = options.split_first_chunk::<4>() {
            let (code, length) = (order.u16(head, 0), usize::from(order.u16(head, 2)));
            let Some((value, rest)) = rest.split_at_checked(length.next_multiple_of(4)) else {
                break;
            };
            match (code, length) {
                (0, _) => break,
                (RESOLUTION, 1..) => interface.units_per_second = units_per_second(value[0]),
                (OFFSET, 8..) => interface.offset_seconds = order.i64(value, 0),
                _ => {}
            }
            options = rest;
        }
        interface
    }

    /// The time of a packet; times outside the range become its nearer end.
    fn time(&self, high: u32, low: u32) -> Option<Instant> {
        let units = u64::from(high) << 32 | u64::from(low);
        let nanos = i128::from(units) * i128::from(NANOS_PER_SECOND)
            / i128::from(self.units_per_second?)
            + i128::from(self.offset_seconds) * i128::from(NANOS_PER_SECOND);
        Some(Instant::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)))
    }
}

/// The resolution of times: a power of ten, or of two if the highest bit is set.
fn units_per_second(resolution: u8) -> Option<u64> {
    let base = if resolution & 0x80 == 0 { 10_u64 } else { 2 };
    base.checked_pow(u32::from(resolution & 0x7f))
}
