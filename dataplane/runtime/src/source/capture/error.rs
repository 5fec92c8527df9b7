//! Errors of a capture file: before its first packet, and in the middle.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use mos_stack::Link;
use pcap_parser::Linktype;

use super::compression::Compression;

/// The link type of a capture, by its number in the registry of tcpdump.org.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkType(pub u32);

/// The link types that are read, for messages.
const READABLE: &str = "ETHERNET, LINUX_SLL, LINUX_SLL2, RAW, IPV4, IPV6, NULL and LOOP";

impl LinkType {
    /// What the frames begin with; `None` where they cannot be read.
    #[must_use]
    pub const fn link(self) -> Option<Link> {
        match self.0 {
            0 | 108 => Some(Link::Loopback),
            1 => Some(Link::Ethernet),
            // 12 and 14 are in files whose writers used their own system's number for raw IP.
            12 | 14 | 101 | 228 | 229 => Some(Link::RawIp),
            113 => Some(Link::LinuxSll),
            276 => Some(Link::LinuxSll2),
            _ => None,
        }
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = i32::try_from(self.0).map(|number| Linktype(number).to_string());
        match name {
            // The library has names for some types, and prints the others as its own struct.
            Ok(name) if !name.contains('(') => f.write_str(&name),
            Ok(_) | Err(_) => self.0.fmt(f),
        }
    }
}

/// Why a capture cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be opened or read.
    #[error("cannot read the capture {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file has no bytes.
    #[error("the capture {} is empty", .0.display())]
    Empty(PathBuf),
    /// The compressed data break off before the first packet.
    #[error("cannot read the capture {}: {cause}", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: ProblemCause,
    },
    /// The file is something else.
    #[error("{} is not a capture: it is neither pcap nor pcapng", .0.display())]
    NotACapture(PathBuf),
    /// The file ends within its header.
    #[error("the capture {} ends within its header", .0.display())]
    Header(PathBuf),
    /// The frames have a link type that is not read.
    #[error("{} has the link type {link}; only {READABLE} can be read", path.display())]
    LinkType {
        /// The file.
        path: PathBuf,
        /// Its link type.
        link: LinkType,
    },
}

/// Why a capture could not be read to its end. Everything before was delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause} (at byte {offset} of the capture)")]
pub struct CaptureProblem {
    /// Where the record begins that could not be read, in a compressed capture as decompressed.
    pub offset: u64,
    /// What is wrong with it.
    pub cause: ProblemCause,
}

/// What is wrong in the middle of a capture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemCause {
    /// The file ends within the record.
    #[error("the capture is cut off in the middle of a record")]
    Truncated,
    /// The record contradicts the format.
    #[error("the capture is damaged: {0}")]
    Damaged(&'static str),
    /// The frame has a link type that is not read.
    #[error("a packet has the link type {0}; only {READABLE} can be read")]
    LinkType(LinkType),
    /// The file cannot be read on.
    #[error("the capture cannot be read on: {0}")]
    Read(io::ErrorKind),
    /// It was told to end.
    #[error("interrupted")]
    Interrupted,
    /// The capture has no bytes.
    #[error("the capture is empty")]
    Empty,
    /// It is something else.
    #[error("it is not a capture: it is neither pcap nor pcapng")]
    NotACapture,
    /// The compressed data end too early.
    #[error("the {0} data are cut off")]
    CompressionCut(Compression),
    /// The compressed data contradict their format, or their checksum.
    #[error("the {0} data are damaged")]
    CompressionDamaged(Compression),
    /// To decompress the data would take more memory than any usual level does.
    #[error("the {0} data point back further than 128 MiB")]
    CompressionTooLarge(Compression),
}

impl ProblemCause {
    /// What an error of reading, or of decompressing, means.
    pub(super) fn of(error: &io::Error, compression: Option<Compression>) -> Self {
        use io::ErrorKind::{
            InvalidData, InvalidInput, Other, OutOfMemory, UnexpectedEof, Unsupported,
        };
        match (compression, error.kind()) {
            (Some(compression), UnexpectedEof) => Self::CompressionCut(compression),
            (Some(compression), OutOfMemory) => Self::CompressionTooLarge(compression),
            (Some(compression), InvalidData | InvalidInput | Other | Unsupported) => {
                Self::CompressionDamaged(compression)
            }
            (_, kind) => Self::Read(kind),
        }
    }

    /// The error of a capture of which this is known before its first packet.
    pub(super) fn of_capture(self, path: &Path) -> CaptureError {
        let path = path.to_owned();
        match self {
            Self::Empty => CaptureError::Empty(path),
            Self::NotACapture | Self::Damaged(_) => CaptureError::NotACapture(path),
            Self::Truncated => CaptureError::Header(path),
            Self::LinkType(link) => CaptureError::LinkType { path, link },
            Self::Interrupted => {
                CaptureError::Read { path, error: io::ErrorKind::Interrupted.into() }
            }
            Self::Read(kind) => CaptureError::Read { path, error: kind.into() },
            cause @ (Self::CompressionCut(_)
            | Self::CompressionDamaged(_)
            | Self::CompressionTooLarge(_)) => CaptureError::Compressed { path, cause },
        }
    }
}
