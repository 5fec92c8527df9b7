//! What every packet must know of a flow, a bit each.

use core::cell::Cell;

use super::End;
use crate::{Side, Sides};

/// The bits of one flow. Shared: the parts of the flow's state that work on a segment together each
/// set their own.
#[derive(Debug)]
pub(crate) struct Traits(Cell<u8>);

/// One bit.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(crate) enum Trait {
    /// The client is the high end of the key. The lowest bit: see [`Traits::number_of`].
    ClientIsHigh = 1 << 0,
    /// The client's buffer has a capacity above 0.
    ClientHasBuffer = 1 << 1,
    /// The server's buffer has a capacity above 0: the bit behind the client's.
    ServerHasBuffer = 1 << 2,
    /// Both sides send timestamps.
    HasStamps = 1 << 3,
    /// The flow has an entry in the ledger.
    HasEntry = 1 << 4,
    /// Something of the flow is kept aside.
    HasAside = 1 << 5,
    /// A policy decided the options that the flow began with.
    OfPolicy = 1 << 6,
}

impl Trait {
    const fn has_buffer(side: Side) -> Self {
        match side {
            Side::Client => Self::ClientHasBuffer,
            Side::Server => Self::ServerHasBuffer,
        }
    }
}

impl Traits {
    /// A new flow with this client, and buffers of these capacities.
    pub(crate) fn new(client: End, buffer_bytes: Sides<u64>) -> Self {
        let this = Self(Cell::new(0));
        if client == End::High {
            this.set(Trait::ClientIsHigh);
        }
        for side in Side::BOTH {
            this.note_capacity(side, buffer_bytes[side]);
        }
        this
    }

    /// Whether a bit is set.
    #[inline]
    pub(crate) const fn has(&self, bit: Trait) -> bool {
        self.0.get() & bit as u8 != 0
    }

    /// Sets a bit. Returns whether it was set.
    pub(crate) fn set(&self, bit: Trait) -> bool {
        let bits = self.0.replace(self.0.get() | bit as u8);
        bits & bit as u8 != 0
    }

    /// Clears a bit.
    pub(crate) fn clear(&self, bit: Trait) {
        self.0.set(self.0.get() & !(bit as u8));
    }

    /// Which end of the key is the client.
    #[inline]
    pub(crate) const fn client(&self) -> End {
        if self.has(Trait::ClientIsHigh) { End::High } else { End::Low }
    }

    /// The number of the side at one end of the key: its place in [`BySide`](crate::side::BySide).
    #[inline]
    pub(crate) const fn number_of(&self, end: End) -> usize {
        ((self.0.get() ^ end as u8) & Trait::ClientIsHigh as u8) as usize
    }

    /// The side at one end of the key.
    #[inline]
    pub(crate) const fn side_of(&self, end: End) -> Side {
        if self.number_of(end) == 0 { Side::Client } else { Side::Server }
    }

    /// Whether a side's buffer has a capacity above 0.
    #[inline]
    pub(crate) const fn has_buffer(&self, side: Side) -> bool {
        self.has(Trait::has_buffer(side))
    }

    /// Whether the buffer for what one end of the key sends has a capacity above 0.
    #[inline]
    pub(crate) const fn has_buffer_for(&self, from: End) -> bool {
        let receiver = self.number_of(from) ^ 1;
        self.0.get() & ((Trait::ClientHasBuffer as u8) << receiver) != 0
    }

    /// Notes the capacity of a side's buffer.
    pub(crate) fn note_capacity(&self, side: Side, bytes: u64) {
        let bit = Trait::has_buffer(side);
        if bytes > 0 {
            self.set(bit);
        } else {
            self.clear(bit);
        }
    }
}
