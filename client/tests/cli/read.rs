//! `read`: bytes to standard output or a file, gaps on standard error, and how it ends.

use crate::fake::{BUSY_FLOW, FLOW, Fake, HOLE, REQUEST, byte_at};

/// What is given of the client's stream.
fn given() -> Vec<u8> {
    (0..50_000).filter(|at| !(HOLE.0..HOLE.1).contains(at)).map(byte_at).collect()
}

#[test]
fn bytes_go_to_standard_output_and_gaps_are_told() {
    let ended = Fake::start().run(&["read", FLOW, "--side", "client"]).code(0);
    assert!(ended.stdout == given(), "{} bytes", ended.stdout.len());
    assert_eq!(
        ended.stderr,
        "note: 10000..10100 was never captured\n\
         note: 50000..50007 was overwritten unread\n\
         48.7 KiB (49,900 bytes) up to offset 50007; ended: rst\n\
         warning: 107 bytes in 2 gaps are missing\n"
    );
}

#[test]
fn loss_fails_only_where_that_was_asked_for() {
    let fake = Fake::start();
    fake.run(&["read", FLOW, "--side", "client", "--fail-on-loss"]).code(12).says(&["107 bytes"]);
    let ended = fake.run(&["read", FLOW, "--side", "server", "--fail-on-loss", "-q"]).code(0);
    assert_eq!(ended.silent().stdout, REQUEST);
}

#[test]
fn bytes_go_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream.bin");
    let path = path.to_str().unwrap();
    let fake = Fake::start();
    let ended = fake.run(&["read", FLOW, "--side", "client", "-O", path]).code(0);
    assert_eq!(ended.stdout, b"");
    assert!(std::fs::read(path).unwrap() == given());
    let nowhere = folder.path().join("none/stream.bin");
    let nowhere = nowhere.to_str().unwrap();
    fake.run(&["read", FLOW, "--side", "client", "-O", nowhere]).code(1).says(&[nowhere]);
    let line = ["read", FLOW, "--side", "client", "-O", path, "-o", "json"];
    let requests = fake.requests();
    fake.run(&line).code(2).says(&["leave -o out"]);
    assert_eq!(fake.requests(), requests, "nothing was sent");
}

#[test]
fn a_part_is_read_from_an_offset_on() {
    let read = ["read", FLOW, "--side", "server", "--offset", "4", "--max-bytes", "10"];
    let ended = Fake::start().run(&read).code(0).says(&["up to offset 14; ended: max-bytes"]);
    assert_eq!(ended.stdout, &REQUEST[4..14]);
}

#[test]
fn json_carries_offsets_gaps_and_the_end() {
    let read = ["read", FLOW, "--side", "client", "-o", "jsonl", "-q"];
    let ended = Fake::start().run(&read).code(0);
    let lines: Vec<serde_json::Value> =
        ended.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[1]["gap"]["lengthBytes"], "100");
    assert_eq!(lines[1]["gap"]["neverCaptured"], true);
    assert_eq!(lines[2]["data"]["offset"], "10100");
    assert_eq!(lines[5]["end"]["cause"], "rst");
}

#[test]
fn a_stream_that_breaks_off_is_a_failure_and_what_came_is_kept() {
    let ended = Fake::start().run(&["read", BUSY_FLOW, "--side", "client"]).code(6);
    assert_eq!(ended.stdout.len(), 10_000);
    ended.says(&["mosd is stopping", "SERVER_STOPPING", "ask again when mosd is back"]);
    Fake::start().run(&["read", "flows/0000000000000009", "--side", "client"]).code(4);
}
