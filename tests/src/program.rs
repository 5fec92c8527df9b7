//! Runs programs to their end. Every wait has a limit.

use std::ffi::OsStr;
use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Interval between two checks of a condition.
const LOOK: Duration = Duration::from_millis(10);

/// The result of a program.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, as text.
    pub stderr: String,
}

impl Finished {
    /// The exit code; `None` after a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Asserts exit code 0.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert!(
            self.status.success(),
            "{}\nstdout: {}\nstderr: {}",
            self.status,
            self.text(),
            self.stderr
        );
        self
    }
}

/// The path of one of our programs: `MOSD` or `MOSCTL` in the environment, else in the folder of
/// the tests' profile.
///
/// Cargo builds only the programs of a test's own package, so these must be built before:
/// `cargo build --workspace --bins --example set_buffer`.
#[track_caller]
pub fn ours(name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(name.to_uppercase()) {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.ancestors().nth(2).expect("tests lie in target/PROFILE/deps");
    let path = profile.join(name);
    assert!(
        path.exists(),
        "{} is missing: cargo build --workspace --bins --example set_buffer",
        path.display()
    );
    path
}

/// Makes a command of a program and its arguments.
pub fn command<I>(program: impl AsRef<OsStr>, arguments: I) -> Command
where
    I: IntoIterator<Item: AsRef<OsStr>>,
{
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end, and panics if that takes longer than `limit`.
#[track_caller]
pub fn run(command: &mut Command, limit: Duration) -> Finished {
    let mut stdout = tempfile::tempfile().expect("a temporary file");
    let mut stderr = tempfile::tempfile().expect("a temporary file");
    command.stdout(stdout.try_clone().expect("a second handle"));
    command.stderr(stderr.try_clone().expect("a second handle"));
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let Some(status) = wait(&mut child, limit) else {
        kill(&mut child);
        panic!("{command:?} did not end within {limit:?}");
    };
    Finished {
        status,
        stdout: read_back(&mut stdout),
        stderr: String::from_utf8_lossy(&read_back(&mut stderr)).into_owned(),
    }
}

/// Waits for a child's end; `None` if it has not ended in time.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let mut status = None;
    within(limit, || {
        status = child.try_wait().expect("a child can be waited for");
        status.is_some()
    });
    status
}

/// Checks a condition until it holds; returns whether it held in time.
pub fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

/// Kills a child, and reaps it.
pub fn kill(child: &mut Child) {
    if child.kill().is_ok() {
        // The exit status of a killed child does not matter.
        child.wait().map(drop).unwrap_or_default();
    }
}

/// Prints why a test is skipped. In CI (`CI=true`), where everything must run, this panics.
#[track_caller]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "must not be skipped: {reason}");
    eprintln!("SKIPPED: {reason}");
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn read_back(file: &mut std::fs::File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().expect("a file can be rewound");
    file.read_to_end(&mut bytes).expect("a file can be read");
    bytes
}
