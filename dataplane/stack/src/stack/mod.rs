//! The stack of one worker: the only public entry point.

mod burst;
mod emitter;
mod evict;
mod life;
mod newcomer;
mod options;
mod read;

pub use read::{FIND_MAX, SlotCursor};

use alloc::vec::Vec;

use arrayvec::ArrayVec;

use self::life::{GROWN_MAX, Growth};
use crate::{
    EndCause, EventSink, FrameSet, Instant, Limits, LimitsError, Stats, WorkerId,
    aside::Asides,
    assembly::Assemblies,
    flow::{EvictionQueues, Flow, FlowTable, FlowTimeouts, Ledger, TimerWheel, VlanPairs},
    limits::BLOCK_BYTES,
    policy::Policies,
    reassembly::BufferPool,
    wire::{Majority, Unread},
};

/// The monitoring stack of one worker. One thread owns it; nothing in it is shared.
#[derive(Debug)]
pub struct Stack {
    worker: WorkerId,
    limits: Limits,
    timeouts: FlowTimeouts,
    table: FlowTable<Flow, EndCause>,
    ledger: Ledger,
    wheel: TimerWheel,
    evictable: EvictionQueues,
    /// Where VLANs are part of keys.
    vlan_pairs: VlanPairs,
    assemblies: Assemblies,
    asides: Asides,
    /// Payload of a packet that was reassembled from fragments.
    whole: Vec<u8>,
    pool: BufferPool,
    stats: Stats,
    /// Streams that have grown in this burst.
    grown: ArrayVec<Growth, GROWN_MAX>,
    /// Frames of this burst that are not monitored; only the unpredicted path adds to it.
    unmonitored: FrameSet,
    /// Decide what flows begin with.
    policies: Policies,
    /// What most of the frames are that hold no TCP.
    unread: Majority,
}

/// Current levels, in contrast to the counters of [`Stats`], which only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Flows tracked now, stopped ones included, which are not listed.
    pub flows: u64,
    /// Flow slots.
    pub flow_slots: u64,
    /// Bytes of the block pool in use.
    pub pool_used_bytes: u64,
    /// Bytes of the block pool.
    pub pool_bytes: u64,
    /// Generation of the policies in force; 0 before there are any.
    pub policy_generation: u64,
    /// What most of the frames are that hold no TCP, if more than half are the same.
    pub unread: Option<Unread>,
}

/// Most empty timer buckets that one call of [`Stack::handle_timeout`] passes.
const TIMER_STEPS: u32 = 256;

impl Limits {
    /// Most memory that a stack with these bounds takes, in bytes, except for some kilobytes.
    #[must_use]
    pub const fn memory_bytes(&self) -> u64 {
        const FLOW: usize = FlowTable::<Flow, EndCause>::SLOT_BYTES_MAX
            + TimerWheel::SLOT_BYTES
            + EvictionQueues::SLOT_BYTES
            + Ledger::SLOT_BYTES;
        const BLOCK: u64 = BLOCK_BYTES as u64;
        let blocks = self.pool_bytes / BLOCK;
        let pool = blocks.saturating_mul(BLOCK + size_of::<u32>() as u64);
        pool.saturating_add(self.flows_max as u64 * FLOW as u64)
    }
}

impl Stack {
    /// Makes a stack and reserves all its memory. `seed` keys the hash of the flow table.
    ///
    /// # Errors
    ///
    /// A bound is out of range, or the kernel does not give the memory.
    pub fn new(worker: WorkerId, limits: Limits, seed: u64) -> Result<Self, LimitsError> {
        limits.check()?;
        let table = FlowTable::new(worker, limits.flows_max, seed);
        let ledger = Ledger::new(limits.flows_max);
        let wheel = TimerWheel::new(limits.flows_max);
        let evictable = EvictionQueues::new(limits.flows_max);
        let assemblies = Assemblies::new(seed, &limits);
        let asides = Asides::new(seed);
        let (Some(table), Some(ledger), Some(wheel), Some(evictable)) =
            (table, ledger, wheel, evictable)
        else {
            return Err(LimitsError::Memory(u64::from(limits.flows_max)));
        };
        let vlan_pairs = VlanPairs::new(&limits);
        let (Some(assemblies), Some(asides), Some(vlan_pairs)) = (assemblies, asides, vlan_pairs)
        else {
            return Err(LimitsError::Memory(u64::from(limits.flows_max)));
        };
        let pool =
            BufferPool::new(limits.pool_bytes).ok_or(LimitsError::Memory(limits.pool_bytes))?;
        let whole = alloc::vec![0; usize::from(u16::MAX)];
        let stack = Self {
            worker,
            timeouts: FlowTimeouts::new(&limits.timeouts),
            limits,
            table,
            ledger,
            wheel,
            evictable,
            vlan_pairs,
            assemblies,
            asides,
            whole,
            pool,
            stats: Stats::default(),
            grown: ArrayVec::new(),
            unmonitored: FrameSet::NONE,
            policies: Policies::default(),
            unread: Majority::default(),
        };
        if limits.populate {
            stack.populate().ok_or_else(|| LimitsError::Populate(limits.memory_bytes()))?;
        }
        Ok(stack)
    }

    /// Makes the kernel allocate all memory now. `None` if it does not.
    fn populate(&self) -> Option<()> {
        self.table.populate()?;
        self.ledger.populate()?;
        self.wheel.populate()?;
        self.evictable.populate()?;
        self.pool.populate()
    }

    /// Ends flows that have timed out. Examines at most `budget` flows, and returns how many it
    /// examined.
    pub fn handle_timeout(&mut self, now: Instant, budget: u32, sink: &mut impl EventSink) -> u32 {
        self.assemblies.expire(now, &mut self.pool);
        let mut steps = TIMER_STEPS;
        for examined in 0..budget {
            let Some(slot) = self.wheel.pop(now, &mut steps) else { return examined };
            let Some((_, flow)) = self.table.get(slot) else { continue };
            let deadline = flow.deadline(&self.timeouts);
            if deadline <= now {
                let cause = flow.connection.silent_cause().unwrap_or(EndCause::Timeout);
                self.end(slot, now, Some(cause), sink);
            } else {
                self.wheel.file(slot, deadline);
            }
        }
        budget
    }

    /// Ends every flow and returns all memory to the pool. Called at the end of a source.
    pub fn finish(&mut self, sink: &mut impl EventSink) {
        self.assemblies.clear(&mut self.pool);
        for slot in 0..self.table.slots_used() {
            if let Some((_, flow)) = self.table.get(slot) {
                let (now, cause) = (flow.last_packet, flow.connection.silent_cause());
                self.end(slot, now, cause, sink);
            }
        }
    }

    /// The counters.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The levels.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            flows: u64::from(self.table.len()),
            flow_slots: u64::from(self.limits.flows_max),
            pool_used_bytes: self.pool.used_bytes(),
            pool_bytes: self.pool.total_bytes(),
            policy_generation: self.policies.generation(),
            unread: self.unread.leader(),
        }
    }
}

#[cfg(test)]
mod tests;
