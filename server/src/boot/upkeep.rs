//! Keeps the gate to the roles file: it is read again when it has changed. A mistake in it never
//! takes effect: what held before holds on, and the log and the status say why.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{task::spawn_blocking, time::sleep};

use super::{config::Config, reload::Part, roles};
use crate::auth::Gate;

/// How often it is looked whether the file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What changes where a file is written, or another takes its place: file, size, and time in
/// nanoseconds. `None` where it cannot be looked at.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// Keeps a gate to the roles file.
#[derive(Debug)]
pub(super) struct RolesFile {
    gate: Arc<Gate>,
    /// `None` where none is named.
    path: Mutex<Option<PathBuf>>,
}

impl RolesFile {
    /// For this gate, the file that the configuration names.
    pub(super) fn new(gate: Arc<Gate>, config: &Config) -> Arc<Self> {
        Arc::new(Self { gate, path: Mutex::new(config.server.roles.clone()) })
    }

    /// Which file that is, and what it says, as a reload changes it.
    pub(super) fn part(self: &Arc<Self>) -> Part {
        let file = Arc::clone(self);
        Part::new("server.roles", move |config| {
            let grants = roles::grants(config).map_err(|error| error.to_string())?;
            let (file, path) = (Arc::clone(&file), config.server.roles.clone());
            Ok(Box::new(move || {
                *file.path() = path;
                file.gate.replace(grants);
            }))
        })
    }

    /// Has the gate keep to the file, as it is and as it becomes.
    pub(super) async fn keep(self: Arc<Self>) {
        // What is read first may be newer than what was read at the start.
        let mut known = None;
        loop {
            let file = Arc::clone(&self);
            // It may be on a disk that hangs. An error is a panic, logged already.
            let looked = spawn_blocking(move || file.look(known)).await;
            known = looked.unwrap_or(known);
            sleep(LOOK_EVERY).await;
        }
    }

    /// Reads the file if it is not the one that is known.
    fn look(&self, known: Stamp) -> Stamp {
        let path = self.path().clone()?;
        let stamp = stamp(&path).ok();
        if stamp == known && known.is_some() {
            return known;
        }
        match roles::read(&path) {
            Ok(grants) => {
                if self.gate.replace(grants) {
                    tracing::info!(path = %path.display(), "other roles hold from now on");
                }
            }
            Err(error) => {
                let mistake = error.to_string();
                if self.gate.keep(mistake.clone()) {
                    tracing::error!(error = mistake, "roles unchanged: their file has a mistake");
                }
            }
        }
        stamp
    }

    fn path(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(path: &Path) -> io::Result<(u64, u64, u64, i64, i64)> {
    let file = fs::metadata(path)?;
    Ok((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Grants, Proof};

    #[test]
    fn a_changed_file_takes_effect_and_a_mistake_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roles.toml");
        let grant = |role: &str| format!("[[grant]]\nroles = [\"{role}\"]\nuid = 7\n");
        fs::write(&path, grant("viewer")).unwrap();
        let gate = Arc::new(Gate::new(Grants::default()));
        let file = RolesFile { gate: Arc::clone(&gate), path: Mutex::new(Some(path.clone())) };
        let proof = Proof::Socket { uid: 7, gid: 7, path: Arc::from(Path::new("/x")) };
        let roles = || gate.grants().roles(&proof).to_string();
        let mut known = file.look(None);
        assert_eq!((roles().as_str(), gate.mistake()), ("viewer", None));
        // Another file in its place, as tools that write whole files do it.
        let mut write = |text: &str| {
            let other = folder.path().join("other");
            fs::write(&other, text).unwrap();
            fs::rename(other, &path).unwrap();
            known = file.look(known);
            gate.mistake()
        };
        let mistake = write(&grant("king")).unwrap();
        assert!(mistake.contains("roles.toml, line 1") && mistake.contains("king"), "{mistake}");
        assert_eq!(roles(), "viewer");
        assert_eq!(write(&grant("payload")), None);
        assert_eq!(roles(), "payload");
        fs::remove_file(&path).unwrap();
        known = file.look(known);
        assert_eq!((roles().as_str(), known), ("payload", None));
        assert!(gate.mistake().unwrap().contains("cannot read"));
    }
}
