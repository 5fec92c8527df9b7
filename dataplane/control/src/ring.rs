//! Typed ends of the rings between the control plane and one worker.

use std::sync::Arc;

use mos_stack::WorkerId;

use crate::{Answer, Board, Command, Request};

/// Commands, and answers, that one worker's rings hold.
pub const COMMAND_RING: usize = 256;

/// Scans, and changes of many flows, that their ring holds.
pub const SCAN_RING: usize = 64;

/// The control plane's end.
#[derive(Debug)]
pub struct CommandPort {
    worker: WorkerId,
    board: Arc<Board>,
    requests: rtrb::Producer<Request>,
    scans: rtrb::Producer<Request>,
    answers: rtrb::Consumer<Answer>,
}

/// The worker's end.
#[derive(Debug)]
pub struct WorkerPort {
    worker: WorkerId,
    board: Arc<Board>,
    requests: rtrb::Consumer<Request>,
    scans: rtrb::Consumer<Request>,
    answers: rtrb::Producer<Answer>,
}

/// Makes the two ends for one worker.
#[must_use]
pub fn link(worker: WorkerId) -> (CommandPort, WorkerPort) {
    let board = Arc::new(Board::default());
    let (request_in, request_out) = rtrb::RingBuffer::new(COMMAND_RING);
    let (scan_in, scan_out) = rtrb::RingBuffer::new(SCAN_RING);
    let (answer_in, answer_out) = rtrb::RingBuffer::new(COMMAND_RING);
    (
        CommandPort {
            worker,
            board: Arc::clone(&board),
            requests: request_in,
            scans: scan_in,
            answers: answer_out,
        },
        WorkerPort { worker, board, requests: request_out, scans: scan_out, answers: answer_in },
    )
}

impl CommandPort {
    /// The worker at the other end.
    #[must_use]
    pub const fn worker(&self) -> WorkerId {
        self.worker
    }

    /// What the worker publishes of itself.
    #[must_use]
    pub const fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Sends a request. What concerns many flows at once has a ring of its own, that of scans, so
    /// that it delays no other command where the worker has no time for it.
    ///
    /// # Errors
    ///
    /// Gives the request back when the ring is full.
    pub fn try_submit(&mut self, request: Request) -> Result<(), Request> {
        if matches!(request.command, Command::Scan { .. } | Command::SetSockOpts { .. }) {
            return self.try_submit_as_scan(request);
        }
        self.requests.push(request).map_err(|rtrb::PushError::Full(request)| request)
    }

    /// As [`Self::try_submit`], but on the ring of scans whatever the command is: a walk asks for
    /// the clock there, so that no number of walks takes the place of a command.
    ///
    /// # Errors
    ///
    /// Gives the request back when the ring is full.
    pub fn try_submit_as_scan(&mut self, request: Request) -> Result<(), Request> {
        self.scans.push(request).map_err(|rtrb::PushError::Full(request)| request)
    }

    /// The next answer, if there is one.
    pub fn try_receive(&mut self) -> Option<Answer> {
        self.answers.pop().ok()
    }

    /// Whether the worker has dropped its end: it will answer nothing more.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.requests.is_abandoned()
    }

    /// Requests that the worker has not taken yet.
    #[must_use]
    pub fn depth(&self) -> usize {
        COMMAND_RING - self.requests.slots() + SCAN_RING - self.scans.slots()
    }
}

impl WorkerPort {
    /// The worker at this end.
    #[must_use]
    pub const fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Where the worker publishes its numbers.
    #[must_use]
    pub const fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// The next request of the ring of commands; `None` when there is none, or no room for its
    /// answer. So a request that was taken can always be answered.
    pub fn take(&mut self) -> Option<Request> {
        Self::take_from(&mut self.requests, &self.answers)
    }

    /// The next request on the ring of scans, as [`Self::take`] gives all others.
    pub fn take_scan(&mut self) -> Option<Request> {
        Self::take_from(&mut self.scans, &self.answers)
    }

    fn take_from(
        ring: &mut rtrb::Consumer<Request>,
        answers: &rtrb::Producer<Answer>,
    ) -> Option<Request> {
        if ring.is_empty() || answers.is_full() {
            return None;
        }
        ring.pop().ok()
    }

    /// Answers a request that was taken.
    ///
    /// # Panics
    ///
    /// When called more often than a request was taken.
    #[expect(clippy::expect_used, reason = "`take` checked that there is room")]
    pub fn answer(&mut self, answer: Answer) {
        self.answers.push(answer).map_err(|_full| ()).expect("room for the answer");
    }
}
