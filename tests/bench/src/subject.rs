//! What is measured: subjects that take bursts of frames.

use mos_stack::{EventSink, Frame, Gauges, Instant, Stack, Stats, wire::spread_hash};

use crate::{ceiling::Ceiling, reader::Reader};

/// Flows that may time out after each burst, as in the loop of a worker.
const EXPIRY_BUDGET: u32 = 64;

/// A subject of a measurement.
pub trait Subject: Send {
    /// Handles a burst that has arrived by `now`.
    fn take(&mut self, frames: &[Frame<'_>], now: Instant);

    /// Forgets all flows.
    fn restart(&mut self) {}

    /// Its counters; `None` if it has none.
    fn numbers(&self) -> Option<Numbers> {
        None
    }
}

/// The counters of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// Its counters.
    pub stats: Stats,
    /// Its levels.
    pub gauges: Gauges,
    /// Stream bytes that were read.
    pub read_bytes: u64,
}

/// Parses the headers as the stack does if one worker spreads packets over others.
#[derive(Debug, Default)]
pub struct Parser {
    /// Sum of the hashes, so that the work is not optimised away.
    pub seen: u64,
}

/// The stack with its timers, as a worker runs it, without readers.
#[derive(Debug)]
pub struct Tracker(pub Stack);

/// The same, with a reader of all streams.
#[derive(Debug)]
pub struct ReadingTracker {
    /// The stack.
    pub stack: Stack,
    /// The reader of all streams.
    pub reader: Reader,
}

impl Subject for Ceiling {
    fn take(&mut self, frames: &[Frame<'_>], _now: Instant) {
        self.handle_burst(frames);
    }

    fn restart(&mut self) {
        self.clear();
    }
}

impl Subject for Parser {
    fn take(&mut self, frames: &[Frame<'_>], _now: Instant) {
        self.seen += frames.iter().map(|frame| u64::from(spread_hash(frame))).sum::<u64>();
    }
}

impl Subject for Tracker {
    fn take(&mut self, frames: &[Frame<'_>], now: Instant) {
        run(&mut self.0, frames, now, &mut ());
    }

    fn restart(&mut self) {
        self.0.finish(&mut ());
    }

    fn numbers(&self) -> Option<Numbers> {
        let (stats, gauges) = (self.0.stats().clone(), self.0.gauges());
        Some(Numbers { stats, gauges, read_bytes: 0 })
    }
}

impl Subject for ReadingTracker {
    fn take(&mut self, frames: &[Frame<'_>], now: Instant) {
        run(&mut self.stack, frames, now, &mut self.reader);
    }

    fn restart(&mut self) {
        self.stack.finish(&mut self.reader);
    }

    fn numbers(&self) -> Option<Numbers> {
        let (stats, gauges) = (self.stack.stats().clone(), self.stack.gauges());
        Some(Numbers { stats, gauges, read_bytes: self.reader.read_bytes })
    }
}

fn run(stack: &mut Stack, frames: &[Frame<'_>], now: Instant, sink: &mut impl EventSink) {
    stack.handle_burst(frames, sink);
    stack.handle_timeout(now, EXPIRY_BUDGET, sink);
}
