//! File descriptors: the service has what its limits need.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use mos_tests::service::{Mosd, Setup};
use rustix::process::Signal;
use serde_json::Value;

/// The header of a pcap file: Ethernet, whole frames.
const EMPTY_CAPTURE: [u8; 24] =
    [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

/// What the condition of descriptors says, after its level.
#[track_caller]
fn descriptors(mosd: &Mosd) -> [String; 2] {
    let status = mosd.status();
    let all = status.get("conditions").and_then(Value::as_array).expect("conditions");
    let kind = Some(&Value::from("descriptors"));
    let found = all.iter().find(|condition| condition.get("type") == kind).expect("it is told");
    ["level", "nextStep"]
        .map(|key| found.get(key).and_then(Value::as_str).unwrap_or_default().to_owned())
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
    assert_eq!(descriptors(&mosd), ["CONDITION_LEVEL_OK", ""]);
    mosd.stop(Signal::TERM).in_order();
}
