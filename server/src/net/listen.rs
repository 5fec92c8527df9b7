//! Where the service listens, and the connections that it takes.
//!
//! A Unix socket (mode 0660) tells who is at the other end. Plain TCP does not, and anybody on the
//! way can read and change it: beyond loopback it has to be allowed explicitly.

use std::{
    collections::HashMap,
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use mos_text::Address;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tonic::transport::server::Connected;

use crate::auth::{Peer, Principal};

/// Connections of one principal at once, at most.
pub(crate) const CONNECTIONS_PER_PRINCIPAL: usize = 64;

/// Connections that wait for the services to take them, at most.
const HANDOVER: usize = 16;

/// Pause after a failed accept: out of descriptors, for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Mode of a Unix socket: its owner and its group.
const SOCKET_MODE: u32 = 0o660;

/// Why the service cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
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
    Unix(UnixListener, SocketFile),
    Tcp(TcpListener),
}

/// A socket file of ours, removed on drop.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may have been removed by hand; there is nobody left to tell.
        let _gone: io::Result<()> = fs::remove_file(&self.0);
    }
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
                Address::Unix(path) => bind_unix(path).await?,
                Address::Tcp(tcp) => bind_tcp(*tcp, plain).await?,
            });
        }
        Ok(Self(listeners))
    }

    /// The addresses bound; port 0 has become the port that the system chose.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn addresses(&self) -> io::Result<Vec<Address>> {
        self.0
            .iter()
            .map(|listener| match listener {
                Listener::Unix(_, file) => Ok(Address::Unix(file.0.clone())),
                Listener::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            })
            .collect()
    }

    /// Starts taking connections, at most `connections_max` at once.
    #[must_use]
    pub(crate) fn accept(self, connections_max: usize) -> Incoming {
        let (sender, connections) = mpsc::channel(HANDOVER);
        let limits = Arc::new(Limits {
            all: Arc::new(Semaphore::new(connections_max)),
            by_principal: Mutex::default(),
        });
        let mut tasks = tokio::task::JoinSet::new();
        for listener in self.0 {
            tasks.spawn(accept_from(listener, sender.clone(), Arc::clone(&limits)));
        }
        Incoming { connections, _tasks: tasks }
    }
}

async fn bind_unix(path: &Path) -> Result<Listener, ListenError> {
    let address = || Address::Unix(path.to_owned());
    let failed = |error| ListenError::Io { address: address(), error };
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ListenError::NotASocket(path.to_owned()));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            return Err(ListenError::InUse(address()));
        }
        // Nobody answers on it: it was left behind.
        Ok(_) => fs::remove_file(path).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory).map_err(failed)?;
            }
        }
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    let file = SocketFile(path.to_owned());
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    Ok(Listener::Unix(listener, file))
}

async fn bind_tcp(address: SocketAddr, plain: PlainTcp) -> Result<Listener, ListenError> {
    if !address.ip().is_loopback() {
        match plain {
            PlainTcp::LoopbackOnly => return Err(ListenError::Insecure(address)),
            PlainTcp::Anywhere => tracing::warn!(
                %address,
                "listening in plain text beyond loopback, as asked: anybody on the way can read \
                 and change what is sent"
            ),
        }
    }
    TcpListener::bind(address).await.map(Listener::Tcp).map_err(|error| {
        let address = Address::Tcp(address);
        if error.kind() == io::ErrorKind::AddrInUse {
            ListenError::InUse(address)
        } else {
            ListenError::Io { address, error }
        }
    })
}

/// How many connections there may be.
#[derive(Debug)]
struct Limits {
    all: Arc<Semaphore>,
    by_principal: Mutex<HashMap<Principal, usize>>,
}

/// The right to be connected; given back on drop.
#[derive(Debug)]
struct Place {
    _one_of_all: OwnedSemaphorePermit,
    principal: Peer,
    limits: Arc<Limits>,
}

impl Limits {
    /// A place for a connection of this principal; `None` when it has too many.
    fn place(self: &Arc<Self>, one_of_all: OwnedSemaphorePermit, principal: Peer) -> Option<Place> {
        if let Some(principal) = principal {
            let mut counts = self.by_principal.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(principal).or_insert(0);
            if *count >= CONNECTIONS_PER_PRINCIPAL {
                return None;
            }
            *count += 1;
        }
        Some(Place { _one_of_all: one_of_all, principal, limits: Arc::clone(self) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(principal) = self.principal else { return };
        let mut counts = self.limits.by_principal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&principal) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&principal);
            }
        }
    }
}

async fn accept_from(listener: Listener, sender: mpsc::Sender<Connection>, limits: Arc<Limits>) {
    // Beyond the limit, connections wait in the system's queue.
    while let Ok(permit) = Arc::clone(&limits.all).acquire_owned().await {
        let accepted = match &listener {
            Listener::Unix(listener, _) => listener.accept().await.map(|(stream, _)| {
                let uid = stream.peer_cred().ok().map(|peer| Principal::Uid(peer.uid()));
                (Stream::Unix(stream), uid)
            }),
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, peer)| {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "cannot switch off Nagle's algorithm");
                }
                (Stream::Tcp(stream), Some(Principal::Host(peer.ip())))
            }),
        };
        let (stream, principal) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = limits.place(permit, principal) else {
            tracing::debug!(?principal, "connection refused: too many of one principal");
            continue;
        };
        if sender.send(Connection { stream, principal, _place: place }).await.is_err() {
            return;
        }
    }
}

/// The connections of all listeners. Dropping it stops listening and removes socket files.
#[derive(Debug)]
pub(crate) struct Incoming {
    connections: mpsc::Receiver<Connection>,
    _tasks: tokio::task::JoinSet<()>,
}

impl tokio_stream::Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connections.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    principal: Peer,
    _place: Place,
}

#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.principal
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Unix(stream) => stream.is_write_vectored(),
            Stream::Tcp(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
