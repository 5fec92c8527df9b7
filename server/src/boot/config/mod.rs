//! The configuration file: its keys, their ranges and defaults, and what is wrong with a file.
//!
//! Values are checked while they are read, so that an error names the line. Every key is
//! described in `deploy/mosd.toml`; a test keeps the two in step.

mod checked;
mod options;
mod tunnels;

#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io::{self, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use mos_stack::{
    Limits, SockOptName, SockOptValue, Timeouts,
    limits::{BLOCK_BYTES, POOL_BYTES_CEILING},
    round_up_to_block,
};
use mos_text::{Address, Size, Span};
use serde::{Deserialize, Serialize};
pub use toml::Spanned;

pub use self::{options::Options, tunnels::Tunnels};
pub use crate::{audit::OnFailure, log::LogFormat, net::tls::MinVersion};

/// Bytes of a configuration file, at most.
const FILE_MAX: u64 = 1024 * 1024;

/// Everything that the configuration decides.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What to watch, as the runtime reads ports.
    pub ports: Vec<Spanned<String>>,
    /// The gRPC services.
    pub server: Server,
    /// TLS of the gRPC services.
    pub tls: Tls,
    /// The audit.
    pub audit: Audit,
    /// The metrics listener.
    pub metrics: Metrics,
    /// Workers and packet memory.
    pub dataplane: Dataplane,
    /// Which tunnels are opened.
    pub tunnels: Tunnels,
    /// The embedded demo traffic, where `ports` has `demo`.
    pub demo: Demo,
    /// Bounds of each worker.
    pub limits: Bounds,
    /// Options that a flow starts with.
    pub options: Options,
    /// Where policies for flows to come are kept.
    pub policies: Policies,
    /// Idle spans after which a flow ends.
    pub timeouts: Spans,
    /// The log.
    pub log: Log,
}

/// Section `[server]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct Server {
    /// Where to listen.
    pub listen: Vec<Address>,
    /// Whether plain TCP may go beyond loopback.
    pub insecure: bool,
    /// The roles file; built-in grants where there is none.
    pub roles: Option<PathBuf>,
    /// Whether payload may be read.
    pub payload: bool,
    /// Connections at once, at most.
    #[serde(deserialize_with = "checked::connections")]
    pub connections_max: usize,
    /// Time that a stop may take, from the signal on.
    #[serde(deserialize_with = "checked::span")]
    pub shutdown_timeout: Span,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![Address::Unix("/run/mosd/mosd.sock".into())],
            insecure: false,
            roles: None,
            payload: false,
            connections_max: 1024,
            shutdown_timeout: Span(Duration::from_secs(5)),
        }
    }
}

/// Section `[tls]`: files in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate of mosd, the leaf first.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// The CAs of clients.
    pub client_ca: Option<PathBuf>,
    /// Their revocation lists.
    pub crl: Vec<PathBuf>,
    /// The oldest version of TLS that is spoken.
    pub min_version: MinVersion,
}

impl Default for Tls {
    fn default() -> Self {
        let min_version = MinVersion::Tls12;
        Self { cert: None, key: None, client_ca: None, crl: Vec::new(), min_version }
    }
}

/// Section `[audit]`: where what is done is entered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// The file; that in the logs directory of the unit when absent, none when empty.
    pub path: Option<PathBuf>,
    /// What becomes of a call that cannot be entered.
    pub on_failure: OnFailure,
}

/// Section `[metrics]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where to serve metrics; nowhere when absent.
    pub listen: Option<SocketAddr>,
}

/// Section `[dataplane]`.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that users set")]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dataplane {
    /// Workers.
    #[serde(deserialize_with = "checked::workers")]
    pub workers: u16,
    /// CPUs of the workers, in order; empty: mosd chooses them.
    pub cpus: Vec<usize>,
    /// What a worker does when there is nothing to do.
    pub idle: Idle,
    /// Whether packet buffers come from hugepages.
    pub hugepages: Hugepages,
    /// Packet buffers in each port's pool.
    #[serde(deserialize_with = "checked::mbufs")]
    pub mbufs: u32,
    /// Bytes of one packet buffer.
    #[serde(deserialize_with = "checked::mbuf_bytes")]
    pub mbuf_bytes: u16,
    /// Whether checksums are verified.
    pub verify_checksums: bool,
    /// Whether connections under way are adopted.
    pub adopt_midstream: bool,
    /// Whether the VLAN id is part of a flow's key.
    pub vlan_in_key: bool,
}

