//! Frames and worlds for the tests of this crate.

mod frame;
mod world;

pub(crate) use frame::FrameBuilder;
pub(crate) use world::World;
