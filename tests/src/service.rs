//! A running `mosd` with a socket of its own, and `mosctl` aimed at it.

use std::fs::File;
use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{self, Finished};

/// A start that takes longer hangs. EAL loads a hundred drivers, on a machine that may be busy.
const START_MAX: Duration = Duration::from_secs(60);

/// An orderly end that takes longer hangs.
const STOP_MAX: Duration = Duration::from_secs(60);

/// A call of `mosctl` that takes longer hangs.
const CALL_MAX: Duration = Duration::from_secs(60);

/// The exit code of a list if some core has not answered.
const INCOMPLETE: i32 = 3;

/// Ports that tests listen on: below the ephemeral ports of the kernel.
const TEST_PORTS: RangeInclusive<u16> = 20_000..=29_999;

/// The configuration and arguments of a service.
#[derive(Debug, Default)]
pub struct Setup {
    /// Text of the configuration file; `None` for no `--config`. `FOLDER` stands for the folder
    /// of the service.
    pub config: Option<String>,
    /// Text of `FOLDER/roles.toml`.
    pub roles: Option<String>,
    /// Further arguments after `run`, with `FOLDER` as in `config`.
    pub arguments: Vec<String>,
    /// The network namespace to run in.
    pub namespace: Option<String>,
    /// Limits of resources, as `ulimit` takes them; `None` for those of the test.
    pub limits: Option<&'static str>,
}

impl Setup {
    /// A service on demo traffic.
    pub fn demo() -> Self {
        Self { arguments: vec!["--demo".to_owned()], ..Self::default() }
    }

    /// Adds arguments.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Sets the text of the configuration file.
    #[must_use]
    pub fn configured(mut self, text: &str) -> Self {
        self.config = Some(text.to_owned());
        self
    }

    /// Sets the text of the roles file, which the configuration must name.
    #[must_use]
    pub fn granting(mut self, text: &str) -> Self {
        self.roles = Some(text.to_owned());
        self
    }

    /// Sets limits of resources: of file descriptors `-Sn 300` for the soft one, `-n 300` for both.
    #[must_use]
    pub fn limited(mut self, limits: &'static str) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Sets the network namespace.
    #[must_use]
    pub fn inside(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }
}

/// A running service. Dropping it kills the process; [`Mosd::stop`] ends it in order.
#[derive(Debug)]
pub struct Mosd {
    child: Child,
    folder: TempDir,
}

impl Mosd {
    /// Starts a service and waits until it answers.
    #[track_caller]
    pub fn start(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = File::create(folder.path().join("log")).expect("a log file");
        Self::begin(setup, folder, log)
    }

    /// The same for a service whose log goes elsewhere.
    #[track_caller]
    pub fn start_logging_to(setup: &Setup, log: impl Into<Stdio>) -> Self {
        Self::begin(setup, tempfile::tempdir().expect("a temporary folder"), log)
    }

    #[track_caller]
    fn begin(setup: &Setup, folder: TempDir, log: impl Into<Stdio>) -> Self {
        let mut command = command(setup, folder.path());
        command.stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("mosd starts");
        let mut service = Self { child, folder };
        let mut ended = None;
        let ready = program::within(START_MAX, || {
            ended = service.child.try_wait().expect("mosd can be waited for");
            ended.is_some() || service.mosctl(&["info"]).status.success()
        });
        assert!(ready && ended.is_none(), "not ready ({ended:?}):\n{}", service.log());
        service
    }

    /// Runs a service whose start must fail.
    #[track_caller]
    pub fn fail(setup: &Setup) -> Failed {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let finished = program::run(&mut command(setup, folder.path()), START_MAX);
        let socket_left = socket(folder.path()).exists();
        Failed { finished, socket_left }
    }

