//! Where mosd listens, and one channel to it.
//!
//! Connecting is bounded; keepalive pings are sent only while a call is open, so that an idle
//! client costs the server nothing.

use std::{error::Error as _, fmt, io, path::PathBuf, str::FromStr, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{self, Channel};

/// Ping interval while a call is open. Servers may treat much shorter ones as abuse.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// Time for the answer to a ping.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes that the server may send ahead of our reading: streams of events come in bursts.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// The same for all streams together.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Where mosd listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket: `unix:///run/mosd/mosd.sock`.
    Unix(PathBuf),
    /// Plain-text TCP, `HOST:PORT` with IPv6 addresses in brackets.
    Tcp(String),
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            return if path.starts_with('/') {
                Ok(Self::Unix(PathBuf::from(path)))
            } else {
                Err(format!("{text:?} has no absolute path: write unix:///run/mosd/mosd.sock"))
            };
        }
        if text.starts_with("https://") {
            return Err("TLS is not supported: use a Unix socket or HOST:PORT".to_owned());
        }
        let authority = text.strip_prefix("http://").unwrap_or(text);
        let port = authority.rsplit_once(':').and_then(|(host, port)| {
            let bracketed = host.starts_with('[') && host.ends_with(']');
            let plain = !host.is_empty() && !host.contains([':', '/', '@']);
            (bracketed || plain).then(|| port.parse::<u16>().ok()).flatten()
        });
        match port {
            Some(_) => Ok(Self::Tcp(authority.to_owned())),
            None => Err(format!("{text:?} is neither unix:///PATH nor HOST:PORT")),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(authority) => f.write_str(authority),
        }
    }
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answered in time.
    #[error("no connection to {endpoint} within {after:?}")]
    TimedOut {
        /// Where to.
        endpoint: Endpoint,
        /// The time given.
        after: Duration,
    },
    /// The system refused the connection.
    #[error("cannot connect to {endpoint}: {source}")]
    Io {
        /// Where to.
        endpoint: Endpoint,
        /// What the system said.
        source: io::Error,
    },
    /// The other side does not speak HTTP/2, or the address is no address.
    #[error("cannot connect to {endpoint}: {source}")]
    Transport {
        /// Where to.
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
        // The path stands in the connector; a URI must still name some host.
        Endpoint::Unix(_) => "http://localhost".to_owned(),
        Endpoint::Tcp(authority) => format!("http://{authority}"),
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
            Endpoint::Tcp(_) => channel.connect().await,
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

/// Finds the system's own error in a transport error, where there is one.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_sockets_or_addresses() {
        let unix = Endpoint::Unix(PathBuf::from("/run/mosd/mosd.sock"));
        assert_eq!("unix:///run/mosd/mosd.sock".parse(), Ok(unix.clone()));
        assert_eq!("unix:/run/mosd/mosd.sock".parse(), Ok(unix.clone()));
        assert_eq!(unix.to_string(), "unix:///run/mosd/mosd.sock");
        for text in ["localhost:50551", "127.0.0.1:50551", "[::1]:50551"] {
            assert_eq!(text.parse(), Ok(Endpoint::Tcp(text.to_owned())));
        }
        assert_eq!("http://mos1:1".parse(), Ok(Endpoint::Tcp("mos1:1".to_owned())));
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in
            ["", "localhost", "::1:50551", "unix://mosd.sock", "https://a:1", "a:99999", "a/b:1"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
