//! The settings of mosctl: contexts, each an endpoint and what TLS needs there; and what a call
//! uses, by the command line, the environment, the context, and the defaults, in this order.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use mos_text::{Endpoint, Token, keeps_secret};
use serde::{Deserialize, Serialize};

use crate::{args::Access, error::Failure, tls::TlsFiles};

/// The settings, where neither the command line nor the environment names them: the first that is
/// there. The first can be written.
const SYSTEM_FILE: &str = "/etc/mosctl/config.toml";

/// The endpoint where nothing names one.
const ENDPOINT: &str = "unix:///run/mosd/mosd.sock";

/// A file of settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The context that is used where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// All contexts.
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// Where a mosd is, and what TLS needs there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Context {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<Endpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cacert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_name: Option<String>,
}

/// What a call uses.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    pub(crate) files: TlsFiles,
    /// The token to show.
    pub(crate) token: Option<Token>,
}

impl Settings {
    /// Reads the settings; none where there is no file.
    ///
    /// # Errors
    ///
    /// A file that is named and is not there, cannot be read, or has a mistake.
    pub(crate) fn read(access: &Access) -> Result<Self, Failure> {
        let candidates = match &access.config {
            Some(path) => vec![path.clone()],
            None => own_file().into_iter().chain([PathBuf::from(SYSTEM_FILE)]).collect(),
        };
        for path in candidates {
            let told = |problem: String| Failure::Usage(format!("{}: {problem}", path.display()));
            match fs::read_to_string(&path) {
                Ok(text) => {
                    return toml::from_str(&text)
                        .map_err(|error| told(error.to_string().trim_end().replace('\n', ", ")));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(told(error.to_string())),
            }
        }
        Ok(Self::default())
    }

    /// Writes the settings, as a whole.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub(crate) fn write(&self, access: &Access) -> Result<PathBuf, Failure> {
        let path = access.config.clone().or_else(own_file).ok_or_else(|| {
            Failure::Usage("neither --config nor HOME says where settings are".to_owned())
        })?;
        let text = toml::to_string(self).map_err(|error| Failure::Contract(error.to_string()))?;
        let told = |error| Failure::Usage(format!("cannot write {}: {error}", path.display()));
        replace(&path, &text).map_err(told)?;
        Ok(path)
    }

    /// The context that these arguments mean, and its name; `None` where there is none.
    ///
    /// # Errors
    ///
    /// A context that is named and is not there.
    pub(crate) fn context(&self, access: &Access) -> Result<Option<(&str, &Context)>, Failure> {
        let Some(name) = access.context.as_ref().or(self.current.as_ref()) else { return Ok(None) };
        match self.contexts.get_key_value(name) {
            Some((name, context)) => Ok(Some((name, context))),
            None => Err(Failure::Usage(format!(
                "there is no context {name:?}: `mosctl context list` shows those that are there"
            ))),
        }
    }
}

impl Context {
    /// What the command line and the environment say.
    pub(crate) fn typed(access: &Access) -> Self {
        let Access { endpoint, cacert, cert, key, token_file, server_name, .. } = access.clone();
        Self { endpoint, cacert, cert, key, token_file, server_name }
    }

    /// What this says, and where it says nothing, what the other does.
    fn or(self, other: Self) -> Self {
        Self {
            endpoint: self.endpoint.or(other.endpoint),
            cacert: self.cacert.or(other.cacert),
            cert: self.cert.or(other.cert),
            key: self.key.or(other.key),
            token_file: self.token_file.or(other.token_file),
            server_name: self.server_name.or(other.server_name),
        }
    }

    /// What it says, key by key.
    fn values(&self) -> [(&'static str, Option<String>); 6] {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        [
            ("endpoint", self.endpoint.as_ref().map(ToString::to_string)),
            ("cacert", path(&self.cacert)),
            ("cert", path(&self.cert)),
            ("key", path(&self.key)),
            ("token_file", path(&self.token_file)),
            ("server_name", self.server_name.clone()),
        ]
    }
}

