//! The listeners of a running mosd: the file of its socket.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use mos_tests::program;
use mos_tests::service::{Mosd, Setup};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::Signal;

/// A call that takes longer hangs.
const CALL_MAX: Duration = Duration::from_secs(60);

/// The exit code where the set-up is at fault.
const USER_ERROR: i32 = 2;

/// The argument that stands for this socket.
fn address(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}

/// Connects without waiting for anything.
fn connected(socket: &Path) -> Option<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let client = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let client = client.expect("a socket");
    let address = SocketAddrUnix::new(socket).expect("a path");
    connect(&client, &address).is_ok().then_some(client)
}

#[test]
fn a_path_whose_file_was_removed_belongs_to_who_binds_it_next() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("shared.sock");
    let start = || Mosd::start(&Setup::demo().with(&["--listen", &address(&socket)]));
    let first = start();
    std::fs::remove_file(&socket).expect("its file is there");
    let second = start();
    first.stop(Signal::TERM).in_order();
    let mut status =
        program::command(program::ours("mosctl"), ["--endpoint", &address(&socket), "info"]);
    program::run(&mut status, CALL_MAX).succeeded();
    second.stop(Signal::TERM).in_order();
    assert!(!socket.exists());
}

#[test]
fn a_mosd_that_does_not_answer_keeps_its_socket() {
    let mosd = Mosd::start(&Setup::demo());
    let socket = mosd.socket();
    mosd.paused(|| {
        let waiting: Vec<OwnedFd> = std::iter::from_fn(|| connected(&socket)).collect();
        assert!(!waiting.is_empty(), "nobody listens");
        let failed = Mosd::fail(&Setup::demo().with(&["--listen", &address(&socket)]));
        assert_eq!(failed.finished.code(), Some(USER_ERROR), "{}", failed.finished.stderr);
        assert!(failed.finished.stderr.contains("is in use"), "{}", failed.finished.stderr);
    });
    mosd.mosctl(&["info"]).succeeded();
    mosd.stop(Signal::TERM).in_order();
}
