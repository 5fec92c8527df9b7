//! What a connection proves of its other end.

use std::{
    net::IpAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use mos_text::{Digest, Token};

use super::{Certificate, Principal, Unproven, name::Name};

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
    /// A token that came with a call.
    Token {
        /// Its public part.
        id: Arc<str>,
        /// What grants name it by.
        digest: Digest,
        /// What the connection proves.
        on: Arc<Self>,
    },
}

/// The token that came with a call, as its headers have it.
#[derive(Debug)]
pub(crate) enum Shown {
    /// None.
    Nothing,
    /// One.
    Token(Token),
    /// Something else, or more than one.
    Other,
}

impl Proof {
    /// What a call proves on this connection that shows a token or not.
    ///
    /// # Errors
    ///
    /// Where a token proves nothing, whatever it is.
    pub(crate) fn showing(self, shown: Shown) -> Result<Self, Unproven> {
        match (shown, &self) {
            (Shown::Nothing, _) => Ok(self),
            (_, Self::Address(_)) => Err(Unproven::TokenInPlainText),
            (_, Self::Tls { certificate: Some(_), .. }) => Err(Unproven::Both),
            (Shown::Other, _) => Err(Unproven::Token),
            (Shown::Token(token), _) => {
                let (id, digest) = (token.id().into(), token.digest());
                Ok(Self::Token { id, digest, on: Arc::new(self) })
            }
        }
    }

    /// Who that is: what budgets and the log go by.
    pub(crate) fn principal(&self) -> Principal {
        match self {
            Self::Socket { uid, .. } => Principal::Uid(*uid),
            Self::Address(address) => Principal::Host(*address),
            Self::Token { id, .. } => Principal::Token(Arc::clone(id)),
            Self::Tls { address, .. } => {
                self.name().map_or(Principal::Host(*address), |name| Principal::Named(name.clone()))
            }
        }
    }

    /// Whether this is asked for the first time of a connection over TLS.
    pub(crate) fn is_new(&self) -> bool {
        match self {
            Self::Socket { .. } | Self::Address(_) => false,
            Self::Token { on, .. } => on.is_new(),
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
            Self::Socket { .. } | Self::Address(_) | Self::Token { .. } => None,
            Self::Tls { certificate, .. } => certificate.as_deref(),
        }
    }
}
