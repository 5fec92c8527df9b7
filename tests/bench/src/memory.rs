//! Large memory in huge pages, and the memory of the process.
//!
//! The only file that knows how such memory is made.

use std::{fs, io};

use mos_memory::Slab;
use zerocopy::IntoBytes as _;

/// One cache line, as eight words.
pub type Line = [u64; 8];

/// Bytes of a [`Line`].
pub const LINE_BYTES: usize = size_of::<Line>();

/// Zeroed memory of a fixed length, in huge pages if the system has them.
#[derive(Debug)]
pub struct Pages(Slab<Line>);

impl Pages {
    /// Allocates `bytes`, at least one line, and touches all of them.
    ///
    /// # Errors
    ///
    /// The memory cannot be allocated.
    pub fn new(bytes: usize) -> io::Result<Self> {
        let lines = bytes.max(1).div_ceil(LINE_BYTES);
        let mut pages = Slab::<Line>::zeroed(lines).ok_or(io::ErrorKind::OutOfMemory)?;
        pages.fill([0; 8]);
        Ok(Self(pages))
    }

    /// The memory as bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The memory as bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_mut_bytes()
    }

    /// The memory as cache lines.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.0
    }

    /// The memory as cache lines, to be written.
    pub fn lines_mut(&mut self) -> &mut [Line] {
        &mut self.0
    }
}

/// Resident bytes of the process; 0 if the system does not report them.
#[must_use]
pub fn held_bytes() -> u64 {
    kibibytes("/proc/self/status", "VmRSS:").saturating_mul(1024)
}

/// Available bytes of the machine; 0 if the system does not report them.
#[must_use]
pub fn available_bytes() -> u64 {
    kibibytes("/proc/meminfo", "MemAvailable:").saturating_mul(1024)
}

/// The number in the line of `file` that begins with `name`.
fn kibibytes(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
