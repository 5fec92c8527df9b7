//! Where frames come from.

pub mod capture;
pub mod memory;

use mos_stack::{Frame, Instant};

/// What one call of [`PacketSource::receive`] brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// That many frames were received.
    Frames(usize),
    /// Nothing is there now.
    Nothing,
    /// Nothing will ever come again.
    End,
}

/// A source of frames, polled by exactly one worker.
pub trait PacketSource {
    /// Receives at most one burst ([`mos_stack::limits::BURST`] frames), hands it to `handle` in
    /// order of arrival, and releases it. Once it has said [`Received::End`] it always will.
    ///
    /// A live source stamps its frames with `now`; a capture has times of its own.
    fn receive(&mut self, now: Instant, handle: impl FnMut(&[Frame<'_>])) -> Received;

    /// The source's own time, where it has one: the time of the last frame of a capture. Never
    /// runs backwards.
    fn time(&self) -> Option<Instant> {
        None
    }
}
