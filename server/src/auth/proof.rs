//! What a connection proves of its other end.

use std::{
    net::IpAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use super::{Certificate, Principal, name::Name};

/// What a connection proves of its other end.
#[derive(Debug, Clone)]
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
    /// A connection over TLS.
    Tls {
        /// The address that it comes from.
        address: IpAddr,
        /// The certificate of the other end, where it has shown one.
        certificate: Option<Arc<Certificate>>,
        /// Whether a call was let in on it.
        is_known: Arc<AtomicBool>,
    },
}

impl Proof {
    /// Who that is: what budgets and the log go by.
    pub(crate) fn principal(&self) -> Principal {
        match self {
            Self::Socket { uid, .. } => Principal::Uid(*uid),
            Self::Address(address) => Principal::Host(*address),
            Self::Tls { address, .. } => {
                self.name().map_or(Principal::Host(*address), |name| Principal::Named(name.clone()))
            }
        }
    }

    /// Whether this is asked for the first time of a connection over TLS.
    pub(crate) fn is_new(&self) -> bool {
        match self {
            Self::Socket { .. } | Self::Address(_) => false,
            Self::Tls { is_known, .. } => !is_known.swap(true, Relaxed),
        }
    }

    /// The name that a certificate gives.
    pub(super) fn name(&self) -> Option<&Name> {
        self.certificate().and_then(|certificate| certificate.name().ok())
    }

    /// The certificate shown.
    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Socket { .. } | Self::Address(_) => None,
            Self::Tls { certificate, .. } => certificate.as_deref(),
        }
    }
}
