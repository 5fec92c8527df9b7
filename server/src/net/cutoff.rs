//! Why the transport ends a call, or does not begin it: each is a bound of `words::bounds`.

use crate::words::bounds::{ANSWER_TAKEN_MAX, CALL_MAX};

/// Why the transport ends a call, or does not begin it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cutoff {
    /// Too many calls are under way.
    #[error("{max} calls are under way already: more are not allowed")]
    TooManyCalls {
        /// Calls that may be under way at once.
        max: usize,
    },
    /// The request was not complete in time, or not answered.
    #[error("the request was not complete and answered within {} seconds", CALL_MAX.as_secs())]
    Unfinished,
    /// The client has not read the answers that it asked for before.
    #[error("{max} bytes of answers may wait to be read, and this one would be more")]
    UnreadAnswers {
        /// Bytes of answers that may wait.
        max: usize,
    },
    /// The client did not take its answer in time.
    #[error("the client took less than it was sent within {} seconds", ANSWER_TAKEN_MAX.as_secs())]
    SlowConsumer,
}
