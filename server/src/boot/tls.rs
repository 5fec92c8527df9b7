//! Section `[tls]`: reads its files.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use mos_text::{Address, keeps_secret};

use super::config::{self, Config, ConfigError};
use crate::net::tls::{Files, Keys, Pem};

/// What TLS goes by, where a listener has it.
///
/// # Errors
///
/// A file that is not named, cannot be read or cannot be used.
pub(super) fn keys(config: &Config) -> Result<Option<Keys>, ConfigError> {
    let mut listeners = config.server.listen.iter();
    let has_tls = listeners.any(|address| matches!(address, Address::Tls(_)));
    has_tls.then(|| read(&config.tls)).transpose()
}

/// What TLS goes by.
///
/// # Errors
///
/// As [`keys`].
pub(super) fn read(section: &config::Tls) -> Result<Keys, ConfigError> {
    let config::Tls { cert, key, client_ca, crl, min_version } = section;
    let files = Files {
        cert: named("cert", cert.as_deref()).and_then(pem)?,
        key: named("key", key.as_deref()).and_then(secret)?,
        client_ca: named("client_ca", client_ca.as_deref()).and_then(pem)?,
        crl: crl.iter().map(|path| pem(path)).collect::<Result<_, _>>()?,
        min_version: *min_version,
    };
    Keys::new(&files).map_err(ConfigError::Contradiction)
}

fn named<'a>(name: &str, path: Option<&'a Path>) -> Result<&'a Path, ConfigError> {
    path.ok_or_else(|| {
        let text = format!("a listener at tls:// needs tls.{name}, which names no file");
        ConfigError::Contradiction(text)
    })
}

/// A file in PEM.
fn pem(path: &Path) -> Result<Pem, ConfigError> {
    match config::read(path) {
        Ok(text) => Ok(Pem { path: path.to_owned(), text }),
        Err(error) => Err(unread(path, error)),
    }
}

/// A file in PEM that nobody else may read.
fn secret(path: &Path) -> Result<Pem, ConfigError> {
    let file = fs::metadata(path).map_err(|error| unread(path, error))?;
    if !keeps_secret(file.mode(), file.uid()) {
        return Err(ConfigError::Contradiction(format!(
            "{}: others may read this key (mode {:04o}): chmod 600",
            path.display(),
            file.mode() & 0o7777
        )));
    }
    pem(path)
}

fn unread(path: &Path, error: io::Error) -> ConfigError {
    let path: PathBuf = path.to_owned();
    ConfigError::Unread { path, error }
}
