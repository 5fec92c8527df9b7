//! `mosd replay --preload`: the rate at which a capture is handled from memory.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::io::Write as _;
use std::time::Duration;

use mos_dataplane::traffic::Conversations;
use mos_tests::program::{command, ours, run};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);
const FRAMES: u32 = 5000;

/// A capture of demo traffic, 1 ms between two frames, and its bytes on the wire.
fn capture() -> (tempfile::NamedTempFile, u64) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut bytes = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat();
    let (mut conversations, mut frame) = (Conversations::new(30, 7), Vec::new());
    let mut on_wire = 0;
    for millis in 0..FRAMES {
        conversations.next_frame(&mut frame);
        let length = u32::try_from(frame.len()).expect("frames are short");
        let time = [1_700_000_000 + millis / 1000, millis % 1000 * 1000];
        bytes.extend([time[0], time[1], length, length].map(u32::to_le_bytes).concat());
        bytes.extend(&frame);
        on_wire += u64::from(length) + 24;
    }
    file.write_all(&bytes).expect("a file can be written");
    (file, on_wire)
}

#[test]
fn a_preloaded_capture_is_handled_again_and_again_and_one_record_says_how_fast() {
    let (file, on_wire) = capture();
    let replay = |words: &[&str]| {
        let mut replay = command(ours("mosd"), ["replay"]);
        let finished = run(replay.args(words).arg(file.path()), LIMIT).succeeded();
        assert_eq!(finished.stderr, "");
        finished.text()
    };
    let records = replay(&[]).lines().count();
    let text = replay(&["--preload", "--repeat=4"]);
    let rate: Value = serde_json::from_str(&text).expect("one record");
    assert_eq!(rate["packets"], 4 * FRAMES);
    assert_eq!(rate["wire_bytes"], 4 * on_wire);
    assert_eq!(rate["flows"], 4 * records, "every round begins with no flows");
    let number = |key: &str| rate[key].as_f64().expect("a number");
    assert!(number("stream_bytes") > 0.0 && number("seconds") > 0.0);
    // With one worker, the time per packet and the packets per second are reciprocal.
    assert!((number("ns_per_packet") * number("mpps") / 1000.0 - 1.0).abs() < 0.01);
    let bits = number("wire_bytes") / number("packets") * 8.0;
    assert!((number("gbps") / number("mpps") / bits * 1000.0 - 1.0).abs() < 0.01);
    let line = replay(&["--preload", "--output=table"]);
    assert!(line.contains("5000 packets") && line.contains(" Gbps on the wire"), "{line}");
}
