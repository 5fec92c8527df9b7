//! The program, from its arguments to its rows. No time is asserted.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]

use std::process::Command;

use serde_json::Value;

#[test]
fn every_case_asked_for_is_a_row_in_which_nothing_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("t1.pcap");
    let bench = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mos-bench"));
        let output = command.args(["--quick", "--arena-mib=1"]).args(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let path = capture.to_str().unwrap();
    let small = ["--traffic=t1", "--flows=100", "--payload=6"];
    bench(&[&small[..], &["--frames=2600", "--write-capture", path]].concat());
    // Headers of the file and of each frame, and at least the shortest frame.
    assert!(capture.metadata().unwrap().len() >= 24 + 2600 * (16 + 60));

    let json = folder.path().join("rows.json");
    let asked = ["--mode=track,read", "--workers=1,2", "--capture", path, "--json"];
    let table = bench(&[&small[..], &asked, &[json.to_str().unwrap()]].concat());
    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8, "two traffics, two modes, one and two workers: {table}");
    assert_eq!(table.lines().count(), 2 + rows.len(), "{table}");
    for row in rows {
        assert_eq!(row["checksums"], "on");
        assert_eq!(row["source"], "memory");
        assert!(row["packets"].as_u64().unwrap() > 0, "{row}");
        for who in ["timing", "ceiling"] {
            assert!(row[who]["median_ns"].as_f64().unwrap() > 0.0, "{row}");
        }
        // The smallest frame of T1 takes 84 bytes on a wire, a SYN 86.
        assert!((84.0..85.0).contains(&row["wire_bytes"].as_f64().unwrap()), "{row}");
        assert_eq!(row["note"], "", "{row}");
    }
}
