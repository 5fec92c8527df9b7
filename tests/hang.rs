//! A worker that hangs: what still works does, the rest is named, and the process ends.
//!
//! The worker's thread is held by a debugger's means, `ptrace(2)`, from Python.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use mos_tests::program;
use mos_tests::service::{Mosd, Setup};
use rustix::process::Signal;

/// The exit code of a list if some core has not answered.
const INCOMPLETE: i32 = 3;

/// What takes longer to be noticed is not noticed.
const NOTICED: Duration = Duration::from_secs(60);

/// Holds a thread for as long as this program runs, by `PTRACE_SEIZE` and `PTRACE_INTERRUPT`, with
/// `__WALL` to wait for the stop. A process is not gone before whoever holds a thread of it has
/// heard of the thread's end, so this waits for that, too.
const HOLD: &str = r#"
import ctypes, os, sys
pid, name = sys.argv[1:]
tasks = f"/proc/{pid}/task"
tid = next(int(t) for t in os.listdir(tasks) if open(f"{tasks}/{t}/comm").read().strip() == name)
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
for request in (0x4206, 0x4207):
    if ptrace(request, tid, 0, 0) != 0:
        sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")
status = os.waitpid(tid, 0x40000000)[1]
print("held", flush=True)
while os.WIFSTOPPED(status):
    status = os.waitpid(tid, 0x40000000)[1]
"#;

/// A thread of a service that is held. It runs on when this is dropped.
struct Held(Child);

impl Held {
    /// Holds a thread by its name; `None` where that is not allowed.
    #[track_caller]
    fn thread(mosd: &Mosd, name: &str) -> Option<Self> {
        let pid = mosd.pid().to_string();
        let mut command = program::command("python3", ["-c", HOLD, &pid, name]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("python3 starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("its output can be read");
        let held = Self(child);
        (line == "held\n").then_some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        program::kill(&mut self.0);
    }
}

/// A service with these workers, on demo traffic.
fn service(workers: &str, shutdown_timeout: &str) -> Mosd {
    let config = format!("[server]\nshutdown_timeout = \"{shutdown_timeout}\"\n");
    Mosd::start(&Setup::demo().configured(&config).with(&["--workers", workers]))
}

/// Whether a service is healthy, as `grpc.health.v1` tells it.
#[track_caller]
fn serves(mosd: &Mosd, service: &str) -> bool {
    let request = format!("{{\"service\":\"{service}\"}}");
    let health = "grpc.health.v1.Health/Check";
    let answer = mosd.mosctl(&["call", health, "-d", &request]).succeeded().text();
    let serves = answer.contains("\"SERVING\"");
    assert!(serves || answer.contains("\"NOT_SERVING\""), "{answer}");
    serves
}

#[test]
fn one_hung_worker_of_two_is_named_and_does_not_keep_the_process_from_ending() {
    let mosd = service("2", "1s");
    assert!(program::within(NOTICED, || mosd.flows(&["core = 1"]).len() > 2));
    let Some(held) = Held::thread(&mosd, "mos-worker-0") else {
        return program::skip("ptrace is not allowed");
    };
    let list = mosd.mosctl(&["--timeout", "3s", "-o", "json", "flows", "list", "--all"]);
    assert_eq!(list.code(), Some(INCOMPLETE), "{}", list.stderr);
    assert!(list.text().contains("\"core\":1"), "the other core is listed: {}", list.text());
    assert!(list.stderr.contains("cores/0"), "{}", list.stderr);
    assert!(!list.stderr.contains("cores/1"), "{}", list.stderr);
    assert!(serves(&mosd, "mos.v1.FlowService"), "one core works");
    let stopped = mosd.stop(Signal::TERM);
    assert_eq!(stopped.status.code(), Some(1), "{}", stopped.log);
    let last = stopped.log.lines().last().unwrap_or_default();
    for part in ["error: not stopped within 1s", "shutdown_timeout", "the workers of cores [0]"] {
        assert!(last.contains(part), "no {part:?} in {last}");
    }
    assert!(!stopped.socket_left, "the socket was left behind");
    drop(held);
}

#[test]
fn health_says_what_does_not_work_and_a_second_signal_ends_the_process_at_once() {
    let mosd = service("1", "1h");
    for name in ["", "mos.v1.EventService", "mos.v1.FlowService", "mos.v1.SystemService"] {
        assert!(serves(&mosd, name), "{name:?}");
    }
    let Some(held) = Held::thread(&mosd, "mos-worker-0") else {
        return program::skip("ptrace is not allowed");
    };
    assert!(program::within(NOTICED, || !serves(&mosd, "mos.v1.FlowService")));
    for (name, works) in
        [("", false), ("mos.v1.EventService", false), ("mos.v1.SystemService", true)]
    {
        assert_eq!(serves(&mosd, name), works, "{name:?}");
    }
    mosd.signal(Signal::TERM);
    assert!(program::within(NOTICED, || mosd.log().contains("stopping")), "{}", mosd.log());
    let stopped = mosd.stop(Signal::INT);
    assert_eq!(stopped.status.code(), Some(1), "{}", stopped.log);
    assert!(stopped.log.contains("error: ended at once by a second signal"), "{}", stopped.log);
    assert!(!stopped.socket_left, "the socket was left behind");
    drop(held);
}

#[test]
fn health_comes_back_with_the_worker() {
    let mosd = service("1", "5s");
    let Some(held) = Held::thread(&mosd, "mos-worker-0") else {
        return program::skip("ptrace is not allowed");
    };
    assert!(program::within(NOTICED, || !serves(&mosd, "mos.v1.FlowService")));
    drop(held);
    assert!(program::within(NOTICED, || serves(&mosd, "mos.v1.FlowService")));
    mosd.stop(Signal::TERM).in_order();
}