impl Target {
    /// What a call with these arguments uses.
    ///
    /// # Errors
    ///
    /// Those of [`Settings::read`] and [`Settings::context`].
    pub(crate) fn of(access: &Access) -> Result<Self, Failure> {
        let settings = Settings::read(access)?;
        let context = settings.context(access)?.map(|(_, context)| context.clone());
        let used = Context::typed(access).or(context.unwrap_or_default());
        let Context { endpoint, cacert, cert, key, token_file, server_name } = used;
        let endpoint = endpoint.map_or_else(default_endpoint, Ok)?;
        let token = token_file.as_deref().map(read_token).transpose()?;
        if token.is_some() && matches!(endpoint, Endpoint::Plain(_)) {
            let problem = "is in plain text, where anybody on the way could read the token: call \
                           over tls:// or the Unix socket";
            return Err(Failure::Usage(format!("{endpoint} {problem}")));
        }
        Ok(Self { endpoint, files: TlsFiles { ca: cacert, cert, key, server_name }, token })
    }
}

/// What a call with these arguments uses: key, value, and where it comes from.
///
/// # Errors
///
/// As [`Target::of`].
pub(crate) fn resolved(access: &Access) -> Result<Vec<[String; 3]>, Failure> {
    let settings = Settings::read(access)?;
    let context = settings.context(access)?;
    let (name, context) =
        context.map_or_else(Default::default, |(name, context)| (name, context.clone()));
    let default = Context { endpoint: Some(default_endpoint()?), ..Context::default() };
    let ranks = [
        (Context::typed(access), "command line or environment".to_owned()),
        (context, format!("context {name}")),
        (default, "default".to_owned()),
    ];
    let mut rows: Vec<[String; 3]> = Vec::new();
    for (rank, from) in ranks {
        for (key, value) in rank.values() {
            let is_known = rows.iter().any(|row| row[0] == key);
            if let Some(value) = value.filter(|_| !is_known) {
                rows.push([key.to_owned(), value, from.clone()]);
            }
        }
    }
    Ok(rows)
}

/// The token in a file that nobody else may read.
fn read_token(path: &Path) -> Result<Token, Failure> {
    let told = |problem: String| Failure::Usage(format!("{}: {problem}", path.display()));
    let metadata = fs::metadata(path).map_err(|error| told(error.to_string()))?;
    if !keeps_secret(metadata.mode(), metadata.uid()) {
        return Err(told("others may read this token: chmod 600".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
    Token::read(text.trim()).ok_or_else(|| told("there is no token in it".to_owned()))
}

fn default_endpoint() -> Result<Endpoint, Failure> {
    ENDPOINT.parse().map_err(|error| Failure::Contract(format!("{error}")))
}

/// The user's own file of settings.
fn own_file() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("mosctl/config.toml"))
}

/// Puts a file in place of another, so that there always is one that is whole.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("toml.new");
    let mut file = OpenOptions::new();
    file.write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?
        .write_all(text.as_bytes())?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_comes_before_the_context_and_the_default_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mosctl/config.toml");
        let none = Access { config: Some(path.clone()), ..Access::default() };
        let at = |access: &Access| Target::of(access).unwrap().endpoint.to_string();
        assert_eq!(at(&none), ENDPOINT);
        let lab = Context {
            endpoint: Some("tls://mos1:50551".parse().unwrap()),
            cacert: Some("/lab/ca.pem".into()),
            ..Context::default()
        };
        let contexts = [("lab".to_owned(), lab), ("empty".to_owned(), Context::default())];
        let settings = Settings { current: Some("lab".to_owned()), contexts: contexts.into() };
        settings.write(&none).unwrap();
        assert_eq!(Settings::read(&none).unwrap(), settings);
        assert_eq!(at(&none), "tls://mos1:50551");
        let typed = Access { server_name: Some("x".to_owned()), ..none.clone() };
        let rows = resolved(&typed).unwrap();
        let from: Vec<_> =
            rows.iter().map(|[key, _, from]| (key.as_str(), from.as_str())).collect();
        let typed = "command line or environment";
        assert_eq!(
            from,
            [("server_name", typed), ("endpoint", "context lab"), ("cacert", "context lab")]
        );
        let named = |name: &str| Access { context: Some(name.to_owned()), ..none.clone() };
        assert_eq!(at(&named("empty")), ENDPOINT);
        let error = Target::of(&named("nowhere")).unwrap_err().to_string();
        assert!(error.contains("\"nowhere\"") && error.contains("context list"), "{error}");
        fs::write(path, "[contexts.lab]\nendpiont = 1\n").unwrap();
        let error = Target::of(&none).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("endpiont"), "{error}");
    }
}