    /// The Unix socket.
    pub fn socket(&self) -> PathBuf {
        socket(self.folder.path())
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Gives it another roles file.
    #[track_caller]
    pub fn grant(&self, text: &str) {
        write(self.folder(), "roles.toml", text);
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its threads, each with the CPUs that it may use.
    #[track_caller]
    pub fn threads(&self) -> Vec<Thread> {
        let folder = format!("/proc/{}/task", self.pid());
        let tasks = std::fs::read_dir(folder).expect("the service has threads");
        tasks.flatten().filter_map(|task| Thread::read(&task.path())).collect()
    }

    /// The log of the service so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs `mosctl` against this service.
    #[track_caller]
    pub fn mosctl(&self, arguments: &[&str]) -> Finished {
        let endpoint = format!("unix://{}", self.socket().display());
        let mut command = program::command(program::ours("mosctl"), ["--endpoint", &endpoint]);
        program::run(command.args(arguments), CALL_MAX)
    }

    /// Runs `mosctl -o json`, which must succeed, and reads its output.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        parse(&self.mosctl(&[&["-o", "json"], arguments].concat()).succeeded().text())
    }

    /// The flows that a selector matches, at most 1000. Repeats the call while a core has not
    /// answered in time, because its worker may be waiting for a CPU.
    #[track_caller]
    pub fn flows(&self, selector: &[&str]) -> Vec<Value> {
        let fixed = ["-o", "json", "flows", "list", "--limit", "1000"];
        let mut finished = None;
        program::within(CALL_MAX, || {
            let answer = finished.insert(self.mosctl(&[&fixed, selector].concat()));
            answer.code() != Some(INCOMPLETE)
        });
        let text = finished.expect("it was asked at least once").succeeded().text();
        match parse(&text).get("flows") {
            Some(Value::Array(flows)) => flows.clone(),
            Some(_) | None => Vec::new(),
        }
    }

    /// The name of a flow that outlives a test: the demo's long conversations use port 22.
    #[track_caller]
    pub fn lasting_flow(&self) -> String {
        let mut name = None;
        let found = program::within(START_MAX, || {
            let flows = self.flows(&["--port", "22", "--state", "established"]);
            let first = flows.first().and_then(|flow| flow.get("name")).and_then(Value::as_str);
            name = first.map(str::to_owned);
            name.is_some()
        });
        assert!(found, "no long conversation in the traffic:\n{}", self.log());
        name.unwrap_or_default()
    }

    /// The status of the service.
    #[track_caller]
    pub fn status(&self) -> Value {
        // The exit code is that of the worst condition, which does not matter here.
        parse(&self.mosctl(&["-o", "json", "status"]).text())
    }

    /// A condition of the status, by its type: its level, what it says, and what to do.
    #[track_caller]
    pub fn condition(&self, kind: &str) -> [String; 3] {
        let status = self.status();
        let all = status.get("conditions").and_then(Value::as_array).expect("conditions");
        let kind = Some(&Value::from(kind));
        let found = all.iter().find(|condition| condition.get("type") == kind);
        let found = found.expect("the condition is told");
        ["level", "message", "nextStep"]
            .map(|key| found.get(key).and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// The sum of one figure over all cores of the status.
    #[track_caller]
    pub fn core_total(&self, figure: &str) -> i64 {
        total(&self.status(), "cores", figure)
    }

    /// The sum of one figure over all ports of the status.
    #[track_caller]
    pub fn port_total(&self, figure: &str) -> i64 {
        total(&self.status(), "ports", figure)
    }

    /// Packets that a port or a core lost: none is acceptable.
    #[track_caller]
    pub fn packets_lost(&self) -> i64 {
        let status = self.status();
        total(&status, "ports", "lostPacketCount") + total(&status, "cores", "rxMissedCount")
    }

    /// Resident memory of the service, in KiB.
    #[track_caller]
    pub fn resident_kib(&self) -> i64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("a running service has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let figure = line.and_then(|line| line.split_whitespace().next()).expect("its memory");
        figure.parse().expect("a number")
    }

    /// Stops all threads of the service while something is done.
    #[track_caller]
    pub fn paused<R>(&self, during: impl FnOnce() -> R) -> R {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).expect("mosd can be signalled");
        let has_stopped = || self.threads().iter().all(|thread| thread.is_stopped);
        assert!(program::within(STOP_MAX, has_stopped), "mosd does not stop");
        let result = during();
        kill_process(pid, Signal::CONT).expect("mosd can be signalled");
        result
    }

    /// Writes its configuration file anew. The service does not read it before SIGHUP.
    #[track_caller]
    pub fn reconfigure(&self, text: &str) {
        write(self.folder(), "mosd.toml", text);
    }

    /// Sends the service a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("mosd can be signalled");
    }

    /// Ends the service with a signal; returns how it ended.
    #[track_caller]
    pub fn stop(self, signal: Signal) -> Stopped {
        self.signal(signal);
        self.ended()
    }

    /// Waits until the service has ended by itself; returns how it did.
    #[track_caller]
    pub fn ended(mut self) -> Stopped {
        let status = program::wait(&mut self.child, STOP_MAX);
        let log = self.log();
        let Some(status) = status else { panic!("mosd did not end within {STOP_MAX:?}:\n{log}") };
        Stopped { status, socket_left: self.socket().exists(), log }
    }
}

/// A thread of a service.
#[derive(Debug)]
pub struct Thread {
    /// Its name. The kernel keeps 15 characters.
    pub name: String,
    /// CPUs that it may use.
    pub cpus: Vec<usize>,
    /// Whether a signal has stopped it.
    pub is_stopped: bool,
}

impl Thread {
    /// `None` if the thread has ended meanwhile.
    fn read(task: &Path) -> Option<Self> {
        let status = std::fs::read_to_string(task.join("status")).ok()?;
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let number = |text: &str| text.parse::<usize>().expect("a CPU has a number");
        let cpus = field("Cpus_allowed_list:")?.split(',').flat_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            number(first)..=number(last)
        });
        let is_stopped = field("State:")?.starts_with('T');
        Some(Self { name: field("Name:")?.to_owned(), cpus: cpus.collect(), is_stopped })
    }
}

