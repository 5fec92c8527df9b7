//! What a connection proves of its other end.

use std::{net::IpAddr, path::Path, sync::Arc};

use super::Principal;

/// What a connection proves of its other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The kernel's word for the process at the other end of a Unix socket, when it connected.
    Socket {
        /// Its user.
        uid: u32,
        /// Its primary group. The kernel does not tell the others here, but has looked at them
        /// before it let the process open the socket.
        gid: u32,
        /// The socket.
        path: Arc<Path>,
    },
    /// The address that a connection in plain text comes from. Hosts on the way can forge it.
    Address(IpAddr),
}

impl Proof {
    /// Who that is: what budgets and the log go by.
    pub(crate) const fn principal(&self) -> Principal {
        match self {
            Self::Socket { uid, .. } => Principal::Uid(*uid),
            Self::Address(address) => Principal::Host(*address),
        }
    }
}
