//! The loop of one worker: time, commands, frames, timers, numbers; and again.
//!
//! Every turn is bounded: [`COMMAND_BURST`] commands, a scan where the pace allows one
//! ([`SCAN_EVERY`](crate::pace::SCAN_EVERY)), one burst of each source, [`EXPIRY_BUDGET`] timers.
//! Commands apply between bursts, never inside one. Nothing here blocks, allocates, locks, logs or
//! makes a system call, except that an idle worker may sleep ([`Idle`]).

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use mos_control::{Answer, Phase, Refusal, Request, WorkerPort};
use mos_stack::{EventSink, Instant, Stack};

use crate::{
    clock::Clock,
    command::apply,
    idle::Idle,
    pace::ScanPace,
    source::{PacketSource, Received},
};

/// Commands applied in one turn, at most, scans apart.
pub const COMMAND_BURST: usize = 8;

/// Flows ended by a timeout in one turn, at most.
pub const EXPIRY_BUDGET: u32 = 64;

/// What a worker does when all its sources have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// Keeps its flows and answers commands until it is stopped.
    Serve,
    /// Reports the flows that are still open to the sink, and ends.
    Finish,
}

/// A worker, ready to run: the one owner of its stack.
#[derive(Debug)]
pub struct Worker<S, C, E> {
    /// Where commands come from, and where it publishes its numbers.
    pub port: WorkerPort,
    /// The stack that handles its frames.
    pub stack: Stack,
    /// Where frames come from.
    pub sources: Vec<S>,
    /// Gives the time where no source has its own.
    pub clock: C,
    /// Where events and the ends of flows go.
    pub sink: E,
    /// What it does when there is nothing to do.
    pub idle: Idle,
    /// What it does when all sources have ended.
    pub at_end: AtEnd,
}

/// What is left of a worker that has ended.
#[derive(Debug)]
pub struct Finished<S, E> {
    /// Its stack, with the last state of its flows and counters.
    pub stack: Stack,
    /// Its sources.
    pub sources: Vec<S>,
    /// Its sink.
    pub sink: E,
}

/// What a turn took from the sources.
#[derive(Debug)]
struct Taken {
    packets: usize,
    /// Packets of the largest burst.
    largest: usize,
    /// All sources have come to their end.
    ended: bool,
}

/// One turn of the loop.
#[derive(Debug)]
struct Turn {
    now: Instant,
    packets: usize,
    /// Commands applied, packets received, flows expired.
    work: usize,
    /// All sources have come to their end.
    ended: bool,
}

impl<S: PacketSource, C: Clock, E: EventSink> Worker<S, C, E> {
    /// Runs until `stop` is set, or with [`AtEnd::Finish`] to the end of all sources.
    pub fn run(mut self, stop: &AtomicBool) -> Finished<S, E> {
        self.idle.prepare_thread();
        self.port.board().publish(self.stack.stats(), self.stack.gauges());
        self.port.board().set_phase(Phase::Running);
        let mut pace = ScanPace::new();
        while !stop.load(Relaxed) {
            let turn = self.turn(&mut pace);
            if turn.ended && self.at_end == AtEnd::Finish {
                self.stack.finish(&mut self.sink);
                break;
            }
            self.publish(&turn);
            self.idle.end_turn(turn.work);
        }
        self.close()
    }

    fn turn(&mut self, pace: &mut ScanPace) -> Turn {
        let now = self.time(self.clock.now());
        let commands = self.commands(now) + self.scan(now, pace);
        let Taken { packets, largest, ended } = self.frames(now);
        pace.on_burst(largest);
        let now = self.time(now);
        let timers = self.sources.iter().filter_map(PacketSource::timer_time).min();
        let timers = timers.unwrap_or(now);
        let expired = self.stack.handle_timeout(timers, EXPIRY_BUDGET, &mut self.sink);
        Turn { now, packets, work: commands + packets + expired as usize, ended }
    }

    /// The latest time of any source; at least `floor`.
    fn time(&self, floor: Instant) -> Instant {
        self.sources.iter().filter_map(PacketSource::time).fold(floor, Instant::max)
    }

    /// Applies waiting commands and answers them. Returns how many there were.
    fn commands(&mut self, now: Instant) -> usize {
        for applied in 0..COMMAND_BURST {
            let Some(request) = self.port.take() else { return applied };
            self.apply(request, now);
        }
        COMMAND_BURST
    }

    /// Applies the next scan, if the pace allows one. Returns how many there were.
    fn scan(&mut self, now: Instant, pace: &mut ScanPace) -> usize {
        let Some(request) = pace.allows().then(|| self.port.take_scan()).flatten() else {
            return 0;
        };
        self.apply(request, now);
        pace.on_scan();
        1
    }

    fn apply(&mut self, Request { id, command }: Request, now: Instant) {
        let outcome = apply(command, now, &mut self.stack, &mut self.sink);
        self.port.answer(Answer { id, outcome });
    }

    /// Takes one burst from each source to the stack.
    fn frames(&mut self, now: Instant) -> Taken {
        let Self { sources, stack, sink, .. } = self;
        let mut taken = Taken { packets: 0, largest: 0, ended: true };
        for source in sources {
            match source.receive(now, |frames| stack.handle_burst(frames, sink)) {
                Received::Frames(count) => {
                    taken.packets += count;
                    taken.largest = taken.largest.max(count);
                    taken.ended = false;
                }
                Received::Nothing => taken.ended = false,
                Received::End => {}
            }
        }
        taken
    }

    /// Publishes the turn. Counters and levels change only in turns that found work.
    fn publish(&self, turn: &Turn) {
        let board = self.port.board();
        board.turn(turn.now, turn.packets);
        if turn.work > 0 {
            board.publish(self.stack.stats(), self.stack.gauges());
        }
        if turn.ended {
            board.set_phase(Phase::Drained);
        }
    }

    /// Publishes the last numbers and refuses the commands that are still waiting.
    fn close(mut self) -> Finished<S, E> {
        self.port.board().publish(self.stack.stats(), self.stack.gauges());
        self.port.board().set_phase(Phase::Stopped);
        while let Some(Request { id, .. }) = self.port.take().or_else(|| self.port.take_scan()) {
            let outcome = Err(Refusal::WorkerStopping(self.port.worker()));
            self.port.answer(Answer { id, outcome });
        }
        Finished { stack: self.stack, sources: self.sources, sink: self.sink }
    }
}
