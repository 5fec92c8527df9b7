//! The policies of the configuration: where they are kept, and what the file says that says what
//! they are.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use mos_stack::{Limits, OverlapPolicy, Sides, SockOptChange, StopScope};
use mos_text::{OverlapWord, PolicyFile, PolicyText, Size, StopWord};

use super::config::{self, Config, ConfigError};
use crate::policies::{Draft, Home, Policies};

/// Where policies are kept, by the configuration.
fn home(config: &Config) -> Home {
    let config::Policies { folder, file } = &config.policies;
    match (file, folder) {
        (Some(file), _) => Home::File(file.clone()),
        (None, Some(folder)) => Home::Folder(folder.clone()),
        (None, None) => state_directory().map_or(Home::Memory, Home::Folder),
    }
}

/// A folder in what systemd gives a service with `StateDirectory=`.
fn state_directory() -> Option<PathBuf> {
    let all = env::var_os("STATE_DIRECTORY")?;
    let first = env::split_paths(&all).next()?;
    Some(first.join("policies"))
}

/// What the file says, if the configuration names one.
fn drafts(config: &Config) -> Result<Vec<Draft>, ConfigError> {
    config.policies.file.as_deref().map_or_else(|| Ok(Vec::new()), read)
}

/// Checks what the configuration says of policies; the folder is left to the start.
///
/// # Errors
///
/// What contradicts itself, or a mistake in the file.
pub(super) fn check(config: &Config, limits: &Limits) -> Result<(), ConfigError> {
    if config.policies.folder.is_some() && config.policies.file.is_some() {
        let text = "policies.folder and policies.file: one of them says what the policies are";
        return Err(ConfigError::Contradiction(text.to_owned()));
    }
    let checked = Policies::check(drafts(config)?, limits);
    checked.map_err(|error| in_file(config.policies.file.as_deref(), &error.to_string()))
}

/// Opens the policies of this process.
///
/// # Errors
///
/// A folder that cannot be used, or a mistake in the file.
pub(super) fn open(config: &Config, limits: Limits) -> Result<Arc<Policies>, ConfigError> {
    let (drafts, workers) = (drafts(config)?, usize::from(config.dataplane.workers));
    let opened = Policies::open(home(config), drafts, limits, workers);
    let policies = opened.map_err(|error| ConfigError::Contradiction(error.to_string()))?;
    Ok(Arc::new(policies))
}

/// What `mosd check` says of policies.
///
/// # Errors
///
/// A mistake in the file.
pub(super) fn told(config: &Config) -> Result<String, ConfigError> {
    Ok(match home(config) {
        Home::Memory => "are kept in memory, and end with the process".to_owned(),
        Home::Folder(path) => format!("are kept in {}", path.display()),
        Home::File(path) => format!("{} of {}", drafts(config)?.len(), path.display()),
    })
}

/// What a file says.
///
/// # Errors
///
/// A file that cannot be read or has a mistake, with its place.
pub(super) fn read(path: &Path) -> Result<Vec<Draft>, ConfigError> {
    let text =
        config::read(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
    let file: PolicyFile = toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        config::mistake(path.to_owned(), &text, start, error.message())
    })?;
    Ok(file.policies.into_iter().map(draft).collect())
}

fn draft(text: PolicyText) -> Draft {
    let bytes = |size: Option<Size>| size.map(|Size(bytes)| bytes);
    let overlap = |word: Option<OverlapWord>| {
        word.map(|word| match word {
            OverlapWord::First => OverlapPolicy::First,
            OverlapWord::Last => OverlapPolicy::Last,
            OverlapWord::Linux => OverlapPolicy::Linux,
        })
    };
    let stop = text.stop_monitoring.map(|word| match word {
        StopWord::Client => StopScope::Client,
        StopWord::Server => StopScope::Server,
        StopWord::Both => StopScope::Both,
    });
    Draft {
        id: text.name,
        priority: text.priority,
        filter: text.filter,
        monitor: text.monitor,
        options: SockOptChange {
            buffer_bytes: Sides {
                client: bytes(text.client_buffer),
                server: bytes(text.server_buffer),
            },
            overlap: Sides {
                client: overlap(text.client_overlap),
                server: overlap(text.server_overlap),
            },
            stop,
        },
        comment: text.comment,
        expires: None,
    }
}

fn in_file(path: Option<&Path>, problem: &str) -> ConfigError {
    let path = path.map(|path| path.display().to_string()).unwrap_or_default();
    ConfigError::Contradiction(format!("{path}: {problem}"))
}
