//! How `mosctl` ends when the server, the pipe or the user does something unexpected.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener},
    os::unix::net::{UnixListener, UnixStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::io::ioctl_fionread;
use tempfile::TempDir;

use crate::{
    fake::Fake,
    run::{Ended, alone, command, interrupt},
};

#[test]
fn no_server_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("unix://{}", folder.path().join("none").display());
    alone(&["--endpoint", &endpoint, "status"]).code(6).says(&[
        "cannot connect to unix://",
        "No such file",
        "mosd run",
        "--endpoint",
    ]);
    alone(&["--endpoint", "127.0.0.1:1", "list"]).code(6).says(&["127.0.0.1:1", "refused"]);
    alone(&["--endpoint", "nonsense", "list"])
        .code(2)
        .says(&["neither unix:///PATH nor HOST:PORT"]);
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for() {
    Fake::start().run(&["--timeout", "300ms", "list", "slow"]).code(6).says(&[
        "no answer within 300ms",
        "mos.v1.FlowService/ListFlows",
        "--timeout",
    ]);
    // Somebody who accepts connections and never says a word.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mute");
    let _listener = UnixListener::bind(&path).unwrap();
    let endpoint = format!("unix://{}", path.display());
    let ended = alone(&["--endpoint", &endpoint, "--timeout", "300ms", "status"]).code(6);
    ended.says(&["within 300ms"]);
}

#[test]
fn no_time_limit_is_too_short_or_too_long() {
    let fake = Fake::start();
    for time in ["1ns", "1us", "99999999s", "200000000m", "213503d"] {
        let long = time.len() > 3;
        for option in ["--timeout", "--connect-timeout"] {
            let ended = fake.run(&[option, time, "status"]);
            let codes: &[i32] = if long { &[0] } else { &[0, 6] };
            assert!(ended.code.is_some_and(|code| codes.contains(&code)), "{time}: {ended:?}");
        }
    }
    fake.run(&["--timeout", "99999999d", "status"]).code(2).says(&["0s to 213503d"]);
}

/// Somebody who says something to each that connects, and hangs up.
fn stranger(says: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // Whether the other end still listens does not matter.
            stream.read(&mut [0; 1024]).map(drop).unwrap_or_default();
            stream.write_all(says).unwrap_or_default();
        }
    });
    address
}

#[test]
fn a_lost_connection_is_an_absent_server_and_no_interruption() {
    for says in [
        &b""[..],
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        // HTTP/2: settings, and then GOAWAY, as a server that has no place for more.
        b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b",
    ] {
        let address = stranger(says);
        for command in [
            &["status"][..],
            &["list"],
            &["events"],
            &["call", "mos.v1.SystemService/GetStatus"],
            &["read", "00c004a900c901f2", "--side", "client"],
        ] {
            let arguments = [&["--endpoint", &address], command].concat();
            let ended = alone(&arguments);
            assert_eq!(ended.code, Some(6), "{command:?}, {says:?}: {ended:?}");
            ended.says(&["next", "--endpoint"]);
        }
    }
}

/// A way to a server that can be cut.
struct Way {
    folder: TempDir,
    streams: Arc<Mutex<Vec<UnixStream>>>,
}

impl Way {
    fn to(fake: &Fake) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("way")).unwrap();
        let server = fake.endpoint().trim_start_matches("unix://").to_owned();
        let streams = Arc::<Mutex<Vec<UnixStream>>>::default();
        let kept = Arc::clone(&streams);
        thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), UnixStream::connect(&server).unwrap());
                forward(&near, &far);
                forward(&far, &near);
                kept.lock().unwrap().extend([near, far]);
            }
        });
        Self { folder, streams }
    }

    fn cut(&self) {
        for stream in self.streams.lock().unwrap().iter() {
            stream.shutdown(Shutdown::Both).unwrap_or_default();
        }
    }
}

/// Passes on what one end says, until either is cut.
fn forward(from: &UnixStream, to: &UnixStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || io::copy(&mut from, &mut to).map(drop));
}

#[test]
fn a_server_that_goes_away_during_a_call_is_told_so() {
    let fake = Fake::start();
    let way = Way::to(&fake);
    let endpoint = format!("unix://{}", way.folder.path().join("way").display());
    let child = fake.spawn(&mut command(&["--endpoint", &endpoint, "list", "slow"]));
    while fake.requests() == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    way.cut();
    Ended::of(child.wait_with_output().unwrap()).code(6).says(&[
        "the connection to mosd was lost",
        "mos.v1.FlowService/ListFlows",
        "asking again is safe",
    ]);
}

#[test]
fn a_closed_output_is_no_error_whatever_is_written() {
    for arguments in [&["--help"][..], &["--version"], &["help", "filters"], &["completion", "zsh"]]
    {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = command(arguments).stdout(writer).output().unwrap();
        Ended::of(output).code(0).silent();
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let fake = Fake::start();
    let mut child = fake.spawn(&mut fake.command(&["list", "many", "--all", "-o", "yaml"]));
    drop(child.stdout.take());
    Ended::of(child.wait_with_output().unwrap()).code(0).silent();
}

#[test]
fn ctrl_c_ends_at_once() {
    let fake = Fake::start();
    let child = fake.spawn(&mut fake.command(&["list", "slow"]));
    while fake.requests() == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    // If nothing came of it, the request would time out: exit code 6.
    interrupt(&child);
    Ended::of(child.wait_with_output().unwrap()).code(130);
}

#[test]
fn ctrl_c_works_while_nobody_reads_the_output() {
    let fake = Fake::start();
    // More than a pipe holds.
    let mut child = fake.spawn(&mut fake.command(&["list", "many", "--all", "-o", "yaml"]));
    while ioctl_fionread(child.stdout.as_ref().unwrap()).unwrap() == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    // Time to fill the pipe. Where it is too short, this test sees less and still passes.
    thread::sleep(Duration::from_millis(500));
    assert_eq!(child.try_wait().unwrap(), None, "the output fitted into the pipe");
    interrupt(&child);
    let begin = Instant::now();
    let mut ended = None;
    while ended.is_none() && begin.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(10));
        ended = child.try_wait().unwrap();
    }
    child.kill().unwrap();
    assert_eq!(ended.and_then(|status| status.code()), Some(130));
}

#[test]
fn settings_come_from_the_environment_unless_the_command_line_says_otherwise() {
    let fake = Fake::start();
    let run = |command: &mut Command| Ended::of(command.output().unwrap());
    let json = run(fake.command(&["info"]).env("MOSCTL_OUTPUT", "json")).code(0).json();
    assert_eq!(json["node"], "mos1");
    let names = run(fake.command(&["list", "-o", "name"]).env("MOSCTL_OUTPUT", "json")).code(0);
    assert!(names.text().starts_with("flows/"));
    let colored = run(fake.command(&["status"]).env("MOSCTL_COLOR", "always")).code(0);
    assert!(colored.text().starts_with('\u{1b}'));
    let slow = fake.command(&["list", "slow"]).env("MOSCTL_TIMEOUT", "200ms").output().unwrap();
    Ended::of(slow).code(6);
}

#[test]
fn a_bad_command_line_sends_nothing() {
    for arguments in [
        &["list", "--port", "443", "core = 3"][..],
        &["list", "--not"],
        &["list", "--state", "open"],
        &["flows", "get", "10.0.0.1"],
        &["nothing"],
        &[],
    ] {
        let ended = Ended::of(command(arguments).output().unwrap()).code(2);
        assert!(!ended.stderr.is_empty(), "{arguments:?}");
    }
}
