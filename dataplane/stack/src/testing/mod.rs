//! Frames, conversations and worlds for the tests of this crate.

mod conversation;
pub(crate) mod endpoint;
mod frame;
mod input;
mod seeds;
mod world;

pub(crate) use conversation::{Conversation, Dice, Faults};
pub(crate) use frame::FrameBuilder;
pub(crate) use input::Input;
pub(crate) use seeds::{check_seeds, check_snapshot};
pub(crate) use world::{Ended, World};
