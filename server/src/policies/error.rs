//! Why policies are not changed.

use std::{io, path::PathBuf};

use mos_stack::{SockOptError, policy::PolicyTableError};
use mos_text::Echo;

use crate::filter::FilterError;

/// Why a request about policies is not carried out. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A part of a policy cannot be.
    #[error("policy {}: {field}: {problem}", Echo(policy))]
    Invalid {
        /// The policy, as it was named.
        policy: String,
        /// The field of the policy.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The filter of a policy cannot be used.
    #[error("policy {policy}: filter, column {}: {}", error.column, error.message)]
    Filter {
        /// The policy.
        policy: String,
        /// What is wrong with it.
        error: FilterError,
    },
    /// The options of a policy cannot be.
    #[error("policy {policy}: {error}")]
    Options {
        /// The policy.
        policy: String,
        /// What is wrong with them.
        error: SockOptError,
    },
    /// The set as a whole cannot be.
    #[error("policies: {0}")]
    Set(String),
    /// The policies are too many, or too manifold, for one table.
    #[error(transparent)]
    Table(#[from] PolicyTableError),
    /// No policy has this name.
    #[error("there is no policy {}", Echo(.0))]
    NotFound(String),
    /// A policy has this name already.
    #[error("there is a policy {0} already")]
    Exists(String),
    /// The policy, or the set, has changed since the caller read its etag.
    #[error("{resource} has changed: its etag is now {current}")]
    EtagMismatch {
        /// The policy, or `policies`.
        resource: String,
        /// The etag in force.
        current: String,
    },
    /// The configuration names a file that says what the policies are.
    #[error("the policies are those of {}: change that file, and send mosd SIGHUP", .0.display())]
    FromFile(PathBuf),
    /// A change has still to be confirmed.
    #[error("generation {0} waits to be confirmed: confirm or cancel it first")]
    Unconfirmed(u64),
    /// Nothing waits to be confirmed.
    #[error("generation {0} does not wait to be confirmed")]
    NotPending(u64),
    /// The generation is not kept, or never was.
    #[error("generation {0} is not among those that are kept")]
    GenerationNotFound(u64),
    /// The change could not be made durable.
    #[error("the policies could not be stored: {0}")]
    Store(StoreError),
}

/// Why the store has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What kind of failure.
    pub kind: StoreFailure,
    /// What the system says.
    pub message: String,
}

/// Kinds of failures of the store: each has another remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFailure {
    /// No room on the disk, or of the quota.
    Full,
    /// The folder cannot be written to.
    ReadOnly,
    /// Anything else, such as an error of the disk.
    Failed,
}

impl StoreError {
    /// The failure of `what`.
    pub(super) fn new(what: &str, error: &io::Error) -> Self {
        let is_one_of = |kinds: [io::ErrorKind; 2]| kinds.contains(&error.kind());
        let kind = if is_one_of([io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded]) {
            StoreFailure::Full
        } else if is_one_of([io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied]) {
            StoreFailure::ReadOnly
        } else {
            StoreFailure::Failed
        };
        Self { kind, message: format!("{what}: {error}") }
    }
}