impl Drop for Mosd {
    fn drop(&mut self) {
        program::kill(&mut self.child);
    }
}

/// A service that did not start.
#[derive(Debug)]
pub struct Failed {
    /// The result of the process.
    pub finished: Finished,
    /// Whether its socket still exists.
    pub socket_left: bool,
}

/// A service that has ended.
#[derive(Debug)]
pub struct Stopped {
    /// Its exit status.
    pub status: ExitStatus,
    /// Whether its socket still exists.
    pub socket_left: bool,
    /// All that it logged.
    pub log: String,
}

impl Stopped {
    /// Asserts an orderly end: exit code 0, and no socket left.
    #[track_caller]
    pub fn in_order(&self) {
        assert_eq!(self.status.code(), Some(0), "{}", self.log);
        assert!(!self.socket_left, "the socket was left behind:\n{}", self.log);
    }
}

/// A number of proto3 JSON: absent is 0, and 64-bit integers are strings.
pub fn number(value: Option<&Value>) -> i64 {
    match value {
        Some(Value::String(text)) => text.parse().expect("a number in a string"),
        Some(Value::Number(number)) => number.as_i64().expect("an integer"),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => 0,
    }
}

#[track_caller]
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// The sum of one figure over the rows of one list of the status.
#[track_caller]
fn total(status: &Value, list: &str, figure: &str) -> i64 {
    let rows = status.get(list).and_then(Value::as_array).expect("the status has the list");
    assert!(!rows.is_empty(), "no {list} in {status}");
    let figures = rows.iter().map(|row| row.get(figure));
    figures.map(|value| number(Some(value.expect("the row has the figure")))).sum()
}

/// A free TCP address on the loopback. Neither the kernel nor another test takes it before it is
/// used.
#[track_caller]
pub fn free_address() -> String {
    let own = std::process::id() as usize % TEST_PORTS.len();
    let mut ports = TEST_PORTS.cycle().skip(own).take(TEST_PORTS.len());
    let free = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    format!("127.0.0.1:{}", free.expect("a free port"))
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("mosd.sock")
}

fn command(setup: &Setup, folder: &Path) -> Command {
    let mosd = program::ours("mosd");
    let mut command = match (&setup.namespace, setup.limits) {
        (Some(namespace), _) => {
            let mut command = program::command("ip", ["netns", "exec", namespace]);
            command.arg(mosd);
            command
        }
        (None, Some(limits)) => {
            let script = format!("ulimit {limits} && exec \"$0\" \"$@\"");
            let mut command = program::command("sh", ["-c", &script]);
            command.arg(mosd);
            command
        }
        (None, None) => program::command(mosd, [""; 0]),
    };
    command.arg("run").arg("--listen").arg(format!("unix://{}", socket(folder).display()));
    if let Some(text) = &setup.roles {
        write(folder, "roles.toml", text);
    }
    if let Some(text) = &setup.config {
        command.arg("--config").arg(write(folder, "mosd.toml", text));
    }
    command.args(setup.arguments.iter().map(|argument| within(folder, argument)));
    command
}

/// Writes a file of the service as a whole.
#[track_caller]
fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let (path, other) = (folder.join(name), folder.join("other"));
    std::fs::write(&other, within(folder, text)).expect("a file of the service");
    std::fs::rename(other, &path).expect("it takes its place");
    path
}

/// A text with the folder of the service where it says `FOLDER`.
fn within(folder: &Path, text: &str) -> String {
    text.replace("FOLDER", &folder.display().to_string())
}
