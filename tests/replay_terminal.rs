//! `mosd replay` on a terminal: a progress bar is drawn, and the replay ends.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

use std::io::Write as _;
use std::time::Duration;

use mos_tests::program::{command, ours, run};

const LIMIT: Duration = Duration::from_secs(60);

/// A Python program that runs its arguments on a terminal of their own, and ends with their exit
/// code.
const ON_A_TERMINAL: &str = "\
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
";

#[test]
fn the_progress_bar_does_not_stand_in_the_way() {
    let mut capture = tempfile::NamedTempFile::new().expect("a temporary file");
    // A pcap of Ethernet frames with one record: 60 bytes that are not an IP packet.
    let header = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1, 1_700_000_000, 0, 60, 60];
    capture.write_all(&header.map(u32::to_le_bytes).concat()).expect("a file can be written");
    capture.write_all(&[0; 60]).expect("a file can be written");
    let mut replay = command("python3", ["-c", ON_A_TERMINAL]);
    let finished = run(replay.arg(ours("mosd")).arg("replay").arg(capture.path()), LIMIT);
    let shown = finished.succeeded().text();
    assert!(shown.contains("100 B"), "no progress bar: {shown:?}");
}
