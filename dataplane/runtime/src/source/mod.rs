//! Where frames come from.

pub mod capture;
pub mod memory;
pub mod recording;

use mos_stack::{Frame, FrameSet, Instant};

use self::capture::{CaptureProblem, CaptureSource};
#[cfg(feature = "dpdk")]
use crate::dpdk::{HandoffSource, PortSource};

/// The result of one call of [`PacketSource::receive`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// This many frames were received.
    Frames(usize),
    /// No frame is there now.
    Nothing,
    /// The source has ended: no frame will come again.
    End,
}

/// A source of frames, polled by exactly one worker.
pub trait PacketSource {
    /// Receives at most one burst ([`mos_stack::limits::BURST`] frames), hands it to `handle` in
    /// order of arrival, and releases it. After [`Received::End`] it always returns that.
    ///
    /// `handle` returns the frames of those it was given that are not monitored, by their index
    /// ([`Stack::handle_burst`](mos_stack::Stack::handle_burst)). The sources of today ignore that:
    /// they are taps and captures, which send nothing on.
    ///
    /// A live source stamps its frames with `now`; a capture has times of its own.
    fn receive(&mut self, now: Instant, handle: impl FnMut(&[Frame<'_>]) -> FrameSet) -> Received;

    /// The source's own time, where it has one: the latest of all frames of a capture. Never runs
    /// backwards.
    fn time(&self) -> Option<Instant> {
        None
    }

    /// The time that timers go by, where the source has its own. It is behind [`Self::time`] where
    /// the times of frames run backwards, and runs backwards itself where they do so by far.
    fn timer_time(&self) -> Option<Instant> {
        self.time()
    }
}

/// The sources of the running dataplane.
#[derive(Debug)]
pub(crate) enum Source {
    /// A share of a capture.
    Capture(CaptureSource),
    /// A receive queue of a port.
    #[cfg(feature = "dpdk")]
    Port(PortSource),
    /// Packets from the worker that received them.
    #[cfg(feature = "dpdk")]
    Handoff(HandoffSource),
}

impl Source {
    /// Why a capture was not read to its end, if so.
    pub(crate) const fn problem(&self) -> Option<&CaptureProblem> {
        match self {
            Self::Capture(capture) => capture.problem(),
            #[cfg(feature = "dpdk")]
            Self::Port(_) | Self::Handoff(_) => None,
        }
    }
}

impl PacketSource for Source {
    fn receive(&mut self, now: Instant, handle: impl FnMut(&[Frame<'_>]) -> FrameSet) -> Received {
        match self {
            Self::Capture(capture) => capture.receive(now, handle),
            #[cfg(feature = "dpdk")]
            Self::Port(port) => port.receive(now, handle),
            #[cfg(feature = "dpdk")]
            Self::Handoff(handoff) => handoff.receive(now, handle),
        }
    }

    fn time(&self) -> Option<Instant> {
        match self {
            Self::Capture(capture) => capture.time(),
            #[cfg(feature = "dpdk")]
            Self::Port(_) | Self::Handoff(_) => None,
        }
    }

    fn timer_time(&self) -> Option<Instant> {
        match self {
            Self::Capture(capture) => capture.timer_time(),
            #[cfg(feature = "dpdk")]
            Self::Port(_) | Self::Handoff(_) => None,
        }
    }
}
