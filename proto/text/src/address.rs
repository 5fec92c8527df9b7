//! Addresses of the service: where a client connects to, and where the server listens.
//!
//! ```text
//! unix:///run/mosd/mosd.sock    a socket, by its absolute path; unix:/run/... means the same
//! tls://192.0.2.7:50551         TLS; https:// means the same
//! 127.0.0.1:50551, [::1]:50551  plain-text TCP; http:// may stand before it
//! mos1.example:50551            a host by its name, to connect to; tls:// may stand before it
//! ```

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    TextError,
    digits::{is_digits, port},
};

/// The longest name of a host, in bytes, as DNS has it.
const NAME_MAX: usize = 253;

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `unix:///path`.
    Unix(PathBuf),
    /// `HOST:PORT`, in plain text.
    Plain(Host),
    /// `tls://HOST:PORT`.
    Tls(Host),
}

/// A host, and a port of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// `ADDRESS:PORT`, IPv6 addresses in brackets.
    Ip(SocketAddr),
    /// `NAME:PORT`.
    Name {
        /// Name of the host: ASCII letters, digits, `-` and `_`, in parts between dots.
        host: String,
        /// Its port.
        port: u16,
    },
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `unix:///path`.
    Unix(PathBuf),
    /// `ADDRESS:PORT` in plain text, IPv6 addresses in brackets. Port 0: the system chooses one.
    Tcp(SocketAddr),
    /// `tls://ADDRESS:PORT`, likewise.
    Tls(SocketAddr),
}

impl Address {
    /// The address and the port, where it is no Unix socket.
    #[must_use]
    pub const fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(address) | Self::Tls(address) => Some(*address),
        }
    }
}

impl FromStr for Endpoint {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let error = |problem| Err(TextError::new(text, problem));
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            if path.contains('\0') {
                return error("has a zero byte in its path");
            }
            return match Path::new(path) {
                path if path.is_absolute() => Ok(Self::Unix(path.to_owned())),
                _ => error("has no absolute path: write unix:///run/mosd/mosd.sock"),
            };
        }
        let secret = text.strip_prefix("tls://").or_else(|| text.strip_prefix("https://"));
        match secret {
            Some(host) => Host::read(host, text).map(Self::Tls),
            None => Host::read(text.strip_prefix("http://").unwrap_or(text), text).map(Self::Plain),
        }
    }
}

impl Host {
    /// Reads a host, which is a part of `whole`.
    fn read(text: &str, whole: &str) -> Result<Self, TextError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        match text.rsplit_once(':') {
            Some((host, digits)) if is_name(host) => {
                Ok(Self::Name { host: host.to_owned(), port: port(digits)? })
            }
            _ => Err(TextError::new(
                whole,
                "is neither unix:///PATH nor HOST:PORT: write unix:///run/mosd/mosd.sock, \
                 127.0.0.1:50551, [::1]:50551 or tls://HOST:50551",
            )),
        }
    }
}

/// Whether the text can be the name of a host. What ends in a number is an IPv4 address or a typo.
fn is_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    name.len() <= NAME_MAX
        && name.split('.').all(is_part)
        && !name.rsplit('.').next().is_some_and(is_digits)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Plain(host) => host.fmt(f),
            Self::Tls(host) => write!(f, "tls://{host}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::from_str(deserializer)
    }
}

impl FromStr for Address {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        match text.parse() {
            Ok(Endpoint::Unix(path)) => Ok(Self::Unix(path)),
            Ok(Endpoint::Plain(Host::Ip(address))) => Ok(Self::Tcp(address)),
            Ok(Endpoint::Tls(Host::Ip(address))) => Ok(Self::Tls(address)),
            Ok(Endpoint::Plain(Host::Name { .. }) | Endpoint::Tls(Host::Name { .. })) | Err(_) => {
                Err(TextError::new(
                    text,
                    "is not an address to listen on: write unix:///run/mosd/mosd.sock, \
                     tls://0.0.0.0:50551, 127.0.0.1:50551 or [::1]:50551",
                ))
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
            Self::Tls(address) => write!(f, "tls://{address}"),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::from_str(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str, port: u16) -> Host {
        Host::Name { host: host.to_owned(), port }
    }

    #[test]
    fn endpoints_are_sockets_addresses_or_names() {
        let unix = Endpoint::Unix(PathBuf::from("/run/mosd/mosd.sock"));
        assert_eq!("unix:///run/mosd/mosd.sock".parse(), Ok(unix.clone()));
        assert_eq!("unix:/run/mosd/mosd.sock".parse(), Ok(unix.clone()));
        assert_eq!(unix.to_string(), "unix:///run/mosd/mosd.sock");
        for text in ["127.0.0.1:50551", "[::1]:50551", "[fe80::1%3]:50551", "0.0.0.0:0"] {
            let ip = Host::Ip(text.parse().unwrap());
            assert_eq!(text.parse(), Ok(Endpoint::Plain(ip.clone())));
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
            let text = format!("tls://{text}");
            assert_eq!(text.parse(), Ok(Endpoint::Tls(ip)));
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        let plain = |host, port| Ok(Endpoint::Plain(name(host, port)));
        assert_eq!("localhost:50551".parse(), plain("localhost", 50_551));
        assert_eq!("http://mos1:1".parse(), plain("mos1", 1));
        assert_eq!("my_host-1.example.:1".parse(), plain("my_host-1.example.", 1));
        assert_eq!("https://mos1:1".parse(), Ok(Endpoint::Tls(name("mos1", 1))));
        assert_eq!(name("mos1", 1).to_string(), "mos1:1");
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_what_would_be_right() {
        for text in [
            "",
            ":1",
            "localhost",
            "::1:50551",
            "a:99999",
            "a:+443",
            "a:",
            "a/b:1",
            "a@b:1",
            "a b:1",
            "a..b:1",
            ".:1",
            "10.0.0.300:1",
            "10.1:1",
            "2130706433:1",
            "[::1:1",
            "[localhost]:1",
            "münchen:1",
            "unix://mosd.sock",
            "unix:",
            "unix:///a\0b",
            "ftp://a:1",
            "tls://a",
            "tls://http://a:1",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?}")) || error.contains("port"), "{error}");
        }
        let error = |text: &str| text.parse::<Endpoint>().unwrap_err().to_string();
        assert!(error("mosd").contains("neither unix:///PATH nor HOST:PORT"));
        assert!(error("unix://mosd.sock").contains("absolute"));
        assert!(error("a:+443").contains("65535"));
    }

    #[test]
    fn the_server_listens_on_sockets_and_addresses_alone() {
        for text in ["unix:///run/mosd/mosd.sock", "127.0.0.1:0", "[::1]:50551", "tls://[::]:1"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in
            ["", "localhost:1", "tls://localhost:1", "localhost", "50551", "unix://relative"]
        {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("address to listen on: write unix:///"), "{error}");
        }
    }
}
