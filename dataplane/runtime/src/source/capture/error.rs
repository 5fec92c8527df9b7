//! Errors of a capture file: before its first packet, and in the middle.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use mos_stack::Link;

use super::compression::Compression;

/// The link type of a capture, by its number in the registry of tcpdump.org.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkType(pub u32);

/// The link types that are read, for messages.
const READABLE: &str = "ETHERNET, LINUX_SLL, LINUX_SLL2, RAW, IPV4, IPV6, NULL, LOOP, PPP, \
                        PPP_HDLC, PPP_ETHER, C_HDLC, FRELAY, FDDI, ATM_RFC1483, IEEE802_11, \
                        IEEE802_11_RADIOTAP, PPI, NFLOG and IPOIB";

impl LinkType {
    /// What the frames begin with; `None` where they cannot be read.
    #[must_use]
    pub const fn link(self) -> Option<Link> {
        Link::of_number(self.0)
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = self;
        match NAMES.iter().find(|(named, _)| named == number) {
            Some((_, name)) => write!(f, "{name} ({number})"),
            None => number.fmt(f),
        }
    }
}

/// Names of link types that captures may have and that are not read.
const NAMES: [(u32, &str); 20] = [
    (6, "IEEE802_5"),
    (7, "ARCNET_BSD"),
    (8, "SLIP"),
    (119, "IEEE802_11_PRISM"),
    (138, "APPLE_IP_OVER_IEEE1394"),
    (143, "DOCSIS"),
    (147, "USER0"),
    (163, "IEEE802_11_AVS"),
    (177, "LINUX_LAPD"),
    (187, "BLUETOOTH_HCI_H4"),
    (189, "USB_LINUX"),
    (195, "IEEE802_15_4_WITHFCS"),
    (201, "BLUETOOTH_HCI_H4_WITH_PHDR"),
    (220, "USB_LINUX_MMAPPED"),
    (227, "CAN_SOCKETCAN"),
    (249, "USBPCAP"),
    (251, "BLUETOOTH_LE_LL"),
    (252, "WIRESHARK_UPPER_PDU"),
    (253, "NETLINK"),
    (266, "USB_DARWIN"),
];

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
    /// The file is a capture of another kind.
    #[error(
        "{} is a capture of {name}, which is not read: convert it (editcap -F pcapng)",
        path.display()
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Whose format it is.
        name: &'static str,
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
    /// No frame has a link type that is read.
    #[error("all packets have link types as {0}; only {READABLE} can be read")]
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
    /// It is a capture of another kind.
    #[error("it is a capture of {0}, which is not read: convert it (editcap -F pcapng)")]
    OtherFormat(&'static str),
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
            Self::OtherFormat(name) => CaptureError::OtherFormat { path, name },
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