impl Default for Dataplane {
    fn default() -> Self {
        Self {
            workers: 1,
            cpus: Vec::new(),
            idle: Idle::Auto,
            hugepages: Hugepages::Auto,
            mbufs: 16_384,
            mbuf_bytes: 2048,
            verify_checksums: true,
            adopt_midstream: false,
            vlan_in_key: false,
        }
    }
}

/// What a worker does when there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Idle {
    /// What suits the machine.
    Auto,
    /// Polls without a pause.
    Busy,
    /// Polls, and after a while without work sleeps for tens of microseconds.
    Adaptive,
    /// Sleeps for 1 ms as soon as there is no work.
    Sleep,
}

/// Whether packet buffers come from hugepages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hugepages {
    /// From hugepages if enough of them are free.
    Auto,
    /// From hugepages only.
    On,
    /// From normal pages.
    Off,
}

/// Section `[demo]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Demo {
    /// Conversations at once.
    #[serde(deserialize_with = "checked::demo_flows")]
    pub flows: u32,
    /// Packets a second.
    #[serde(deserialize_with = "checked::demo_rate")]
    pub rate_pps: u32,
    /// The same seed makes the same conversations.
    pub seed: u32,
}

impl Default for Demo {
    fn default() -> Self {
        Self { flows: 64, rate_pps: 2000, seed: 1 }
    }
}

/// Section `[limits]`: bounds of each worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Flows tracked at once.
    #[serde(deserialize_with = "checked::flows_max")]
    pub flows_max: u32,
    /// Half-open flows at once; 0: a quarter of `flows_max`.
    pub half_open_max: u32,
    /// Memory for all receive buffers.
    pub pool: Size,
    /// Allocate all memory at startup.
    pub populate: bool,
    /// Largest capacity of one side's receive buffer.
    #[serde(deserialize_with = "options::capacity")]
    pub buffer_max: Size,
}

impl Default for Bounds {
    fn default() -> Self {
        let Limits { flows_max, pool_bytes, populate, buffer_bytes_max, .. } = Limits::default();
        let (pool, buffer_max) = (Size(pool_bytes), Size(buffer_bytes_max));
        Self { flows_max, half_open_max: 0, pool, populate, buffer_max }
    }
}

/// Section `[policies]`: where policies for flows to come are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Policies {
    /// The folder that mosd keeps them in; the state directory of the unit when absent.
    pub folder: Option<PathBuf>,
    /// The file that says what they are, instead.
    pub file: Option<PathBuf>,
}

/// Section `[timeouts]`: idle spans after which a flow ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spans {
    /// Before the handshake is complete.
    #[serde(deserialize_with = "checked::span")]
    pub half_open: Span,
    /// While established.
    #[serde(deserialize_with = "checked::span")]
    pub idle: Span,
    /// After the first FIN.
    #[serde(deserialize_with = "checked::span")]
    pub closing: Span,
    /// For the fragments of an IP packet.
    #[serde(deserialize_with = "checked::span")]
    pub fragments: Span,
    /// After both FINs were acknowledged, or a reset.
    #[serde(deserialize_with = "checked::span")]
    pub time_wait: Span,
}

impl Default for Spans {
    fn default() -> Self {
        let Timeouts { half_open, idle, closing, fragments, time_wait } = Timeouts::default();
        Self {
            half_open: Span(half_open),
            idle: Span(idle),
            closing: Span(closing),
            fragments: Span(fragments),
            time_wait: Span(time_wait),
        }
    }
}

/// Section `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Least level, or directives by target, as `tracing` reads them.
    #[serde(deserialize_with = "checked::level")]
    pub level: String,
    /// Form of a line.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file that the configuration names cannot be read.
    #[error("cannot read {path}: {error}")]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The file has a mistake.
    #[error("{path}, line {line}, column {column}: {message}")]
    Mistake {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// Where, in characters from 1.
        column: usize,
        /// What.
        message: String,
    },
    /// Two values contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

