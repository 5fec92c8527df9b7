//! The records of a capture: pcap in both byte orders and precisions, and pcapng.
//!
//! `pcap-parser` reads the fields; this file decides what a record means. The library gets whole
//! records only: whether one is incomplete follows from its length field, never from the middle of
//! a damaged block. This file itself handles what the library does not: resolutions that are powers
//! of two, clock offsets in big-endian sections, and the obsolete Packet Block.
//! Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.

use mos_stack::{Instant, Link};
use pcap_parser::{
    InterfaceDescriptionBlock, PcapHeader, parse_enhancedpacketblock_be,
    parse_enhancedpacketblock_le, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le, parse_pcap_frame, parse_pcap_frame_be,
    parse_pcap_frame_modified, parse_pcap_header, parse_sectionheaderblock,
    parse_simplepacketblock_be, parse_simplepacketblock_le, traits::PcapNGPacketBlock as _,
};

use super::{
    error::{LinkType, ProblemCause},
    window::RECORD_MAX,
};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Bytes that identify the type of a file; also the length of a pcap header.
pub(super) const MAGIC_BYTES: usize = 24;

/// Interfaces of a pcapng section that are remembered, at most.
const INTERFACES_MAX: usize = 4096;

/// The type of a file, by its first bytes.
#[derive(Debug)]
pub(super) enum Kind {
    /// A capture; its header takes `header` bytes.
    Capture { format: Format, header: usize },
    /// A pcap whose frames have a link type that is not read.
    OtherLink(LinkType),
    /// A capture that ends within its header.
    Cut,
    /// Something else.
    Unknown,
}

/// How the records of a capture are written.
#[derive(Debug, Clone)]
pub(super) enum Format {
    Pcap { layout: Layout, link: Link, nanos_per_unit: u32 },
    PcapNg(Section),
}

/// The layout of a pcap record.
#[derive(Debug, Clone, Copy)]
pub(super) enum Layout {
    Little,
    Big,
    /// With eight more bytes of header, as some Linux kernels of the 1990s wrote it.
    Modified,
}

/// The current section of a pcapng.
#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    big_endian: bool,
    interfaces: Vec<Interface>,
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: LinkType,
    /// Bytes of a frame that are captured, at most; 0: all.
    snaplen: u32,
    units_per_second: u64,
    offset_seconds: i64,
}

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
    /// What its bytes begin with.
    pub(super) link: Link,
    /// Where its bytes begin, from the beginning of the record.
    pub(super) start: usize,
    /// Captured bytes.
    pub(super) length: usize,
    /// Length on the wire.
    pub(super) wire_length: u32,
}

impl Kind {
    /// Looks at the first [`MAGIC_BYTES`] bytes of a file, or at all of it where it is shorter.
    pub(super) fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x0a, 0x0d, 0x0d, 0x0a, ..] => {
                Self::Capture { format: Format::PcapNg(Section::default()), header: 0 }
            }
            [0xd4, 0xc3, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0xc3, 0xd4, ..]
            | [0x4d, 0x3c, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0x3c, 0x4d, ..]
            | [0x34, 0xcd, 0xb2, 0xa1, ..] => Self::of_pcap(bytes),
            _ => Self::Unknown,
        }
    }

    fn of_pcap(bytes: &[u8]) -> Self {
        let Ok((_, header)) = parse_pcap_header(bytes) else { return Self::Cut };
        let link_type = link_type(&header);
        let Some(link) = link_type.link() else { return Self::OtherLink(link_type) };
        let layout = match (header.is_modified_format(), header.is_bigendian()) {
            (true, _) => Layout::Modified,
            (false, true) => Layout::Big,
            (false, false) => Layout::Little,
        };
        let nanos_per_unit = if header.is_nanosecond_precision() { 1 } else { 1000 };
        Self::Capture {
            format: Format::Pcap { layout, link, nanos_per_unit },
            header: header.size(),
        }
    }
}

/// The link type without the bits about the frame check sequence.
const fn link_type(header: &PcapHeader) -> LinkType {
    LinkType(header.network.0.cast_unsigned() & 0x03ff_ffff)
}

