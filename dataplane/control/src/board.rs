//! The numbers that a worker publishes: one writer, many readers, no lock.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use mos_stack::{Gauges, Instant, Stat, Stats, Unread};

/// The phases of a worker, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun to poll.
    Starting,
    /// It polls its sources.
    Running,
    /// Its sources (captures) have ended; it still answers commands.
    Drained,
    /// It takes no more commands.
    Stopped,
}

/// Turns of a worker's loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turns {
    /// All turns.
    pub all: u64,
    /// Those that found packets.
    pub busy: u64,
}

impl Turns {
    /// The turns after an earlier reading; 0 where the earlier one is larger.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            all: self.all.saturating_sub(earlier.all),
            busy: self.busy.saturating_sub(earlier.busy),
        }
    }
}

/// The numbers of one worker. All fields: worker: wo, control: ro.
#[derive(Debug)]
#[repr(align(128))]
pub struct Board {
    phase: AtomicU8,
    now: AtomicU64,
    turns: AtomicU64,
    busy_turns: AtomicU64,
    flows: AtomicU64,
    flow_slots: AtomicU64,
    pool_used_bytes: AtomicU64,
    pool_bytes: AtomicU64,
    policy_generation: AtomicU64,
    unread: AtomicU64,
    stats: [AtomicU64; Stat::COUNT],
}

impl Default for Board {
    fn default() -> Self {
        Self {
            phase: AtomicU8::new(0),
            now: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            busy_turns: AtomicU64::new(0),
            flows: AtomicU64::new(0),
            flow_slots: AtomicU64::new(0),
            pool_used_bytes: AtomicU64::new(0),
            pool_bytes: AtomicU64::new(0),
            policy_generation: AtomicU64::new(0),
            unread: AtomicU64::new(0),
            stats: [const { AtomicU64::new(0) }; Stat::COUNT],
        }
    }
}

impl Board {
    /// Publishes the phase. Worker only.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(
            match phase {
                Phase::Starting => 0,
                Phase::Running => 1,
                Phase::Drained => 2,
                Phase::Stopped => 3,
            },
            Relaxed,
        );
    }

    /// Publishes one turn of the loop: its time, and how many packets it found. Worker only.
    pub fn turn(&self, now: Instant, packets: usize) {
        self.now.store(now.as_nanos(), Relaxed);
        self.turns.store(self.turns.load(Relaxed).wrapping_add(1), Relaxed);
        if packets > 0 {
            self.busy_turns.store(self.busy_turns.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }

    /// Publishes counters and levels. Worker only.
    pub fn publish(&self, stats: &Stats, gauges: Gauges) {
        for (cell, value) in self.stats.iter().zip(stats.as_array()) {
            cell.store(*value, Relaxed);
        }
        let Gauges { flows, flow_slots, pool_used_bytes, pool_bytes, .. } = gauges;
        self.flows.store(flows, Relaxed);
        self.flow_slots.store(flow_slots, Relaxed);
        self.pool_used_bytes.store(pool_used_bytes, Relaxed);
        self.pool_bytes.store(pool_bytes, Relaxed);
        self.policy_generation.store(gauges.policy_generation, Relaxed);
        self.unread.store(gauges.unread.map_or(0, Unread::to_bits), Relaxed);
    }

    /// The worker's phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Running,
            2 => Phase::Drained,
            _ => Phase::Stopped,
        }
    }

    /// The worker's clock at its last turn.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Relaxed))
    }

    /// Turns of the loop since the start.
    #[must_use]
    pub fn turns(&self) -> Turns {
        Turns { all: self.turns.load(Relaxed), busy: self.busy_turns.load(Relaxed) }
    }

    /// The value of one counter.
    #[must_use]
    pub fn stat(&self, stat: Stat) -> u64 {
        self.stats[stat as usize].load(Relaxed)
    }

    /// The levels.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            flows: self.flows.load(Relaxed),
            flow_slots: self.flow_slots.load(Relaxed),
            pool_used_bytes: self.pool_used_bytes.load(Relaxed),
            pool_bytes: self.pool_bytes.load(Relaxed),
            policy_generation: self.policy_generation.load(Relaxed),
            unread: Unread::from_bits(self.unread.load(Relaxed)),
        }
    }
}
