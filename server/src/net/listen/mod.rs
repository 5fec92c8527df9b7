//! Where the service listens: binds sockets and takes connections from them.
//!
//! A Unix socket (mode 0660) identifies its peer, and TLS can. Plain TCP does not, and anybody on
//! the path can read and change it: beyond loopback it has to be allowed explicitly.

mod socket_file;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mos_text::Address;
use tokio::{
    net::{TcpListener, TcpStream, UnixListener},
    sync::mpsc,
    task::JoinSet,
};

pub(crate) use self::socket_file::OwnFile;
use self::socket_file::{SocketFile, Untaken};
use super::{authority::AuthorityFilter, connection::Accepted, tls::Tls};
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
             listen on tls://{0}, or say --insecure if that is meant"
    )]
    Insecure(SocketAddr),
    /// TLS was asked for, and there are no keys.
    #[error("tls://{0} needs a certificate and its key: section [tls] names none")]
    NoKeys(SocketAddr),
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
    Tls(TcpListener, Arc<Tls>),
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
    /// Binds every address, or none. Those of TLS use what `tls` goes by.
    ///
    /// # Errors
    ///
    /// The first address that cannot be bound.
    pub async fn bind(
        addresses: &[Address],
        plain: PlainTcp,
        tls: Option<&Arc<Tls>>,
    ) -> Result<Self, ListenError> {
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(match address {
                Address::Unix(path) => bind_unix(path)?,
                Address::Tcp(tcp) => {
                    check_consent(*tcp, plain)?;
                    Listener::Tcp(bind_tcp(address, *tcp).await?)
                }
                Address::Tls(tcp) => {
                    let tls = tls.ok_or(ListenError::NoKeys(*tcp))?;
                    Listener::Tls(bind_tcp(address, *tcp).await?, Arc::clone(tls))
                }
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
                Listener::Tls(listener, _) => listener.local_addr().map(Address::Tls),
            })
            .collect()
    }

    /// The socket files, for an end that drops nothing.
    pub(crate) fn files(&self) -> Vec<OwnFile> {
        let files = self.0.iter().filter_map(|listener| match listener {
            Listener::Unix(file, _) => Some(file.own()),
            Listener::Tcp(_) | Listener::Tls(..) => None,
        });
        files.collect()
    }

    /// Starts taking connections.
    #[must_use]
    pub(crate) fn accept(self) -> Incoming {
        let (sender, connections) = mpsc::channel(HANDOVER);
        let mut tasks = JoinSet::new();
        for listener in self.0 {
            let sender = sender.clone();
            let accepting = async {
                match listener {
                    Listener::Unix(file, listener) => accept_unix(file, listener, sender).await,
                    Listener::Tcp(listener) => accept_tcp(listener, sender).await,
                    Listener::Tls(listener, tls) => accept_tls(listener, tls, sender).await,
                }
            };
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

async fn bind_tcp(address: &Address, tcp: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(tcp).await.map_err(|error| not_bound(address.clone(), error))
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
pub(super) fn not_bound(address: Address, error: io::Error) -> ListenError {
    if error.kind() == io::ErrorKind::AddrInUse {
        ListenError::InUse(address)
    } else {
        ListenError::Io { address, error }
    }
}

/// Takes connections from a Unix socket. The kernel says who is at the other end.
async fn accept_unix(file: SocketFile, listener: UnixListener, sender: mpsc::Sender<Accepted>) {
    let path: Arc<Path> = Arc::from(file.path());
    loop {
        let accepted = async {
            let (stream, _) = listener.accept().await?;
            let peer = stream.peer_cred()?;
            let proof = Proof::Socket { uid: peer.uid(), gid: peer.gid(), path: Arc::clone(&path) };
            let authority = Some(AuthorityFilter::new());
            Ok(Accepted { stream: Box::pin(stream), first: None, proof, authority })
        };
        let Some(accepted) = or_pause(accepted.await).await else { continue };
        if sender.send(accepted).await.is_err() {
            return;
        }
    }
}

/// Takes connections in plain text.
async fn accept_tcp(listener: TcpListener, sender: mpsc::Sender<Accepted>) {
    loop {
        let Some((stream, address)) = or_pause(next_tcp(&listener).await).await else { continue };
        let proof = Proof::Address(address);
        let accepted = Accepted { stream: Box::pin(stream), first: None, proof, authority: None };
        if sender.send(accepted).await.is_err() {
            return;
        }
    }
}

/// Takes connections over TLS, each once its handshake is complete.
async fn accept_tls(listener: TcpListener, tls: Arc<Tls>, sender: mpsc::Sender<Accepted>) {
    let mut handshakes = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = next_tcp(&listener) => accepted,
            Some(_ended) = handshakes.join_next() => continue,
        };
        let Some((stream, address)) = or_pause(accepted).await else { continue };
        let (tls, sender) = (Arc::clone(&tls), sender.clone());
        handshakes.spawn(panics::contained(async move {
            if let Some((stream, proof)) = tls.shake(stream, address).await {
                let stream = Box::pin(stream);
                let accepted = Accepted { stream, first: None, proof, authority: None };
                // An error means that the server stops.
                let _taken_or_gone: Result<(), _> = sender.send(accepted).await;
            }
        }));
    }
}

/// The next connection over TCP, and the address that it comes from.
async fn next_tcp(listener: &TcpListener) -> io::Result<(TcpStream, IpAddr)> {
    let (stream, peer) = listener.accept().await?;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot switch off Nagle's algorithm");
    }
    // A socket for both families tells IPv4 addresses as IPv6 ones.
    Ok((stream, peer.ip().to_canonical()))
}

/// What was accepted; nothing after a pause where that failed.
async fn or_pause<T>(accepted: io::Result<T>) -> Option<T> {
    match accepted {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// The connections of all listeners. Dropping it stops listening and removes socket files.
#[derive(Debug)]
pub(crate) struct Incoming {
    connections: mpsc::Receiver<Accepted>,
    _tasks: JoinSet<()>,
}

impl Incoming {
    /// The next connection; `None` when nothing listens any more.
    pub(super) async fn next(&mut self) -> Option<Accepted> {
        self.connections.recv().await
    }
}
