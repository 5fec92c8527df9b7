//! The caller of an RPC, as the transport knows it.

use std::{fmt, net::IpAddr, sync::Arc};

use super::name::Name;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Principal {
    /// The user of a process on this machine, by the Unix socket's credentials.
    Uid(u32),
    /// A host, by the address that its connection comes from.
    Host(IpAddr),
    /// Whom a certificate names.
    Named(Name),
    /// Whoever has the token with this public part.
    Token(Arc<str>),
}

/// What a connection says of its other end; `None` where it does not say.
pub(crate) type Peer = Option<Principal>;

/// Whether this is the administrator of this machine: root, on the Unix socket. Others can never
/// keep root out.
pub(crate) const fn is_administrator(peer: &Peer) -> bool {
    matches!(peer, Some(Principal::Uid(0)))
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid {uid}"),
            Self::Host(address) => address.fmt(f),
            Self::Named(name) => name.fmt(f),
            Self::Token(id) => write!(f, "token {id}"),
        }
    }
}
