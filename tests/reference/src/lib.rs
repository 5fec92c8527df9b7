//! The reference pages, made from the code, so that they cannot say anything else.
//!
//! `make reference` writes them, a test fails where they are stale. `make man` writes man pages and
//! shell completions from the same command lines.

mod api;
mod command;
mod configuration;
mod errors;
mod exit_codes;
mod limits;
mod manual;
mod metrics;
mod page;

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;

pub use manual::write_manual;

/// A generated page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// Its name below `docs/reference/`.
    pub name: &'static str,
    /// The whole text.
    pub text: String,
}

/// The root of the tree.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of the pages.
#[must_use]
pub fn folder() -> PathBuf {
    root().join("docs/reference")
}

/// The command line of `mosd`.
#[must_use]
pub fn mosd() -> clap::Command {
    mosd::boot::args::Cli::command()
}

/// The command line of `mosctl`.
#[must_use]
pub fn mosctl() -> clap::Command {
    mosctl::args::Cli::command()
}

/// Every generated page.
///
/// # Errors
///
/// Sources that cannot be read.
pub fn pages() -> anyhow::Result<Vec<Generated>> {
    let page = |name, text| Generated { name, text };
    Ok(vec![
        page("mosd.md", command::page(mosd())),
        page("mosctl.md", command::page(mosctl())),
        page("configuration.md", configuration::page(&root().join("deploy/mosd.toml"))?),
        page("api.md", api::page()?),
        page("errors.md", errors::page()),
        page("events.md", api::events()?),
        page("metrics.md", metrics::page()),
        page("exit-codes.md", exit_codes::page()),
        page("limits.md", limits::page()),
    ])
}
