//! The records of a pcap, draft-ietf-opsawg-pcap, in either byte order.

use mos_stack::Instant;

use super::{
    error::{LinkType, ProblemCause},
    order::ByteOrder,
    packet::{NANOS_PER_SECOND, Packet, Parsed},
    window::RECORD_MAX,
};

/// How the records of a pcap are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pcap {
    order: ByteOrder,
    /// Bytes before the frame.
    header: usize,
    link_type: LinkType,
    nanos_per_unit: u32,
}

/// Why a pcap is not read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unreadable {
    /// It ends within its header.
    Cut,
    /// Its frames have a link type that is not read.
    Link(LinkType),
}

/// Bytes in front of the records.
pub(super) const FILE_HEADER: usize = 24;

/// The magic numbers.
mod magic {
    pub(super) const MICROSECONDS: u32 = 0xa1b2_c3d4;
    pub(super) const NANOSECONDS: u32 = 0xa1b2_3c4d;
    /// With eight more bytes in front of each frame, as some Linux kernels of the 1990s wrote it.
    pub(super) const MODIFIED: u32 = 0xa1b2_cd34;
}

impl Pcap {
    /// The pcap that a file is which begins with these bytes; `None` if it is none.
    pub(super) fn of(bytes: &[u8]) -> Option<Result<Self, Unreadable>> {
        let magic = *bytes.first_chunk()?;
        let readings = [
            (u32::from_be_bytes(magic), ByteOrder::Big),
            (u32::from_le_bytes(magic), ByteOrder::Little),
        ];
        let (order, header, nanos_per_unit) =
            readings.into_iter().find_map(|(number, order)| match number {
                magic::MICROSECONDS => Some((order, 16, 1000)),
                magic::NANOSECONDS => Some((order, 16, 1)),
                magic::MODIFIED => Some((order, 24, 1000)),
                _ => None,
            })?;
        if bytes.len() < FILE_HEADER {
            return Some(Err(Unreadable::Cut));
        }
        // The upper bits are about the frame check sequence.
        let link_type = LinkType(order.u32(bytes, 20) & 0x03ff_ffff);
        if link_type.link().is_none() {
            return Some(Err(Unreadable::Link(link_type)));
        }
        Some(Ok(Self { order, header, link_type, nanos_per_unit }))
    }

    /// What `bytes` begin with.
    ///
    /// # Errors
    ///
    /// When no record can be read here, and so none behind it.
    pub(super) fn parse(&self, bytes: &[u8]) -> Result<Parsed, ProblemCause> {
        let start = self.header;
        if bytes.len() < start {
            return Ok(Parsed::Incomplete(start));
        }
        let [seconds, fraction, captured, wire_length] =
            [0, 4, 8, 12].map(|at| self.order.u32(bytes, at));
        let captured = captured as usize;
        if captured > RECORD_MAX - start {
            return Err(ProblemCause::Damaged("a packet of more than 16 MiB"));
        }
        let length = start + captured;
        if bytes.len() < length {
            return Ok(Parsed::Incomplete(length));
        }
        let nanos = u64::from(seconds) * NANOS_PER_SECOND
            + u64::from(fraction) * u64::from(self.nanos_per_unit);
        let time = Some(Instant::from_nanos(nanos));
        let link_type = Some(self.link_type);
        let packet = Packet { time, link_type, start, length: captured, wire_length };
        Ok(Parsed::Record { length, packet: Some(packet) })
    }
}
