//! Resident memory of a process, as the kernel accounts for it.

use std::fs;

/// Resident memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// The peak so far.
    pub peak: u64,
}

impl Memory {
    /// The resident memory of the process with this id.
    #[track_caller]
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process");
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
            let number = line.trim_start_matches(':').trim().trim_end_matches(" kB");
            number.parse::<u64>().expect("a number of KiB") * 1024
        };
        Self { resident: field("VmRSS"), peak: field("VmHWM") }
    }

    /// The resident memory of this process.
    #[track_caller]
    #[must_use]
    pub fn own() -> Self {
        Self::of(std::process::id())
    }
}

/// The minimum and the maximum of several readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The minimum, in bytes.
    pub least: u64,
    /// The maximum, in bytes.
    pub most: u64,
}

impl Span {
    /// The span of one reading.
    #[must_use]
    pub const fn of(bytes: u64) -> Self {
        Self { least: bytes, most: bytes }
    }

    /// Adds a reading.
    pub fn take(&mut self, bytes: u64) {
        self.least = self.least.min(bytes);
        self.most = self.most.max(bytes);
    }

    /// Maximum minus minimum, in bytes.
    #[must_use]
    pub const fn spread(self) -> u64 {
        self.most - self.least
    }
}

/// Bytes as MiB with one decimal.
#[must_use]
pub fn mib(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20)
}
