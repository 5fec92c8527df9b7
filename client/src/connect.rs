//! One channel to mosd.
//!
//! Connecting is bounded; keepalive pings are sent only while a call is open, so that an idle
//! client costs the server nothing.

use std::{error::Error as _, io, path::PathBuf, time::Duration};

use hyper_util::rt::TokioIo;
use mos_text::Endpoint;
use tokio::net::UnixStream;
use tonic::transport::{self, Channel};

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
    /// The other side does not speak HTTP/2, or the address is invalid.
    #[error("cannot connect to {endpoint}: {source}")]
    Transport {
        /// The endpoint.
        endpoint: Endpoint,
        /// What went wrong.
        source: transport::Error,
    },
}

/// Connects to mosd.
///
/// # Errors
///
/// [`ConnectError`] when `timeout` passes, the system refuses, or the other side is not mosd.
pub async fn connect(endpoint: &Endpoint, timeout: Duration) -> Result<Channel, ConnectError> {
    let failed = |source: transport::Error| classify(endpoint, source);
    let uri = match endpoint {
        // The connector has the path, but the URI still needs a host.
        Endpoint::Unix(_) => "http://localhost".to_owned(),
        Endpoint::Ip(_) | Endpoint::Name { .. } => format!("http://{endpoint}"),
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
    let connecting = async {
        match endpoint.clone() {
            Endpoint::Unix(path) => {
                let dial = move |_uri| dial_unix(path.clone());
                channel.connect_with_connector(tower::service_fn(dial)).await
            }
            Endpoint::Ip(_) | Endpoint::Name { .. } => channel.connect().await,
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

/// Finds the system's error among the causes of a transport error, if there is one.
fn classify(endpoint: &Endpoint, error: transport::Error) -> ConnectError {
    let endpoint = endpoint.clone();
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
