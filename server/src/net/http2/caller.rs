//! Who calls, on which connection.

use std::sync::Arc;

use crate::{
    auth::{Peer, Proof},
    budgets::Budget,
};

/// Who calls, on which connection.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) principal: Peer,
    /// How that is proven.
    pub(super) proof: Proof,
    /// Bytes of answers that wait on this connection.
    pub(super) connection_answers: Arc<Budget>,
}
