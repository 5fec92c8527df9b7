//! The audit, by the configuration.

use std::{env, path::PathBuf, sync::Arc};

use mos_text::Digest;

use super::config::Config;
use crate::audit::{Audit, Entry, Event, OnFailure};

/// The name of the file in what systemd gives a service with `LogsDirectory=`.
const FILE: &str = "audit.jsonl";

/// Where what is done is entered; `None` for nowhere.
pub(super) fn path(config: &Config) -> Option<PathBuf> {
    let named = config.audit.path.clone();
    named.or_else(logs_directory).filter(|path| !path.as_os_str().is_empty())
}

fn logs_directory() -> Option<PathBuf> {
    let all = env::var_os("LOGS_DIRECTORY")?;
    Some(env::split_paths(&all).next()?.join(FILE))
}

/// Begins the audit of this process. A file that cannot be written is told by the status, and
/// tried again.
///
/// # Errors
///
/// When the thread that writes it cannot be started.
pub(super) fn open(config: &Config) -> std::io::Result<Arc<Audit>> {
    let Some(path) = path(config) else { return Ok(Audit::off()) };
    let audit = Audit::open(path, config.audit.on_failure)?;
    let start = Entry::of(Event::Start).with("version", env!("CARGO_PKG_VERSION"));
    audit.post(start.with("configuration", digest(config)));
    Ok(audit)
}

/// What `mosd check` says of the audit.
pub(super) fn told(config: &Config) -> String {
    let Some(path) = path(config) else { return "is off: nothing is entered".to_owned() };
    let means = match config.audit.on_failure {
        OnFailure::Refuse => "changes are refused",
        OnFailure::Allow => "changes go on",
    };
    format!("goes to {}; where that cannot be written, {means}", path.display())
}

/// What a reload of this part of the configuration has come to.
pub(super) fn reloaded(audit: &Audit, what: &str, digest: Option<String>, mistake: Option<&str>) {
    let entry = Entry { target: what.to_owned(), ..Entry::of(Event::Reload) };
    let entry = digest.into_iter().fold(entry, |entry, digest| entry.with("digest", digest));
    audit.post(match mistake {
        None => entry.with("result", "taken"),
        Some(mistake) => entry.with("result", "refused").with("mistake", mistake),
    });
}

/// The digest of a configuration, as it is in force: with defaults, without comments.
pub(super) fn digest(config: &Config) -> String {
    let text = serde_json::to_vec(config).unwrap_or_default();
    Digest::of(&text).to_string()
}
