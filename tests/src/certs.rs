//! Certificates that `mosctl certs` has made for a test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::program::{self, Finished};

/// A call of `mosctl` that takes longer hangs.
const CALL_MAX: Duration = Duration::from_secs(60);

/// A CA, a server, and those who call it.
#[derive(Debug)]
pub struct Certs(TempDir);

impl Certs {
    /// Makes a CA, the certificate of a server, and one for each of these callers.
    #[track_caller]
    pub fn new(callers: &[&str]) -> Self {
        let certs = Self(tempfile::tempdir().expect("a temporary folder"));
        certs.make(&["init", "--host", "mos1.example"]);
        for caller in callers {
            certs.issue(caller, "90d");
        }
        certs
    }

    /// Makes the certificate of a caller that is good for so long.
    #[track_caller]
    pub fn issue(&self, caller: &str, span: &str) {
        self.make(&["issue", caller, "--for", span]);
    }

    /// Revokes the certificate of a caller.
    #[track_caller]
    pub fn revoke(&self, caller: &str) {
        self.make(&["revoke", caller]);
    }

    #[track_caller]
    fn make(&self, arguments: &[&str]) {
        let mut command = program::command(program::ours("mosctl"), ["certs"]);
        let command = command.args(arguments).arg("--dir").arg(self.folder());
        program::run(command, CALL_MAX).succeeded();
    }

    /// The folder of all files.
    pub fn folder(&self) -> PathBuf {
        self.0.path().join("certs")
    }

    /// A file of them.
    pub fn file(&self, name: &str) -> String {
        self.folder().join(name).display().to_string()
    }

    /// Puts a file in place of another.
    #[track_caller]
    pub fn put(&self, from: &Path, name: &str) {
        let (new, path) = (self.folder().join("new"), self.folder().join(name));
        std::fs::copy(from, &new).expect("a file of a lab");
        std::fs::rename(new, path).expect("it takes its place");
    }

    /// Section `[tls]` with these files.
    pub fn section(&self) -> String {
        let [cert, key, ca, crl] =
            ["server.pem", "server.key", "ca.pem", "crl.pem"].map(|name| self.file(name));
        format!(
            "[tls]\ncert = \"{cert}\"\nkey = \"{key}\"\nclient_ca = \"{ca}\"\ncrl = [\"{crl}\"]\n"
        )
    }

    /// `mosctl` aimed at an address over TLS, in the name of a caller or of nobody.
    pub fn mosctl(&self, address: &str, caller: Option<&str>) -> Command {
        let endpoint = format!("tls://{address}");
        let ca = self.file("ca.pem");
        let mut command = program::command(
            program::ours("mosctl"),
            ["--endpoint", &endpoint, "--cacert", &ca, "--config", "/dev/null"],
        );
        if let Some(caller) = caller {
            command.arg("--cert").arg(self.file(&format!("{caller}.pem")));
            command.arg("--key").arg(self.file(&format!("{caller}.key")));
        }
        command
    }

    /// Runs `mosctl` over TLS.
    #[track_caller]
    pub fn call(&self, address: &str, caller: Option<&str>, arguments: &[&str]) -> Finished {
        program::run(self.mosctl(address, caller).args(arguments), CALL_MAX)
    }
}
