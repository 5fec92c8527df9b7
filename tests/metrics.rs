//! The metrics listener keeps to itself: whatever connects to it, the API has its descriptors.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use mos_tests::service::{Mosd, Setup, free_address};
use rustix::process::Signal;

/// A read that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A few more than a service with few descriptors may have.
const SILENT: usize = 350;

/// The header of a pcap file: Ethernet, whole frames.
const EMPTY_CAPTURE: [u8; 24] =
    [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

#[track_caller]
fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream
}

/// The answer to one request of the page.
#[track_caller]
fn page(address: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[track_caller]
fn open_files(mosd: &Mosd) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", mosd.pid()));
    files.expect("the service has files").count()
}

#[test]
fn silent_connections_take_no_descriptors_and_keep_nobody_out() {
    let address = free_address();
    let setup = Setup::demo().with(&["--metrics", &address]).limited("-n 300");
    let mosd = Mosd::start(&setup);
    let [level, _, next_step] = mosd.condition("descriptors");
    assert_eq!(level, "CONDITION_LEVEL_WARNING");
    assert!(next_step.contains("connections_max = 44"), "{next_step}");
    let before = open_files(&mosd);
    let silent: Vec<_> = (0..SILENT).map(|_| connect(&address)).collect();
    let answer = page(&address);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\n# EOF\n"), "{answer}");
    mosd.json(&["info"]);
    let taken = open_files(&mosd).saturating_sub(before);
    assert!(taken <= 32, "{taken} files more than before");
    assert!(!mosd.log().contains("cannot accept"), "{}", mosd.log());
    drop(silent);
    mosd.stop(Signal::TERM).in_order();
}

#[test]
fn the_soft_limit_of_descriptors_is_raised_to_what_the_limits_need() {
    // A capture of no packets: for ports, DPDK raises the limit as well.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = folder.path().join("empty.pcap");
    std::fs::write(&capture, EMPTY_CAPTURE).expect("a capture");
    let port = capture.to_str().expect("a path in plain text");
    let setup = Setup::default().with(&["--port", port]).limited("-Sn 256");
    let mosd = Mosd::start(&setup);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", mosd.pid()));
    let limits = limits.expect("the service has limits");
    let row = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut figures = row.expect("a row").split_whitespace();
    assert_eq!(figures.next(), Some("1280"), "{limits}");
    let [level, ..] = mosd.condition("descriptors");
    assert_eq!(level, "CONDITION_LEVEL_OK");
    mosd.stop(Signal::TERM).in_order();
}
