//! How `mosctl` ends when the server, the pipe or the user does something unexpected.

use std::{
    os::unix::net::UnixListener,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::io::ioctl_fionread;

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
