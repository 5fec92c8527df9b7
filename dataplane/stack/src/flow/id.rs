//! The handle of a flow: it names its worker and its slot, and never answers for a later flow.
//!
//! ```text
//!  63   62..54       53..30            29..0
//!   0 | worker (9) | slot (24)    | generation (30)
//! ```
//!
//! The generation grows by one whenever the slot is given to another flow. Free slots are reused
//! first in, first out, and not within [`crate::limits::SLOT_REST`] of their release while other
//! slots are free, so that 2^30 generations last for decades, and for two weeks under a flood that
//! reuses a slot every millisecond. Bit 63 is 0: the value also fits a signed 64-bit integer. The
//! layout is not part of the API.

use core::fmt;

use crate::limits::FLOWS_CEILING;

/// Index of a worker, 0 to [`WorkerId::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WorkerId(u16);

impl WorkerId {
    /// The largest index.
    pub const MAX: u16 = (1 << 9) - 1;

    /// The worker with this index, `None` above [`Self::MAX`].
    #[must_use]
    pub const fn new(index: u16) -> Option<Self> {
        if index <= Self::MAX { Some(Self(index)) } else { None }
    }

    /// The index.
    #[must_use]
    pub const fn index(self) -> u16 {
        self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The handle of one flow. `Display` prints 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(u64);

impl FlowId {
    /// Bits of the generation.
    pub const GENERATION_BITS: u32 = 30;
    /// Bits of the slot.
    pub const SLOT_BITS: u32 = FLOWS_CEILING.ilog2();

    /// The handle with these parts; bits of `slot` and `generation` beyond their fields are lost.
    #[must_use]
    pub const fn from_parts(worker: WorkerId, slot: u32, generation: u32) -> Self {
        let slot = slot & ((1 << Self::SLOT_BITS) - 1);
        let generation = generation & ((1 << Self::GENERATION_BITS) - 1);
        Self(
            ((worker.0 as u64) << (Self::SLOT_BITS + Self::GENERATION_BITS))
                | ((slot as u64) << Self::GENERATION_BITS)
                | generation as u64,
        )
    }

    /// The handle with this value, `None` where bit 63 is set.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits >> 63 == 0 { Some(Self(bits)) } else { None }
    }

    /// The value as an integer.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The worker that owns the flow.
    #[must_use]
    pub const fn worker(self) -> WorkerId {
        WorkerId(
            ((self.0 >> (Self::SLOT_BITS + Self::GENERATION_BITS)) & WorkerId::MAX as u64) as u16,
        )
    }

    /// The slot in that worker's table.
    #[must_use]
    pub const fn slot(self) -> u32 {
        ((self.0 >> Self::GENERATION_BITS) & ((1 << Self::SLOT_BITS) - 1)) as u32
    }

    /// The generation of the slot.
    #[must_use]
    pub const fn generation(self) -> u32 {
        (self.0 & ((1 << Self::GENERATION_BITS) - 1)) as u32
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlowId({self})")
    }
}
