//! SIGHUP: reads the configuration again, and changes what can change while the service runs.
//!
//! The file is read as at the start, the command line above it. What a reload can change is a list
//! of [`Part`]s. Each reads first what it needs and changes nothing; only where all of them can,
//! all of them do. Of the other keys the log names those that have changed: they need a restart.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
};

use crate::{
    audit::Audit,
    boot::{args::RunArgs, audit, config::Config, plan},
    panics,
};

/// A change that is ready to be made, and cannot fail any more.
pub(super) type Commit = Box<dyn FnOnce() + Send>;

/// Reads what a configuration asks for, and changes nothing yet; or says what is wrong with it.
type Prepare = Box<dyn Fn(&Config) -> Result<Commit, String> + Send + Sync>;

/// A part of the configuration that can change while the service runs.
pub(super) struct Part {
    key: &'static str,
    prepare: Prepare,
}

impl Part {
    /// The part that this key or section decides: `log.level` or `tls`, for example.
    pub(super) fn new(
        key: &'static str,
        prepare: impl Fn(&Config) -> Result<Commit, String> + Send + Sync + 'static,
    ) -> Self {
        Self { key, prepare: Box::new(prepare) }
    }
}

/// Hears SIGHUP. From here on it does not end the process.
pub(super) struct Hangups(Signal);

impl Hangups {
    /// Begins to listen, within the runtime of the caller.
    ///
    /// # Errors
    ///
    /// When the handler cannot be installed.
    pub(super) fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Reloads at each signal, in a task of its own.
    pub(super) fn reload(mut self, reload: Reload) {
        let reload = Arc::new(reload);
        drop(panics::spawn("the reload of the configuration", async move {
            while self.0.recv().await.is_some() {
                let reload = Arc::clone(&reload);
                // A file may be on a disk that hangs. An error is a panic, logged already.
                let _done_or_panicked: Result<(), _> =
                    spawn_blocking(move || reload.reload_and_tell()).await;
            }
        }));
    }
}

/// What is running, and what of it can change.
pub(super) struct Reload {
    args: RunArgs,
    parts: Vec<Part>,
    audit: Arc<Audit>,
    /// The configuration in force, as nested tables.
    running: Mutex<Value>,
}

/// What came of a reload: keys, as `section.key`.
#[derive(Debug, PartialEq, Eq)]
struct Reloaded {
    /// In force as they are read now.
    reloaded: Vec<&'static str>,
    /// Changed, and in force only after a restart.
    need_restart: Vec<String>,
}

impl Reload {
    /// Reloads these parts of what runs as configured.
    ///
    /// # Errors
    ///
    /// When the configuration cannot be written as tables.
    pub(super) fn new(
        args: RunArgs,
        running: &Config,
        parts: Vec<Part>,
        audit: Arc<Audit>,
    ) -> Result<Self, serde_json::Error> {
        let running = Mutex::new(serde_json::to_value(running)?);
        Ok(Self { args, parts, audit, running })
    }

    fn reload_and_tell(&self) {
        let reloaded = self.reload();
        let digest = reloaded.as_ref().ok().map(|(_, digest)| digest.clone());
        let mistake = reloaded.as_ref().err().map(String::as_str);
        audit::reloaded(&self.audit, "configuration", digest, mistake);
        match reloaded.map(|(reloaded, _)| reloaded) {
            Ok(Reloaded { reloaded, need_restart }) if need_restart.is_empty() => {
                tracing::info!(reloaded = reloaded.join(" "), "configuration reloaded");
            }
            Ok(Reloaded { reloaded, need_restart }) => tracing::warn!(
                reloaded = reloaded.join(" "),
                need_restart = need_restart.join(" "),
                "configuration reloaded; some changes need a restart"
            ),
            Err(error) => tracing::error!(error, "configuration not reloaded: nothing has changed"),
        }
    }

