//! The part of a file that is in memory: read ahead in large pieces, handed out without copying.
//!
//! ```text
//! file:    ......|consumed|----- held -----|........ not read yet
//! bytes:         0      start             end      capacity (grows up to RECORD_MAX)
//! ```

use std::{
    fs::File,
    io::{ErrorKind, Read as _},
};

use super::{
    error::ProblemCause,
    feed::{Fed, Feed},
};

/// Longest record of a capture, in bytes, far above the largest frame: a longer one is damage.
pub(super) const RECORD_MAX: usize = 16 * 1024 * 1024;

const CAPACITY: usize = 1024 * 1024;

/// Where bytes come from.
#[derive(Debug)]
pub(super) enum Bytes {
    /// A regular file, which this worker reads itself.
    File(File),
    /// The thread that reads for all workers.
    Feed(Feed),
}

/// Whether the window holds what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// It does.
    All,
    /// Not now: the source has no more yet.
    NotYet,
    /// The source ends before.
    Ended,
}

/// A window that moves over a file from its beginning to its end.
#[derive(Debug)]
pub(super) struct Window {
    source: Bytes,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Position of `start` in the file.
    offset: u64,
}

impl Window {
    /// A window at the beginning of the file; nothing is read yet.
    pub(super) fn new(source: Bytes) -> Self {
        Self { source, bytes: vec![0; CAPACITY], start: 0, end: 0, offset: 0 }
    }

    /// Whether one thread reads for all workers.
    pub(super) const fn is_fed(&self) -> bool {
        matches!(self.source, Bytes::Feed(_))
    }

    /// The bytes that are held.
    pub(super) fn held(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Position of the first held byte in the file.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Drops the first `count` held bytes.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// Reads on until `wanted` bytes are held, or the source has no more.
    ///
    /// # Errors
    ///
    /// Why the source cannot be read on.
    pub(super) fn hold(&mut self, wanted: usize) -> Result<Held, ProblemCause> {
        if self.end - self.start >= wanted {
            return Ok(Held::All);
        }
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
        while self.end < wanted {
            match self.source.read(&mut self.bytes[self.end..]) {
                Fed::Bytes(count) => self.end += count,
                Fed::NotYet => return Ok(Held::NotYet),
                Fed::End(end) => return end.map(|()| Held::Ended),
            }
        }
        Ok(Held::All)
    }
}

impl Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> Fed {
        match self {
            Self::Feed(feed) => feed.read(buffer),
            Self::File(file) => loop {
                match file.read(buffer) {
                    Ok(0) => return Fed::End(Ok(())),
                    Ok(count) => return Fed::Bytes(count),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Fed::End(Err(ProblemCause::Read(error.kind()))),
                }
            },
        }
    }
}