impl Format {
    /// What `bytes` begin with.
    ///
    /// # Errors
    ///
    /// When no record can be read here, and so none behind it.
    pub(super) fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ProblemCause> {
        match self {
            Self::Pcap { layout, link, nanos_per_unit } => {
                parse_pcap(*layout, *link, *nanos_per_unit, bytes)
            }
            Self::PcapNg(section) => section.parse(bytes),
        }
    }
}

fn parse_pcap(
    layout: Layout,
    link: Link,
    nanos_per_unit: u32,
    bytes: &[u8],
) -> Result<Parsed, ProblemCause> {
    let start = match layout {
        Layout::Little | Layout::Big => 16,
        Layout::Modified => 24,
    };
    if bytes.len() < start {
        return Ok(Parsed::Incomplete(start));
    }
    let captured = [bytes[8], bytes[9], bytes[10], bytes[11]];
    let captured = match layout {
        Layout::Little | Layout::Modified => u32::from_le_bytes(captured),
        Layout::Big => u32::from_be_bytes(captured),
    } as usize;
    if captured > RECORD_MAX - start {
        return Err(ProblemCause::Damaged("a packet of more than 16 MiB"));
    }
    let length = start + captured;
    let Some(record) = bytes.get(..length) else { return Ok(Parsed::Incomplete(length)) };
    let parsed = match layout {
        Layout::Little => parse_pcap_frame(record),
        Layout::Big => parse_pcap_frame_be(record),
        Layout::Modified => parse_pcap_frame_modified(record),
    };
    let (_, block) = parsed.map_err(|_error| ProblemCause::Damaged("a malformed record"))?;
    let nanos = u64::from(block.ts_sec) * NANOS_PER_SECOND
        + u64::from(block.ts_usec) * u64::from(nanos_per_unit);
    let time = Some(Instant::from_nanos(nanos));
    let packet = Packet { time, link, start, length: captured, wire_length: block.origlen };
    Ok(Parsed::Record { length, packet: Some(packet) })
}

/// Types of pcapng blocks.
mod block {
    pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
    /// Obsolete, but some files have it.
    pub(super) const PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const ENHANCED_PACKET: u32 = 6;
}

