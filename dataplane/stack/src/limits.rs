//! Every bound of the stack, with its unit and reason.

use core::time::Duration;

use crate::{
    Side, SockOptChange, SockOptError, SockOptNames, SockOpts, Tunnels, socket::MonitorSocket,
};

/// Most frames handled at once: one receive burst.
pub const BURST: usize = 32;

/// Size of one block of the buffer pool, in bytes. A full-sized segment fits into one block.
pub const BLOCK_BYTES: usize = 2048;

/// Default capacity of a side's receive buffer, in bytes: the default of mOS.
pub const BUFFER_BYTES_DEFAULT: u64 = 8192;

/// Largest capacity that [`Limits::buffer_bytes_max`] may allow, in bytes: positions in a buffer
/// must stay apart in the 2^18 blocks that its index can address.
pub const BUFFER_BYTES_CEILING: u64 = 256 * 1024 * 1024;

/// Most IP packets that are reassembled from fragments at once. Their bytes come from the pool: at
/// most 16 MiB of it, and 8 MiB for [`RANGES_MAX`] ranges of each.
pub const ASSEMBLIES_MAX: usize = 256;

/// Most segments, and stretches of segments, that one stack keeps aside.
pub const ASIDES_MAX: usize = 1024;

/// Most bytes of one stretch of payload that is kept aside. They come from the pool.
pub const ASIDE_BYTES_MAX: u64 = 64 * 1024;

/// Most separate runs of bytes that one side's buffer holds: those that fit into 16 blocks. To
/// insert one moves 32 KiB at most.
pub const RANGES_MAX: usize = 4088;

/// Most slots of a worker's flow table: what a [`FlowId`](crate::FlowId) can name.
pub const FLOWS_CEILING: u32 = 1 << 24;

/// Largest pool, in bytes: an index names 2^32 - 2 blocks at most.
pub const POOL_BYTES_CEILING: u64 = (u32::MAX as u64 - 1) * BLOCK_BYTES as u64;

/// Least time between the end of a flow and the reuse of its slot, while there are other slots
/// (see [`FlowId`](crate::FlowId)).
pub const SLOT_REST: Duration = Duration::from_secs(1);

/// Bounds and defaults of one stack, fixed when it is made.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the configuration")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Flows tracked at once. Range 1 to [`FLOWS_CEILING`].
    pub flows_max: u32,
    /// Flows at once whose handshake is not complete, at least 1. One more evicts the oldest of
    /// them, [`EndCause::Evicted`](crate::EndCause::Evicted): a flood of SYNs costs no more than
    /// this, and no established flow.
    pub half_open_max: u32,
    /// Size of the block pool that all receive buffers share, in bytes; rounded down to blocks.
    pub pool_bytes: u64,
    /// Allocate all memory of the table and the pool when the stack is made. Otherwise a page is
    /// allocated when it is first used, and the kernel takes hundreds of microseconds to clear each
    /// huge page. Default `false`.
    pub populate: bool,
    /// Largest capacity of one side's receive buffer, in bytes. At most [`BUFFER_BYTES_CEILING`].
    pub buffer_bytes_max: u64,
    /// The options that a flow starts with.
    pub defaults: SockOpts,
    /// Options that cannot be changed while a flow lives.
    pub locked: SockOptNames,
    /// How long a flow lives without packets.
    pub timeouts: Timeouts,
    /// Whether the checksums of IPv4 and TCP are verified where the port has not done it; packets
    /// with a wrong one are counted and otherwise ignored. Default `true`; `false` suits captures
    /// made on a machine whose hardware computes them.
    pub verify_checksums: bool,
    /// Whether a packet without SYN opens a flow when it belongs to none; it counts as
    /// established, or, after a RST, as ended. Default `false`: such packets are orphans.
    pub adopt_midstream: bool,
    /// Whether the VLAN id is part of a flow's key. Mirror ports often tag the two directions
    /// differently, so it is not by default.
    pub vlan_in_key: bool,
    /// Which tunnels are opened. Frames are spread over workers as if the usual ones were.
    pub tunnels: Tunnels,
}

/// Idle spans after which a flow ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Before the handshake is complete. Default 10 s.
    pub half_open: Duration,
    /// While established. Default 300 s.
    pub idle: Duration,
    /// After the first FIN. Default 10 s.
    pub closing: Duration,
    /// For the fragments of an IP packet, from the first one on. Default 30 s.
    pub fragments: Duration,
    /// After both FINs were acknowledged, or a RST. Default 1 s.
    pub time_wait: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            half_open: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            closing: Duration::from_secs(10),
            fragments: Duration::from_secs(30),
            time_wait: Duration::from_secs(1),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows_max: 65_536,
            half_open_max: 16_384,
            pool_bytes: 256 * 1024 * 1024,
            populate: false,
            buffer_bytes_max: 16 * 1024 * 1024,
            defaults: SockOpts::default(),
            locked: SockOptNames::default(),
            timeouts: Timeouts::default(),
            verify_checksums: true,
            adopt_midstream: false,
            vlan_in_key: false,
            tunnels: Tunnels::default(),
        }
    }
}

impl Limits {
    /// The options of a flow that begins with this change of the defaults. Locked options may be
    /// among them: the flow does not live yet.
    ///
    /// # Errors
    ///
    /// A capacity that is out of range.
    pub fn start_with(&self, change: &SockOptChange) -> Result<SockOpts, SockOptError> {
        let unlocked = Self { locked: SockOptNames::default(), ..*self };
        MonitorSocket::plan(self.defaults, change, &unlocked)
    }

    /// Checks the bounds, without the memory that they need.
    ///
    /// # Errors
    ///
    /// A bound that is out of range.
    pub fn check(&self) -> Result<(), LimitsError> {
        if !(1..=FLOWS_CEILING).contains(&self.flows_max) {
            return Err(LimitsError::Flows(self.flows_max));
        }
        if self.half_open_max == 0 {
            return Err(LimitsError::HalfOpen);
        }
        if self.buffer_bytes_max > BUFFER_BYTES_CEILING {
            return Err(LimitsError::Buffer(self.buffer_bytes_max));
        }
        let max = self.buffer_bytes_max;
        for default in [Side::Client, Side::Server].map(|side| self.defaults.buffer_bytes[side]) {
            if default > max {
                return Err(LimitsError::DefaultBuffer { default, max });
            }
        }
        if self.pool_bytes > POOL_BYTES_CEILING {
            return Err(LimitsError::Pool(self.pool_bytes));
        }
        Ok(())
    }
}

/// Why a stack cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// `flows_max` is out of range.
    #[error("flows_max {0} is not in 1..={FLOWS_CEILING}")]
    Flows(u32),
    /// `half_open_max` is 0.
    #[error("half_open_max must be at least 1")]
    HalfOpen,
    /// `buffer_bytes_max` is out of range.
    #[error("buffer_bytes_max {0} is above {BUFFER_BYTES_CEILING}")]
    Buffer(u64),
    /// A default buffer is larger than `buffer_bytes_max`.
    #[error("default buffer of {default} bytes is above buffer_bytes_max {max}")]
    DefaultBuffer {
        /// The default.
        default: u64,
        /// The maximum.
        max: u64,
    },
    /// The pool has more blocks than an index can name.
    #[error("pool_bytes {0} is above {POOL_BYTES_CEILING}")]
    Pool(u64),
    /// The memory could not be reserved.
    #[error("cannot reserve {0} bytes")]
    Memory(u64),
    /// The memory was reserved, but the kernel did not give it.
    #[error("the kernel does not give {0} bytes of memory now")]
    Populate(u64),
}
