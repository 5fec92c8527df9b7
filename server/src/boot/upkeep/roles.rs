//! Keeps the gate to the roles file.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Kept;
use crate::{
    audit::Audit,
    auth::{Gate, Grants},
    boot::{audit, config::Config, reload::Part, roles},
};

/// Keeps a gate to the roles file.
#[derive(Debug)]
pub(in crate::boot) struct RolesFile {
    gate: Arc<Gate>,
    audit: Arc<Audit>,
    /// `None` where none is named.
    path: Mutex<Option<PathBuf>>,
}

impl RolesFile {
    /// For this gate, the file that the configuration names.
    pub(in crate::boot) fn new(gate: Arc<Gate>, audit: Arc<Audit>, config: &Config) -> Arc<Self> {
        Arc::new(Self { gate, audit, path: Mutex::new(config.server.roles.clone()) })
    }

    /// Which file that is, and what it says, as a reload changes it.
    pub(in crate::boot) fn part(self: &Arc<Self>) -> Part {
        let file = Arc::clone(self);
        Part::new("server.roles", move |config| {
            let grants = roles::grants(config).map_err(|error| error.to_string())?;
            let (file, path) = (Arc::clone(&file), config.server.roles.clone());
            Ok(Box::new(move || {
                *file.path() = path;
                let _are_others: bool = file.take(grants, "server.roles");
            }))
        })
    }

    /// From now on these hold. Whether they are others.
    fn take(&self, grants: Grants, from: &str) -> bool {
        let digest = grants.digest().to_string();
        let are_others = self.gate.replace(grants);
        if are_others {
            audit::reloaded(&self.audit, from, Some(digest), None);
        }
        are_others
    }

    fn path(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept for RolesFile {
    fn paths(&self) -> Vec<PathBuf> {
        self.path().iter().cloned().collect()
    }

    fn read(&self) {
        let Some(path) = self.path().clone() else { return };
        let told = path.display().to_string();
        match roles::read(&path) {
            Ok(grants) => {
                if self.take(grants, &told) {
                    tracing::info!(path = %path.display(), "other roles hold from now on");
                }
            }
            Err(error) => {
                let mistake = error.to_string();
                if self.gate.keep(mistake.clone()) {
                    audit::reloaded(&self.audit, &told, None, Some(&mistake));
                    tracing::error!(error = mistake, "roles unchanged: their file has a mistake");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{super::Known, *};
    use crate::auth::Proof;

    #[test]
    fn a_changed_file_takes_effect_and_a_mistake_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roles.toml");
        let grant = |role: &str| format!("[[grant]]\nroles = [\"{role}\"]\nuid = 7\n");
        fs::write(&path, grant("viewer")).unwrap();
        let gate = Arc::new(Gate::new(Grants::default(), None));
        let (held, path_held) = (Arc::clone(&gate), Mutex::new(Some(path.clone())));
        let file = RolesFile { gate: held, audit: Audit::off(), path: path_held };
        let proof = Proof::Socket { uid: 7, gid: 7, path: Arc::from(Path::new("/x")) };
        let roles = || gate.grants().roles(&proof).to_string();
        let mut known = Known::default();
        known.look(&file);
        assert_eq!((roles().as_str(), gate.mistake()), ("viewer", None));
        // Another file in its place, as tools that write whole files do it.
        let mut write = |text: &str| {
            let other = folder.path().join("other");
            fs::write(&other, text).unwrap();
            fs::rename(other, &path).unwrap();
            known.look(&file);
            gate.mistake()
        };
        let mistake = write(&grant("king")).unwrap();
        assert!(mistake.contains("roles.toml, line 1") && mistake.contains("king"), "{mistake}");
        assert_eq!(roles(), "viewer");
        assert_eq!(write(&grant("payload")), None);
        assert_eq!(roles(), "payload");
        fs::remove_file(&path).unwrap();
        known.look(&file);
        assert_eq!(roles(), "payload");
        assert!(gate.mistake().unwrap().contains("cannot read"));
    }
}