/// A configuration file that has been read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConfigFile {
    /// Where it was; `None` for the built-in defaults.
    pub path: Option<PathBuf>,
    /// What it says.
    pub config: Config,
    text: String,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or has a mistake, with its place.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            read(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        Self::parse(path, text)
    }

    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    ///
    /// When it has a mistake, with its place.
    pub fn parse(path: &Path, text: String) -> Result<Self, ConfigError> {
        let file = Self { path: Some(path.to_owned()), config: Config::default(), text };
        match toml::from_str(&file.text) {
            Ok(config) => Ok(Self { config, ..file }),
            Err(error) => {
                let start = error.span().map_or(0, |span| span.start);
                Err(file.mistake(start, error.message()))
            }
        }
    }

    /// The error for a mistake at this byte of the file.
    #[must_use]
    pub fn mistake(&self, start: usize, message: &str) -> ConfigError {
        mistake(self.path.clone().unwrap_or_default(), &self.text, start, message)
    }
}

/// The error for a mistake at this byte of the text of a file.
pub(super) fn mistake(path: PathBuf, text: &str, start: usize, message: &str) -> ConfigError {
    let before = text.get(..start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ConfigError::Mistake {
        path,
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message: message.trim_end().replace('\n', ", "),
    }
}

/// The text of a file that has an end.
pub(super) fn read(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    let length = File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if length as u64 > FILE_MAX {
        return Err(io::Error::other(format!("it is larger than {}", Size(FILE_MAX))));
    }
    Ok(text)
}

impl Config {
    /// Bounds and defaults of each worker's stack.
    ///
    /// # Errors
    ///
    /// Bounds that contradict each other: a flow would start with a buffer larger than
    /// `limits.buffer_max`, for example.
    pub fn limits(&self) -> Result<Limits, ConfigError> {
        let Bounds { flows_max, half_open_max, pool, populate, buffer_max } = self.limits;
        let contradiction = |text: String| Err(ConfigError::Contradiction(text));
        if half_open_max > flows_max {
            return contradiction(format!(
                "limits.half_open_max = {half_open_max} is above limits.flows_max = {flows_max}"
            ));
        }
        if buffer_max > pool {
            return contradiction(format!(
                "limits.buffer_max = {buffer_max} is above limits.pool = {pool}: no buffer could \
                 become so large"
            ));
        }
        if pool.0 > POOL_BYTES_CEILING {
            let ceiling = Size(POOL_BYTES_CEILING).rounded();
            return contradiction(format!("limits.pool = {pool} is above the limit {ceiling}"));
        }
        if pool.0 < BLOCK_BYTES as u64 {
            return contradiction(format!(
                "limits.pool = {pool} has no room for one block of {}",
                Size(BLOCK_BYTES as u64)
            ));
        }
        let mut defaults = self.options.defaults;
        for name in SockOptName::ALL {
            let (SockOptValue::Bytes(bytes), Some(key)) = (defaults.get(name), name.row().key)
            else {
                continue;
            };
            let rounded = round_up_to_block(bytes).filter(|bytes| *bytes <= buffer_max.0);
            let rounded = rounded.ok_or_else(|| {
                let size = Size(bytes);
                ConfigError::Contradiction(format!(
                    "options.{key} = {size} is above limits.buffer_max = {buffer_max}"
                ))
            })?;
            defaults.set(name, SockOptValue::Bytes(rounded));
        }
        let Spans { half_open, idle, closing, fragments, time_wait } = self.timeouts;
        Ok(Limits {
            flows_max,
            half_open_max: match half_open_max {
                0 => flows_max.div_ceil(4),
                set => set,
            },
            pool_bytes: pool.0,
            populate,
            buffer_bytes_max: buffer_max.0,
            defaults,
            locked: self.options.locked,
            timeouts: Timeouts {
                half_open: half_open.0,
                idle: idle.0,
                closing: closing.0,
                fragments: fragments.0,
                time_wait: time_wait.0,
            },
            verify_checksums: self.dataplane.verify_checksums,
            adopt_midstream: self.dataplane.adopt_midstream,
            vlan_in_key: self.dataplane.vlan_in_key,
            tunnels: self.tunnels.opened(),
        })
    }
}
