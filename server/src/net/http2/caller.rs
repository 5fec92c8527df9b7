//! Who calls, on which connection.

use std::sync::Arc;

use crate::{auth::Peer, budgets::Budget};

/// Who calls, on which connection.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) principal: Peer,
    /// Bytes of answers that wait on this connection.
    pub(super) connection_answers: Arc<Budget>,
}
