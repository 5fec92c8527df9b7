//! Where mosd is and how one proves to it who one is: TLS, contexts, certificates of a lab.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mos_text::{Endpoint, Span};

/// Where mosd is, and what TLS needs. What is not given here is that of the context.
#[derive(Debug, Clone, Default, Args)]
pub struct Access {
    /// Where mosd listens: `unix:///PATH`, `tls://HOST:PORT`, or `HOST:PORT` in plain text; by
    /// default that of the context, or else `unix:///run/mosd/mosd.sock`.
    #[arg(long, global = true, env = "MOSCTL_ENDPOINT", value_name = "ADDRESS")]
    pub endpoint: Option<Endpoint>,
    /// The context to use, instead of the current one of the settings.
    #[arg(long, global = true, env = "MOSCTL_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Settings of mosctl; by default mosctl/config.toml in `$XDG_CONFIG_HOME`, `~/.config` or
    /// `/etc`.
    #[arg(long, global = true, env = "MOSCTL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The CA of the server, in PEM; no other is trusted.
    #[arg(long, global = true, env = "MOSCTL_CACERT", value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// One's own certificate, in PEM, the leaf first.
    #[arg(long, global = true, env = "MOSCTL_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// The key of one's own certificate; nobody else may be able to read it.
    #[arg(long, global = true, env = "MOSCTL_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// A file with a token, instead of a certificate; nobody else may be able to read it. Over
    /// tls:// or the Unix socket only.
    #[arg(long, global = true, env = "MOSCTL_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The name that the server's certificate must have, instead of that in the endpoint.
    #[arg(long, global = true, env = "MOSCTL_SERVER_NAME", value_name = "NAME")]
    pub server_name: Option<String>,
}

/// What to do with contexts: each is an endpoint and what TLS needs there.
#[derive(Debug, Subcommand)]
pub enum ContextVerb {
    /// Lists the contexts; `*` marks the current one.
    List,
    /// Makes a context the current one.
    Use {
        /// Its name.
        name: String,
    },
    /// Adds a context of --endpoint, --cacert, --cert, --key, --token-file and --server-name; the
    /// first one, or the only one, becomes the current one.
    Add(ContextAddArgs),
    /// Shows what a call would use, with where each value comes from.
    Show,
    /// Removes a context.
    Remove {
        /// Its name.
        name: String,
    },
}

/// `context add`.
#[derive(Debug, Args)]
pub struct ContextAddArgs {
    /// Its name.
    pub name: String,
    /// A folder that `mosctl certs` has made: stands for --cacert, and with --as for --cert and
    /// --key.
    #[arg(long, value_name = "FOLDER", conflicts_with = "cacert")]
    pub certs: Option<PathBuf>,
    /// Whose certificate of that folder.
    #[arg(
        long = "as",
        value_name = "NAME",
        requires = "certs",
        conflicts_with_all = ["cert", "key"]
    )]
    pub as_name: Option<String>,
}

/// The roles that can be granted.
const ROLES: [&str; 4] = ["viewer", "operator", "payload", "admin"];

/// What to do with certificates of a lab. Everything is made here; nothing is sent.
#[derive(Debug, Subcommand)]
pub enum CertsVerb {
    /// Makes a CA and the certificate of a server.
    Init {
        /// A name or an address that the server is called by; may be repeated. It always has
        /// `localhost`, `127.0.0.1` and `::1`.
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        /// The folder to make.
        #[command(flatten)]
        folder: Folder,
    },
    /// Makes the certificate of a person or a program, and says how to grant it roles.
    Issue {
        /// Its name: lower-case letters, digits, `-`, `_` and `.`.
        name: String,
        /// The role to grant, as the roles file has it.
        #[arg(long, value_name = "ROLE", default_value = "viewer", value_parser = ROLES)]
        role: String,
        /// How long it is good, in whole seconds.
        #[arg(long = "for", value_name = "DURATION", default_value = "90d")]
        span: Span,
        /// The folder of the CA.
        #[command(flatten)]
        folder: Folder,
    },
    /// Revokes the certificate of a person or a program: rewrites `crl.pem`.
    Revoke {
        /// Its name.
        name: String,
        /// The folder of the CA.
        #[command(flatten)]
        folder: Folder,
    },
    /// Shows names, issuer and days of certificates. Exit code 13 if one has less than 14 days.
    Show {
        /// Files in PEM.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Makes a token and the grant that it needs. It is shown once; nothing is sent.
    Create {
        /// What the grant is called, in `whoami` and in the audit.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// The roles to grant; may be repeated, or written with commas.
        #[arg(
            long,
            value_name = "ROLE",
            value_delimiter = ',',
            default_value = "viewer",
            value_parser = ROLES
        )]
        roles: Vec<String>,
        /// How long it is good.
        #[arg(long, value_name = "DURATION", default_value = "90d")]
        expires: Span,
    },
}

/// The folder of a lab's certificates.
#[derive(Debug, Args)]
pub struct Folder {
    /// The folder.
    #[arg(long = "dir", value_name = "FOLDER", default_value = "mosd-certs")]
    pub path: PathBuf,
}
