//! How long a file of TLS is good.

use std::{path::PathBuf, time::SystemTime};

/// How long a file of TLS is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Validity {
    /// What it has: `certificate`, `CA` or `revocation list`.
    pub what: &'static str,
    /// The file.
    pub path: PathBuf,
    /// When its validity begins.
    pub from: SystemTime,
    /// When it ends.
    pub until: SystemTime,
}
