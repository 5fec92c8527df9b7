//! Who may do what, by the configuration: the roles file, or what holds where none is named.

use std::path::Path;

use super::config::{self, Config, ConfigError};
use crate::auth::Grants;

/// Who may do what, by the configuration.
///
/// # Errors
///
/// A roles file that cannot be read or has a mistake, with its place.
pub(super) fn grants(config: &Config) -> Result<Grants, ConfigError> {
    match &config.server.roles {
        Some(path) => read(path),
        None => Ok(Grants::built_in(rustix::process::geteuid().as_raw())),
    }
}

/// What a roles file says.
///
/// # Errors
///
/// As [`grants`].
pub(super) fn read(path: &Path) -> Result<Grants, ConfigError> {
    let path = path.to_owned();
    let text = match config::read(&path) {
        Ok(text) => text,
        Err(error) => return Err(ConfigError::Read { path, error }),
    };
    let grants = Grants::parse(&text);
    grants.map_err(|mistake| config::mistake(path, &text, mistake.start, &mistake.message))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::auth::{Proof, Role, Roles};

    #[test]
    fn the_sample_says_nearly_what_is_built_in() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/roles.toml");
        let grants = read(&path).unwrap();
        let socket: Arc<Path> = Arc::from(Path::new("/run/mosd/mosd.sock"));
        for (uid, roles) in [(0, Roles::ALL), (1000, Roles::of(Role::Operator))] {
            let proof = Proof::Socket { uid, gid: uid, path: Arc::clone(&socket) };
            assert_eq!(grants.roles(&proof), roles);
            assert_eq!(Grants::built_in(0).roles(&proof), roles);
        }
    }
}
