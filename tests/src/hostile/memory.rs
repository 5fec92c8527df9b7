//! Resident memory of a process, as the kernel accounts for it.

use std::fs;

/// Resident memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// At the most so far.
    pub peak: u64,
}

impl Memory {
    /// That of the process with this id.
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

    /// That of this process.
    #[track_caller]
    #[must_use]
    pub fn own() -> Self {
        Self::of(std::process::id())
    }
}

/// The least and the most of several readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The least, in bytes.
    pub least: u64,
    /// The most, in bytes.
    pub most: u64,
}

impl Span {
    /// Of one reading.
    #[must_use]
    pub const fn of(bytes: u64) -> Self {
        Self { least: bytes, most: bytes }
    }

    /// Takes one more reading in.
    pub fn take(&mut self, bytes: u64) {
        self.least = self.least.min(bytes);
        self.most = self.most.max(bytes);
    }

    /// How much the readings differ, in bytes.
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
