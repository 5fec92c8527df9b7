//! What is measured: something that takes bursts of frames.

use mos_stack::{EventSink, Frame, Gauges, Instant, Stack, Stats, wire::spread_hash};

use crate::{ceiling::Ceiling, reader::Reader};

/// Flows that may be ended for their silence after each burst: as in the loop of a worker.
const EXPIRY_BUDGET: u32 = 64;

/// Something that takes bursts of frames.
pub trait Subject: Send {
    /// Takes a burst that has arrived by `now`.
    fn take(&mut self, frames: &[Frame<'_>], now: Instant);

    /// Forgets all flows.
    fn restart(&mut self) {}

    /// What it has counted; nothing where it does not count.
    fn numbers(&self) -> Option<Numbers> {
        None
    }
}

/// What a stack has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// Its counters.
    pub stats: Stats,
    /// Its levels.
    pub gauges: Gauges,
    /// Stream bytes that were read.
    pub read_bytes: u64,
}

/// The headers, as the stack parses them where one worker spreads packets over others.
#[derive(Debug, Default)]
pub struct Parser {
    /// Sum of what was seen, so that nothing is optimised away.
    pub seen: u64,
}

/// The stack, with its timers, as a worker runs it; nobody reads.
#[derive(Debug)]
pub struct Tracker(pub Stack);

/// The same, and all streams are read.
#[derive(Debug)]
pub struct ReadingTracker {
    /// The stack.
    pub stack: Stack,
    /// Who reads.
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
