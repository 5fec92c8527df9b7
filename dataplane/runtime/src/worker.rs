//! The loop of one worker: time, commands, frames, timers, numbers; and again.
//!
//! Every turn is bounded: [`COMMAND_BURST`] commands, one scan among them, one burst of each
//! source, [`EXPIRY_BUDGET`] timers. Commands apply between bursts, never inside one. Nothing here
//! blocks, allocates, locks, logs or makes a system call, except that an idle worker may sleep
//! ([`Idle`]).

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use mos_control::{Answer, Command, Phase, Refusal, Request, WorkerPort};
use mos_stack::{EventSink, Instant, Stack};

use crate::{
    clock::Clock,
    command::apply,
    idle::Idle,
    source::{PacketSource, Received},
};

/// Commands applied in one turn, at most. No more follow a [`Command::Scan`].
pub const COMMAND_BURST: usize = 8;

/// Flows ended for their silence in one turn, at most.
pub const EXPIRY_BUDGET: u32 = 64;

/// What a worker does when all its sources have come to their end.
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
    /// What it feeds.
    pub stack: Stack,
    /// Where frames come from.
    pub sources: Vec<S>,
    /// The time, where no source has its own.
    pub clock: C,
    /// Who is told what happens to flows.
    pub sink: E,
    /// What it does when there is nothing to do.
    pub idle: Idle,
    /// What it does when nothing will ever come again.
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
    /// Runs until `stop` is set, or to the end of all sources where [`AtEnd::Finish`] says so.
    pub fn run(mut self, stop: &AtomicBool) -> Finished<S, E> {
        self.idle.prepare_thread();
        self.port.board().publish(self.stack.stats(), self.stack.gauges());
        self.port.board().set_phase(Phase::Running);
        while !stop.load(Relaxed) {
            let turn = self.turn();
            if turn.ended && self.at_end == AtEnd::Finish {
                self.stack.finish(&mut self.sink);
                break;
            }
            self.publish(&turn);
            self.idle.end_turn(turn.work);
        }
        self.close()
    }

    fn turn(&mut self) -> Turn {
        let now = self.time(self.clock.now());
        let commands = self.commands(now);
        let (packets, ended) = self.frames(now);
        let now = self.time(now);
        let expired = self.stack.handle_timeout(now, EXPIRY_BUDGET, &mut self.sink);
        Turn { now, packets, work: commands + packets + expired as usize, ended }
    }

    /// The time of the source that is furthest, and `floor` at least.
    fn time(&self, floor: Instant) -> Instant {
        self.sources.iter().filter_map(PacketSource::time).fold(floor, Instant::max)
    }

    /// Applies waiting commands and answers them; a scan, which takes about as long as a burst of
    /// frames, is the last of its turn. Returns how many there were.
    fn commands(&mut self, now: Instant) -> usize {
        for applied in 0..COMMAND_BURST {
            let Some(Request { id, command }) = self.port.take() else { return applied };
            let is_scan = matches!(command, Command::Scan { .. });
            let outcome = apply(command, now, &mut self.stack, &mut self.sink);
            self.port.answer(Answer { id, outcome });
            if is_scan {
                return applied + 1;
            }
        }
        COMMAND_BURST
    }

    /// Takes one burst from each source to the stack. Returns how many frames there were, and
    /// whether all sources have come to their end.
    fn frames(&mut self, now: Instant) -> (usize, bool) {
        let Self { sources, stack, sink, .. } = self;
        let (mut packets, mut all_ended) = (0, true);
        for source in sources {
            match source.receive(now, |frames| stack.handle_burst(frames, sink)) {
                Received::Frames(count) => (packets, all_ended) = (packets + count, false),
                Received::Nothing => all_ended = false,
                Received::End => {}
            }
        }
        (packets, all_ended)
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

    /// Publishes the last numbers and refuses the commands that came too late.
    fn close(mut self) -> Finished<S, E> {
        self.port.board().publish(self.stack.stats(), self.stack.gauges());
        self.port.board().set_phase(Phase::Stopped);
        while let Some(Request { id, .. }) = self.port.take() {
            let outcome = Err(Refusal::WorkerStopping(self.port.worker()));
            self.port.answer(Answer { id, outcome });
        }
        Finished { stack: self.stack, sources: self.sources, sink: self.sink }
    }
}
