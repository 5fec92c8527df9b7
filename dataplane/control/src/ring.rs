//! Typed ends of the rings between the control plane and one worker.

use std::sync::Arc;

use mos_stack::WorkerId;

use crate::{Answer, Board, Request};

/// Commands, and answers, that one worker's rings hold.
pub const COMMAND_RING: usize = 256;

/// The control plane's end.
#[derive(Debug)]
pub struct CommandPort {
    worker: WorkerId,
    board: Arc<Board>,
    requests: rtrb::Producer<Request>,
    answers: rtrb::Consumer<Answer>,
}

/// The worker's end.
#[derive(Debug)]
pub struct WorkerPort {
    worker: WorkerId,
    board: Arc<Board>,
    requests: rtrb::Consumer<Request>,
    answers: rtrb::Producer<Answer>,
}

/// Makes the two ends for one worker.
#[must_use]
pub fn link(worker: WorkerId) -> (CommandPort, WorkerPort) {
    let board = Arc::new(Board::default());
    let (request_in, request_out) = rtrb::RingBuffer::new(COMMAND_RING);
    let (answer_in, answer_out) = rtrb::RingBuffer::new(COMMAND_RING);
    (
        CommandPort {
            worker,
            board: Arc::clone(&board),
            requests: request_in,
            answers: answer_out,
        },
        WorkerPort { worker, board, requests: request_out, answers: answer_in },
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

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// Gives the request back when the ring is full.
    pub fn try_submit(&mut self, request: Request) -> Result<(), Request> {
        self.requests.push(request).map_err(|rtrb::PushError::Full(request)| request)
    }

    /// The next answer, if there is one.
    pub fn try_receive(&mut self) -> Option<Answer> {
        self.answers.pop().ok()
    }

    /// Whether the worker has let go of its end: nothing will be answered any more.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.requests.is_abandoned()
    }

    /// Requests that the worker has not taken yet.
    #[must_use]
    pub fn depth(&self) -> usize {
        COMMAND_RING - self.requests.slots()
    }
}

impl WorkerPort {
    /// The worker at this end.
    #[must_use]
    pub const fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Where the worker publishes what the control plane may know of it.
    #[must_use]
    pub const fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// The next request, if there is one and there is room for its answer: a request that is
    /// taken can always be answered.
    pub fn take(&mut self) -> Option<Request> {
        if self.requests.is_empty() || self.answers.is_full() {
            return None;
        }
        self.requests.pop().ok()
    }

    /// Answers a request taken from [`Self::take`].
    ///
    /// # Panics
    ///
    /// When called more often than [`Self::take`] gave a request.
    #[expect(clippy::expect_used, reason = "take() has made sure of the room")]
    pub fn answer(&mut self, answer: Answer) {
        self.answers.push(answer).map_err(|_full| ()).expect("room for the answer");
    }
}
