//! One channel to mosd.
//!
//! Connecting is bounded; keepalive pings are sent only while a call is open, so that an idle
//! client costs the server nothing.

use std::{error::Error as _, io, path::PathBuf, time::Duration};

use hyper_util::rt::TokioIo;
use mos_text::{Endpoint, Host};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};
use tonic::transport::{self, Channel};

use crate::tls::{self, Tls, TlsFiles, TlsFilesError, Untrusted};

/// Ping interval while a call is open. Servers may treat much shorter ones as abuse.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// Time for the answer to a ping.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Window of one stream, in bytes: the server may send this much ahead of our reading, because
/// events arrive in bursts.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// Window of all streams together, in bytes.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Why connecting failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There was no answer in time.
    #[error("no connection to {endpoint} within {after:?}")]
    TimedOut {
        /// The endpoint.
        endpoint: Endpoint,
        /// The timeout that passed.
        after: Duration,
    },
    /// The system refused the connection.
    #[error("cannot connect to {endpoint}: {source}")]
    Io {
        /// The endpoint.
        endpoint: Endpoint,
        /// The error of the system.
        source: io::Error,
    },
    /// The files for TLS cannot be used. Nothing was sent.
    #[error(transparent)]
    Files(#[from] TlsFilesError),
    /// One end does not trust the other.
    #[error("cannot connect to {endpoint}: {source}")]
    Tls {
        /// The endpoint.
        endpoint: Endpoint,
        /// Why not.
        source: Untrusted,
    },
    /// The other side does not speak HTTP/2, or the address is invalid.
    #[error("cannot connect to {endpoint}: {source}")]
    Transport {
        /// The endpoint.
        endpoint: Endpoint,
        /// What went wrong.
        source: transport::Error,
    },
}

/// Connects to mosd; `files` are for TLS endpoints.
///
/// # Errors
///
/// [`ConnectError`] when `timeout` passes, the system refuses, or the other side is not mosd or not
/// to be trusted.
pub async fn connect(
    endpoint: &Endpoint,
    files: &TlsFiles,
    timeout: Duration,
) -> Result<Channel, ConnectError> {
    let failed = |source: transport::Error| classify(endpoint, source);
    let uri = match endpoint {
        // The connector has the path, but the URI still needs a host.
        Endpoint::Unix(_) => "http://localhost".to_owned(),
        // The connector does TLS itself; to tonic that is plain text.
        Endpoint::Plain(host) | Endpoint::Tls(host) => format!("http://{host}"),
    };
    let channel = transport::Endpoint::from_shared(uri)
        .map_err(failed)?
        .connect_timeout(timeout)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(false)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .user_agent(concat!("mosctl/", env!("CARGO_PKG_VERSION")))
        .map_err(failed)?;
    let own = match endpoint {
        Endpoint::Tls(host) => Some(own_end(host, files)?),
        Endpoint::Unix(_) | Endpoint::Plain(_) => None,
    };
    let connecting = async {
        match (endpoint.clone(), own) {
            (Endpoint::Unix(path), _) => {
                let dial = move |_uri| dial_unix(path.clone());
                channel.connect_with_connector(tower::service_fn(dial)).await
            }
            (Endpoint::Tls(host), Some((tls, name))) => {
                let dial = move |_uri| dial_tls(host.clone(), tls.clone(), name.clone());
                channel.connect_with_connector(tower::service_fn(dial)).await
            }
            (Endpoint::Plain(_) | Endpoint::Tls(_), _) => channel.connect().await,
        }
    };
    match tokio::time::timeout(timeout, connecting).await {
        Ok(connected) => connected.map_err(failed),
        Err(_elapsed) => Err(ConnectError::TimedOut { endpoint: endpoint.clone(), after: timeout }),
    }
}

async fn dial_unix(path: PathBuf) -> io::Result<TokioIo<UnixStream>> {
    UnixStream::connect(path).await.map(TokioIo::new)
}

/// What this end of TLS needs: the files, and the name that the server must have.
fn own_end(host: &Host, files: &TlsFiles) -> Result<(Tls, ServerName<'static>), TlsFilesError> {
    let tls = files.read()?;
    let name = match (&tls.server_name, host) {
        (Some(name), _) => name.clone(),
        (None, Host::Ip(address)) => ServerName::from(address.ip()),
        (None, Host::Name { host, .. }) => tls::server_name(host.clone())?,
    };
    Ok((tls, name))
}

async fn dial_tls(
    host: Host,
    tls: Tls,
    name: ServerName<'static>,
) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let stream = match host {
        Host::Ip(address) => TcpStream::connect(address).await?,
        Host::Name { host, port } => TcpStream::connect((host, port)).await?,
    };
    stream.set_nodelay(true)?;
    TlsConnector::from(tls.config).connect(name, stream).await.map(TokioIo::new)
}

/// Finds the system's error among the causes of a transport error, if there is one.
fn classify(endpoint: &Endpoint, error: transport::Error) -> ConnectError {
    let endpoint = endpoint.clone();
    if let Some(source) = Untrusted::among(&error) {
        return ConnectError::Tls { endpoint, source };
    }
    let mut cause = error.source();
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            let source = io.raw_os_error().map_or_else(
                || io::Error::new(io.kind(), io.to_string()),
                io::Error::from_raw_os_error,
            );
            return ConnectError::Io { endpoint, source };
        }
        cause = current.source();
    }
    ConnectError::Transport { endpoint, source: error }
}
