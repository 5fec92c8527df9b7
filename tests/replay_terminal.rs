//! `mosd replay` on a terminal: a progress bar is drawn, and the replay ends. It also ends where
//! nobody reads what it says.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::io::Write as _;
use std::time::Duration;

use mos_tests::program::{command, ours, run};
use tempfile::NamedTempFile;

const LIMIT: Duration = Duration::from_secs(60);

/// A Python program that runs its arguments on a terminal of their own, and ends with their exit
/// code.
const ON_A_TERMINAL: &str = "\
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
";

/// A pcap of Ethernet frames with one record: 60 bytes that are not an IP packet.
fn capture() -> NamedTempFile {
    let mut capture = NamedTempFile::new().expect("a temporary file");
    let header = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1, 1_700_000_000, 0, 60, 60];
    capture.write_all(&header.map(u32::to_le_bytes).concat()).expect("a file can be written");
    capture.write_all(&[0; 60]).expect("a file can be written");
    capture
}

#[test]
fn the_progress_bar_does_not_stand_in_the_way() {
    let capture = capture();
    let mut replay = command("python3", ["-c", ON_A_TERMINAL]);
    let finished = run(replay.arg(ours("mosd")).arg("replay").arg(capture.path()), LIMIT);
    let shown = finished.succeeded().text();
    assert!(shown.contains("100 B"), "no progress bar: {shown:?}");
}

#[test]
fn a_replay_ends_as_it_would_where_nobody_reads_what_it_says() {
    let capture = capture();
    let mosd = ours("mosd");
    for (arguments, redirection, code) in [
        ("-o table", "2>/dev/full", 0),
        ("-o table", ">/dev/full", 1),
        ("-o table", "| true; exit \"${PIPESTATUS[0]}\"", 0),
        ("--preload --repeat 2", "| true; exit \"${PIPESTATUS[0]}\"", 0),
        ("--preload --repeat 2", ">/dev/full 2>&1", 1),
    ] {
        let script = format!("\"$0\" replay {arguments} \"$1\" {redirection}");
        let mut shell = command("bash", ["-c", &script]);
        let finished = run(shell.arg(&mosd).arg(capture.path()), LIMIT);
        assert_eq!(finished.code(), Some(code), "{script}: {}", finished.stderr);
        assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    }
}
