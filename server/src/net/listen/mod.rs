//! Where the service listens: binds sockets and takes connections from them.
//!
//! A Unix socket (mode 0660) identifies its peer. Plain TCP does not, and anybody on the path can
//! read and change it: beyond loopback it has to be allowed explicitly.

mod socket_file;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mos_text::Address;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
};

pub(crate) use self::socket_file::OwnFile;
use self::socket_file::{SocketFile, Untaken};
use super::{authority::AuthorityFilter, connection::Accepted};
use crate::{auth::Proof, panics};

/// Connections that wait for the services to take them, at most.
const HANDOVER: usize = 16;

/// Pause after a failed accept: out of descriptors, for example.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the service cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process listens there.
    #[error("{0} is in use: another process listens there")]
    InUse(Address),
    /// Plain TCP beyond loopback was not allowed.
    #[error(
        "{0} is plain text and not loopback: anybody on the way could read and change it; \
             say --insecure if that is meant"
    )]
    Insecure(SocketAddr),
    /// A file that is not a socket is in the way.
    #[error("{0} exists and is not a socket")]
    NotASocket(PathBuf),
    /// Anything else.
    #[error("cannot listen on {address}: {error}")]
    Io {
        /// Where.
        address: Address,
        /// Why not.
        error: io::Error,
    },
}

/// Listeners that are bound: connections wait there. Socket files are removed on drop.
#[derive(Debug)]
pub struct Listeners(Vec<Listener>);

#[derive(Debug)]
enum Listener {
    /// The file is dropped first.
    Unix(SocketFile, UnixListener),
    Tcp(TcpListener),
}

/// Whether plain TCP may go beyond loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainTcp {
    /// Only on this machine.
    LoopbackOnly,
    /// Anywhere: explicitly asked for.
    Anywhere,
}

impl Listeners {
    /// Binds every address, or none.
    ///
    /// # Errors
    ///
    /// The first address that cannot be bound.
    pub async fn bind(addresses: &[Address], plain: PlainTcp) -> Result<Self, ListenError> {
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(match address {
                Address::Unix(path) => bind_unix(path)?,
                Address::Tcp(tcp) => bind_tcp(*tcp, plain).await?,
            });
        }
        Ok(Self(listeners))
    }

    /// The addresses bound; port 0 has become the port that the system chose.
    ///
    /// # Errors
    ///
    /// When the system cannot say what a socket is bound to.
    pub fn addresses(&self) -> io::Result<Vec<Address>> {
        self.0
            .iter()
            .map(|listener| match listener {
                Listener::Unix(file, _) => Ok(Address::Unix(file.path().to_owned())),
                Listener::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            })
            .collect()
    }

    /// The socket files, for an end that drops nothing.
    pub(crate) fn files(&self) -> Vec<OwnFile> {
        let files = self.0.iter().filter_map(|listener| match listener {
            Listener::Unix(file, _) => Some(file.own()),
            Listener::Tcp(_) => None,
        });
        files.collect()
    }

    /// Starts taking connections.
    #[must_use]
    pub(crate) fn accept(self) -> Incoming {
        let (sender, connections) = mpsc::channel(HANDOVER);
        let mut tasks = tokio::task::JoinSet::new();
        for listener in self.0 {
            let accepting = accept_from(listener, sender.clone());
            tasks.spawn(panics::watched("a listener".to_owned(), accepting));
        }
        Incoming { connections, _tasks: tasks }
    }
}

fn bind_unix(path: &Path) -> Result<Listener, ListenError> {
    let bound = SocketFile::bind(path)
        .and_then(|(file, listener)| Ok(Listener::Unix(file, UnixListener::from_std(listener)?)));
    let address = || Address::Unix(path.to_owned());
    bound.map_err(|untaken| match untaken {
        Untaken::InUse => ListenError::InUse(address()),
        Untaken::NotASocket => ListenError::NotASocket(path.to_owned()),
        Untaken::Io(error) => ListenError::Io { address: address(), error },
    })
}

async fn bind_tcp(address: SocketAddr, plain: PlainTcp) -> Result<Listener, ListenError> {
    check_consent(address, plain)?;
    let bound = TcpListener::bind(address).await;
    bound.map(Listener::Tcp).map_err(|error| not_bound(address, error))
}

/// Plain TCP goes beyond loopback only where that is asked for, and is told then.
pub(super) fn check_consent(address: SocketAddr, plain: PlainTcp) -> Result<(), ListenError> {
    match plain {
        _ if address.ip().is_loopback() => {}
        PlainTcp::LoopbackOnly => return Err(ListenError::Insecure(address)),
        PlainTcp::Anywhere => tracing::warn!(
            %address,
            "listening in plain text beyond loopback, as asked: anybody on the way can read and \
             change what is sent"
        ),
    }
    Ok(())
}

/// Why a TCP address is not bound.
pub(super) fn not_bound(address: SocketAddr, error: io::Error) -> ListenError {
    let address = Address::Tcp(address);
    if error.kind() == io::ErrorKind::AddrInUse {
        ListenError::InUse(address)
    } else {
        ListenError::Io { address, error }
    }
}

impl Listener {
    /// Takes the next connection and identifies its peer.
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Unix(file, listener) => {
                let (stream, _) = listener.accept().await?;
                let peer = stream.peer_cred()?;
                let path = Arc::from(file.path());
                let proof = Proof::Socket { uid: peer.uid(), gid: peer.gid(), path };
                let authority = Some(AuthorityFilter::new());
                Ok(Accepted { stream: Box::pin(stream), first: None, proof, authority })
            }
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "cannot switch off Nagle's algorithm");
                }
                // A socket for both families tells IPv4 addresses as IPv6 ones.
                let proof = Proof::Address(peer.ip().to_canonical());
                Ok(Accepted { stream: Box::pin(stream), first: None, proof, authority: None })
            }
        }
    }
}

async fn accept_from(listener: Listener, sender: mpsc::Sender<Accepted>) {
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                if sender.send(accepted).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connections of all listeners. Dropping it stops listening and removes socket files.
#[derive(Debug)]
pub(crate) struct Incoming {
    connections: mpsc::Receiver<Accepted>,
    _tasks: tokio::task::JoinSet<()>,
}

impl Incoming {
    /// The next connection; `None` when nothing listens any more.
    pub(super) async fn next(&mut self) -> Option<Accepted> {
        self.connections.recv().await
    }
}
