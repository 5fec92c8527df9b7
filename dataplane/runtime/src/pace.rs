//! When a worker has time to scan its flow table for a list.

use mos_stack::limits::BURST;

/// Turns with a full burst from one scan to the next. A scan takes as long as two of them, and more
/// where its page comes from a distant CPU: so lists cost a busy worker 2 to 5 % of its packets,
/// however many clients ask for them. docs/explanation/performance.md says how long a list takes
/// then.
pub const SCAN_EVERY: u32 = 96;

/// Decides when the next scan may run.
#[derive(Debug)]
pub(crate) struct ScanPace {
    /// Full turns since the last scan.
    full_turns: u32,
}

impl ScanPace {
    pub(crate) const fn new() -> Self {
        Self { full_turns: SCAN_EVERY }
    }

    /// Whether there is time for a scan.
    pub(crate) const fn allows(&self) -> bool {
        self.full_turns >= SCAN_EVERY
    }

    /// Notes that a scan was made.
    pub(crate) const fn on_scan(&mut self) {
        self.full_turns = 0;
    }

    /// Notes a turn by its largest burst. If that was not full, no packet waits behind it, and
    /// there is time for a scan.
    pub(crate) const fn on_burst(&mut self, packets: usize) {
        let is_full = packets >= BURST;
        self.full_turns = if is_full { self.full_turns.saturating_add(1) } else { SCAN_EVERY };
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, SCAN_EVERY, ScanPace};

    #[test]
    fn a_busy_worker_scans_once_in_many_turns_and_an_idle_one_in_each() {
        let mut pace = ScanPace::new();
        for turn in 0..3 * SCAN_EVERY {
            assert_eq!(pace.allows(), turn.is_multiple_of(SCAN_EVERY), "turn {turn}");
            if pace.allows() {
                pace.on_scan();
            }
            pace.on_burst(BURST);
        }
        for _ in 0..3 {
            pace.on_scan();
            pace.on_burst(BURST - 1);
            assert!(pace.allows());
        }
    }
}
