//! What kind of capture a file is, and how its records are written.

use super::{
    error::{LinkType, ProblemCause},
    packet::Parsed,
    pcap::{self, Pcap, Unreadable},
    pcapng::Section,
};

/// Bytes that identify the type of a file; also the length of a pcap header.
pub(super) const MAGIC_BYTES: usize = pcap::FILE_HEADER;

/// The type of a file, by its first bytes.
#[derive(Debug)]
pub(super) enum Kind {
    /// A capture; its header takes `header` bytes.
    Capture { format: Format, header: usize },
    /// A pcap whose frames have a link type that is not read.
    OtherLink(LinkType),
    /// A capture that ends within its header.
    Cut,
    /// A capture of a format that is not read, by its name.
    OtherFormat(&'static str),
    /// Something else.
    Unknown,
}

/// How the records of a capture are written.
#[derive(Debug, Clone)]
pub(super) enum Format {
    Pcap(Pcap),
    PcapNg(Section),
}

impl Kind {
    /// Looks at the first [`MAGIC_BYTES`] bytes of a file, or at all of it where it is shorter.
    pub(super) fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x0a, 0x0d, 0x0d, 0x0a, ..] => {
                Self::Capture { format: Format::PcapNg(Section::default()), header: 0 }
            }
            [b's', b'n', b'o', b'o', b'p', 0, 0, 0, ..] => Self::OtherFormat("snoop"),
            [b'R', b'T', b'S', b'S', ..] | [b'G', b'M', b'B', b'U', ..] => {
                Self::OtherFormat("Microsoft Network Monitor")
            }
            _ => match Pcap::of(bytes) {
                Some(Ok(pcap)) => Self::Capture { format: Format::Pcap(pcap), header: MAGIC_BYTES },
                Some(Err(Unreadable::Link(link_type))) => Self::OtherLink(link_type),
                Some(Err(Unreadable::Cut)) => Self::Cut,
                None => Self::Unknown,
            },
        }
    }
}

impl Format {
    /// What `bytes` begin with.
    ///
    /// # Errors
    ///
    /// When no record can be read here, and so none behind it.
    pub(super) fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ProblemCause> {
        match self {
            Self::Pcap(pcap) => pcap.parse(bytes),
            Self::PcapNg(section) => section.parse(bytes),
        }
    }
}
