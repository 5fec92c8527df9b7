//! The part of a file that is in memory: read ahead in large pieces, handed out without copying.
//!
//! ```text
//! file:    ......|consumed|----- held -----|........ not read yet
//! bytes:         0      start             end      capacity (grows up to RECORD_MAX)
//! ```

use std::{
    fs::File,
    io::{self, Read as _},
};

/// Longest record of a capture, in bytes, far above the largest frame: a longer one is damage.
pub(super) const RECORD_MAX: usize = 16 * 1024 * 1024;

const CAPACITY: usize = 1024 * 1024;

/// A window that moves over a file from its beginning to its end.
#[derive(Debug)]
pub(super) struct Window {
    file: File,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Position of `start` in the file.
    offset: u64,
}

impl Window {
    /// A window at the beginning of the file; nothing is read yet.
    pub(super) fn new(file: File) -> Self {
        Self { file, bytes: vec![0; CAPACITY], start: 0, end: 0, offset: 0 }
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

    /// Reads on until `wanted` bytes are held. False when the file ends before.
    ///
    /// # Errors
    ///
    /// Those of reading the file.
    pub(super) fn hold(&mut self, wanted: usize) -> io::Result<bool> {
        if self.end - self.start >= wanted {
            return Ok(true);
        }
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
        while self.end < wanted {
            match self.file.read(&mut self.bytes[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
