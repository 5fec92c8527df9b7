//! Compressed captures: gzip, zstd, xz, bzip2 and lz4, told by their first bytes and never by a
//! name. Several compressed streams one behind the other count as one, as their own tools have it.
//!
//! Nothing is ever held whole: the memory of each decoder is bounded by its format, and where the
//! file itself says how much it takes, by [`WINDOW_MAX`].

use std::{
    fmt,
    io::{self, BufRead, ErrorKind, Read},
};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder as Lz4Decoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder as ZstdDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// How far back compressed data may point, in bytes: what the highest levels of zstd and xz write.
const WINDOW_MAX: u64 = 128 * 1024 * 1024;

/// The memory of a decoder of xz, in KiB: its window, and what it needs besides.
const XZ_KIB_MAX: u32 = 136 * 1024;

/// Bytes that identify a compression.
pub(super) const MAGIC_BYTES: usize = 6;

/// How a capture is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952, that of bgzip included.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The format of XZ Utils.
    Xz,
    /// As bzip2 and pbzip2 write it.
    Bzip2,
    /// The frame format of LZ4.
    Lz4,
}

impl Compression {
    /// Looks at the first [`MAGIC_BYTES`] bytes.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            _ => None,
        }
    }

    /// What `source` holds, decompressed as it is read.
    pub(super) fn reader<'a>(self, source: impl BufRead + 'a) -> Box<dyn Read + 'a> {
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(source)),
            Self::Zstd => Box::new(Zstd::new(source)),
            Self::Xz => Box::new(XzReader::new_mem_limit(source, true, XZ_KIB_MAX)),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(source)),
            Self::Lz4 => Box::new(Lz4::new(source)),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Lz4 => "lz4",
        })
    }
}

/// Frames of zstd, one behind the other, with their checksums.
struct Zstd<R> {
    source: R,
    decoder: ZstdDecoder,
    within: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = ZstdDecoder::new();
        decoder.set_max_window_size(WINDOW_MAX);
        Self { source, decoder, within: false }
    }

    /// Goes to the next frame that holds data. False at the end.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => self.skip(length.into())?,
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(false)
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.source.by_ref().take(length), &mut io::sink())?;
        if skipped < length { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// The library does not say of every error whether the data ended too early.
    fn failed(&mut self, error: FrameDecoderError) -> io::Error {
        let is_too_large = matches!(error, FrameDecoderError::WindowSizeTooBig { .. });
        match self.source.fill_buf() {
            Ok(_) if is_too_large => io::Error::new(ErrorKind::OutOfMemory, error),
            Ok([]) => ErrorKind::UnexpectedEof.into(),
            Ok(_) => io::Error::new(ErrorKind::InvalidData, error),
            Err(of_source) => of_source,
        }
    }

    /// Leaves a frame that has ended. An error if it is not what its writer had.
    fn leave(&mut self) -> io::Result<()> {
        self.within = false;
        let written = self.decoder.get_checksum_from_data();
        let is_intact = written.is_none() || written == self.decoder.get_calculated_checksum();
        if is_intact { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
    }

    fn decode_block(&mut self) -> io::Result<()> {
        let one = BlockDecodingStrategy::UptoBlocks(1);
        let decoded = self.decoder.decode_blocks(&mut self.source, one);
        decoded.map(drop).map_err(|error| self.failed(error))
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.within || self.begin()? {
            self.within = true;
            match self.decoder.read(buffer)? {
                0 if self.decoder.is_finished() => self.leave()?,
                0 => self.decode_block()?,
                count => return Ok(count),
            }
        }
        Ok(0)
    }
}

/// Frames of LZ4, one behind the other. The library takes an end between two blocks of a frame for
/// the end of the frame; hence what is below it says whether there was more.
struct Lz4<R: Read> {
    decoder: Lz4Decoder<Watched<R>>,
    within: bool,
}

/// Notes that a reader has come to its end.
struct Watched<R> {
    source: R,
    ended: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.ended = count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

impl<R: BufRead> Lz4<R> {
    fn new(source: R) -> Self {
        Self { decoder: Lz4Decoder::new(Watched { source, ended: false }), within: false }
    }
}

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.within && self.decoder.get_mut().source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.within = true;
            match self.decoder.read(buffer)? {
                0 if self.decoder.get_ref().ended => return Err(ErrorKind::UnexpectedEof.into()),
                0 => self.within = false,
                count => return Ok(count),
            }
        }
    }
}