    /// Reads everything again, and changes all parts or none. The digest of what was read comes
    /// with it.
    fn reload(&self) -> Result<(Reloaded, String), String> {
        let file = self.args.config().map_err(|error| error.to_string())?;
        plan::plan(&file).map_err(|error| error.to_string())?;
        let read = serde_json::to_value(&file.config).map_err(|error| error.to_string())?;
        let prepared = self.parts.iter().map(|part| (part.prepare)(&file.config));
        let commits = prepared.collect::<Result<Vec<Commit>, String>>()?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for commit in commits {
            commit();
        }
        let reloaded: Vec<_> = self.parts.iter().map(|part| part.key).collect();
        let mut need_restart = differences(&running, &read);
        need_restart.retain(|key| !reloaded.iter().any(|part| is_of(key, part)));
        for key in &reloaded {
            let pointer = format!("/{}", key.replace('.', "/"));
            if let (Some(old), Some(new)) = (running.pointer_mut(&pointer), read.pointer(&pointer))
            {
                old.clone_from(new);
            }
        }
        Ok((Reloaded { reloaded, need_restart }, audit::digest(&file.config)))
    }
}

/// Whether a key is a part, or of the section that is one.
fn is_of(key: &str, part: &str) -> bool {
    key.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The keys whose values differ, as `section.key`. Both configurations have all keys.
fn differences(one: &Value, other: &Value) -> Vec<String> {
    let (Value::Object(one), Value::Object(other)) = (one, other) else { return Vec::new() };
    let changed = one.iter().filter(|(key, value)| other.get(*key) != Some(value));
    changed
        .flat_map(|(key, value)| {
            let within = other.get(key).map_or_else(Vec::new, |other| differences(value, other));
            let named = |inner: String| format!("{key}.{inner}");
            match within.is_empty() {
                true => vec![key.clone()],
                false => within.into_iter().map(named).collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::boot::config::ConfigFile;

    /// A reload of the level of the log and of the metrics' address, which is never 127.0.0.1:666.
    fn reload(path: &Path, committed: &Arc<Mutex<Vec<String>>>) -> Reload {
        let level = Arc::clone(committed);
        let part = Part::new("log.level", move |config| {
            let (level, new) = (Arc::clone(&level), config.log.level.clone());
            Ok(Box::new(move || level.lock().unwrap().push(new)))
        });
        let other = Part::new("metrics.listen", |config| match config.metrics.listen {
            Some(address) if address.port() == 666 => Err("not there".to_owned()),
            _ => Ok(Box::new(|| {})),
        });
        let args =
            RunArgs { config: Some(path.to_owned()), workers: Some(2), ..RunArgs::default() };
        let running = args.config().unwrap().config;
        Reload::new(args, &running, vec![part, other], Audit::off()).unwrap()
    }

    #[test]
    fn all_parts_change_or_none_and_other_keys_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mosd.toml");
        fs::write(&path, "").unwrap();
        let committed = Arc::default();
        let reload = reload(&path, &committed);
        let outcome = |text: &str| {
            fs::write(&path, text).unwrap();
            let (Reloaded { reloaded, need_restart }, _) = reload.reload()?;
            assert_eq!(reloaded, ["log.level", "metrics.listen"]);
            Ok::<_, String>(need_restart.join(" "))
        };
        assert_eq!(outcome("[log]\nlevel = \"debug\"").unwrap(), "");
        let text = "ports = [\"x.pcap\"]\n[server]\npayload = true\nlisten = [\"unix:///x\"]\n\
                    [options]\nclient_buffer = \"4KiB\"\n[dataplane]\nworkers = 7";
        let changed = "options.client_buffer ports server.listen server.payload";
        assert_eq!(outcome(text).unwrap(), changed, "the command line decides the workers");
        assert_eq!(outcome(text).unwrap(), changed, "they still need one");
        let wrong = "[log]\nlevel = \"warn\"\n[metrics]\nlisten = \"127.0.0.1:666\"";
        assert_eq!(outcome(wrong).unwrap_err(), "not there");
        assert!(outcome("[log]\nlevel = 1").unwrap_err().contains("line 2"));
        assert!(outcome("[server]\nlisten = []").unwrap_err().contains("names no address"));
        assert_eq!(outcome("").unwrap(), "");
        assert_eq!(*committed.lock().unwrap(), ["debug", "info", "info", "info"]);
    }

    #[test]
    fn a_configuration_is_written_as_it_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mosd.toml");
        let sample = ConfigFile::read(&path).unwrap().config;
        let written = toml::to_string(&sample).unwrap();
        assert_eq!(toml::from_str::<Config>(&written).unwrap(), sample, "{written}");
    }
}