impl Section {
    fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ProblemCause> {
        /// Type, length, and the byte order in a section header.
        const HEAD: usize = 12;
        const LITTLE: [u8; 4] = [0x4d, 0x3c, 0x2b, 0x1a];
        const BIG: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];
        let Some(head) = bytes.first_chunk::<HEAD>() else { return Ok(Parsed::Incomplete(HEAD)) };
        let kind = self.word(head, 0);
        if kind == block::SECTION_HEADER {
            self.big_endian = match &head[8..] {
                order if order == LITTLE => false,
                order if order == BIG => true,
                _ => return Err(ProblemCause::Damaged("a section of no byte order")),
            };
        }
        let length = self.word(head, 4) as usize;
        if length < HEAD || !length.is_multiple_of(4) {
            return Err(ProblemCause::Damaged("a block of impossible length"));
        }
        if length > RECORD_MAX {
            return Err(ProblemCause::Damaged("a block of more than 16 MiB"));
        }
        let Some(block) = bytes.get(..length) else { return Ok(Parsed::Incomplete(length)) };
        let packet = match kind {
            block::SECTION_HEADER => self.begin(block).map(|()| None)?,
            block::INTERFACE_DESCRIPTION => self.describe_interface(block).map(|()| None)?,
            block::PACKET => Some(self.obsolete_packet(block)?),
            block::SIMPLE_PACKET => Some(self.simple_packet(block)?),
            block::ENHANCED_PACKET => Some(self.enhanced_packet(block)?),
            _ => None,
        };
        Ok(Parsed::Record { length, packet })
    }

    fn begin(&mut self, block: &[u8]) -> Result<(), ProblemCause> {
        let (_, header) = parse_sectionheaderblock(block)
            .map_err(|_error| ProblemCause::Damaged("a malformed section header"))?;
        if header.major_version != 1 {
            return Err(ProblemCause::Damaged("a section of an unknown version"));
        }
        self.interfaces.clear();
        Ok(())
    }

    fn describe_interface(&mut self, block: &[u8]) -> Result<(), ProblemCause> {
        let parsed = if self.big_endian {
            parse_interfacedescriptionblock_be(block)
        } else {
            parse_interfacedescriptionblock_le(block)
        };
        let (_, description) =
            parsed.map_err(|_error| ProblemCause::Damaged("a malformed interface description"))?;
        if self.interfaces.len() == INTERFACES_MAX {
            return Err(ProblemCause::Damaged("too many interfaces"));
        }
        // The library always reads the clock's offset as little-endian.
        let offset = description.if_tsoffset;
        let offset_seconds = if self.big_endian { offset.swap_bytes() } else { offset };
        self.interfaces.push(Interface::new(&description, offset_seconds)?);
        Ok(())
    }

    fn enhanced_packet(&self, block: &[u8]) -> Result<Packet, ProblemCause> {
        let parsed = if self.big_endian {
            parse_enhancedpacketblock_be(block)
        } else {
            parse_enhancedpacketblock_le(block)
        };
        let (_, packet) = parsed.map_err(|_error| ProblemCause::Damaged("a malformed packet"))?;
        let (interface, link) = self.interface(packet.if_id)?;
        Ok(Packet {
            time: Some(interface.time(packet.ts_high, packet.ts_low)),
            link,
            start: 28,
            length: packet.packet_data().len(),
            wire_length: packet.origlen,
        })
    }

    /// A packet without a time: it takes that of the packet before.
    fn simple_packet(&self, block: &[u8]) -> Result<Packet, ProblemCause> {
        let parsed = if self.big_endian {
            parse_simplepacketblock_be(block)
        } else {
            parse_simplepacketblock_le(block)
        };
        let (_, packet) = parsed.map_err(|_error| ProblemCause::Damaged("a malformed packet"))?;
        let (interface, link) = self.interface(0)?;
        let snaplen = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
        let length = packet.packet_data().len().min(snaplen as usize);
        Ok(Packet { time: None, link, start: 12, length, wire_length: packet.origlen })
    }

    fn obsolete_packet(&self, block: &[u8]) -> Result<Packet, ProblemCause> {
        const START: usize = 28;
        let body = block.len().checked_sub(START + 4);
        let length = body.map(|body| (body, self.word(block, 20) as usize));
        match length {
            Some((body, length)) if length <= body => {
                let interface = [block[8], block[9]];
                let interface = if self.big_endian {
                    u16::from_be_bytes(interface)
                } else {
                    u16::from_le_bytes(interface)
                };
                let (interface, link) = self.interface(interface.into())?;
                let time = interface.time(self.word(block, 12), self.word(block, 16));
                let wire_length = self.word(block, 24);
                Ok(Packet { time: Some(time), link, start: START, length, wire_length })
            }
            Some(_) | None => Err(ProblemCause::Damaged("a malformed packet")),
        }
    }

    /// The interface of a packet, and what its frames begin with.
    fn interface(&self, index: u32) -> Result<(&Interface, Link), ProblemCause> {
        let interface = self
            .interfaces
            .get(index as usize)
            .ok_or(ProblemCause::Damaged("a packet of an undeclared interface"))?;
        let link = interface.link.link().ok_or(ProblemCause::LinkType(interface.link))?;
        Ok((interface, link))
    }

    /// The 32-bit number at `at`, which is within `bytes`.
    fn word(&self, bytes: &[u8], at: usize) -> u32 {
        let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        if self.big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
    }
}

impl Interface {
    fn new(
        description: &InterfaceDescriptionBlock<'_>,
        offset_seconds: i64,
    ) -> Result<Self, ProblemCause> {
        let exponent = u32::from(description.if_tsresol & 0x7f);
        let base = if description.if_tsresol & 0x80 == 0 { 10_u64 } else { 2 };
        let units_per_second = base
            .checked_pow(exponent)
            .ok_or(ProblemCause::Damaged("an interface with a time resolution beyond 64 bits"))?;
        Ok(Self {
            link: LinkType(description.linktype.0.cast_unsigned()),
            snaplen: description.snaplen,
            units_per_second,
            offset_seconds,
        })
    }

    /// The time of a packet; times outside the range become its nearer end.
    fn time(&self, high: u32, low: u32) -> Instant {
        let units = u64::from(high) << 32 | u64::from(low);
        let nanos = i128::from(units) * i128::from(NANOS_PER_SECOND)
            / i128::from(self.units_per_second)
            + i128::from(self.offset_seconds) * i128::from(NANOS_PER_SECOND);
        Instant::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}
