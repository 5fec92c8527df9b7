//! The two endpoints of a flow, and the roles they have for one segment.
//!
//! Rules about the two sides are written once, in terms of `sender` and `receiver`.

use core::{
    hint::select_unpredictable,
    ops::{Index, IndexMut},
};

/// One endpoint of a flow. mOS: `MOS_SIDE_CLI`, `MOS_SIDE_SVR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The sender of the first SYN.
    Client,
    /// The other endpoint.
    Server,
}

impl Side {
    /// Both sides, client first.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// The other endpoint.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// One value for each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Sides<T> {
    /// The client's value.
    pub client: T,
    /// The server's value.
    pub server: T,
}

/// The two sides as one segment sees them.
#[derive(Debug)]
pub struct Roles<'a, T> {
    /// The endpoint that sent the segment.
    pub sender: &'a mut T,
    /// The endpoint that the segment is addressed to.
    pub receiver: &'a mut T,
}

impl<T> Sides<T> {
    /// The same value for both sides.
    pub fn both(value: T) -> Self
    where
        T: Clone,
    {
        Self { client: value.clone(), server: value }
    }

    /// The sides in their roles for a segment sent by `from`.
    pub const fn roles(&mut self, from: Side) -> Roles<'_, T> {
        match from {
            Side::Client => Roles { sender: &mut self.client, receiver: &mut self.server },
            Side::Server => Roles { sender: &mut self.server, receiver: &mut self.client },
        }
    }

    /// A reference to each side's value.
    pub const fn each_ref(&self) -> Sides<&T> {
        Sides { client: &self.client, server: &self.server }
    }

    /// Applies `f` to each side's value.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Sides<U> {
        Sides { client: f(self.client), server: f(self.server) }
    }
}

/// One small value for each side, client first. Its place is computed from the side's number, where
/// [`Sides`] chooses one of two places: cheaper for several that are used together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BySide<T>(pub(crate) [T; 2]);

impl<T> Index<Side> for BySide<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, side: Side) -> &T {
        &self.0[side as usize]
    }
}

impl<T> IndexMut<Side> for BySide<T> {
    #[inline(always)]
    fn index_mut(&mut self, side: Side) -> &mut T {
        &mut self.0[side as usize]
    }
}

impl<T> Index<Side> for Sides<T> {
    type Output = T;

    // Which side a packet concerns is not predictable: no branch here, nor below.
    #[inline(always)]
    fn index(&self, side: Side) -> &T {
        select_unpredictable(side == Side::Client, &self.client, &self.server)
    }
}

impl<T> IndexMut<Side> for Sides<T> {
    #[inline(always)]
    fn index_mut(&mut self, side: Side) -> &mut T {
        select_unpredictable(side == Side::Client, &mut self.client, &mut self.server)
    }
}
