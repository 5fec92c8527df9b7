//! Every way of giving a capture to `mosd replay` prints the same records, and a signal ends it
//! wherever it waits.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use mos_dataplane::traffic::Conversations;
use mos_tests::program::{command, ours, run, skip, wait, within};
use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(120);

/// A capture of demo traffic.
fn capture(path: &Path, frames: u32) {
    let mut conversations = Conversations::new(30, 5);
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
    let mut bytes = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1]);
    let mut frame = Vec::new();
    for millis in 0..frames {
        conversations.next_frame(&mut frame);
        let length = u32::try_from(frame.len()).expect("a short frame");
        let time = [1_700_000_000 + millis / 1000, millis % 1000 * 1000];
        bytes.extend(words(&[time[0], time[1], length, length]));
        bytes.extend_from_slice(&frame);
    }
    std::fs::write(path, bytes).expect("a file can be written");
}

fn replay(arguments: &[&str]) -> Command {
    let mut replay = command(ours("mosd"), ["replay"]);
    replay.args(arguments);
    replay
}

#[test]
fn every_way_of_giving_a_capture_prints_the_same_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain.pcap");
    capture(&plain, 5000);
    let shown = plain.to_str().expect("a path in UTF-8");
    let expected = run(&mut replay(&[shown]), PATIENCE).succeeded().text();
    assert!(expected.lines().count() > 40);
    let opened = || File::open(&plain).expect("the capture");
    for workers in ["--workers=1", "--workers=3"] {
        let mut stdin = replay(&[workers, "-"]);
        assert_eq!(run(stdin.stdin(opened()), PATIENCE).succeeded().text(), expected);
        let script = format!("cat \"$1\" | \"$0\" replay {workers} /dev/stdin");
        let mut piped = command("bash", ["-c", &script]);
        piped.arg(ours("mosd")).arg(&plain);
        assert_eq!(run(&mut piped, PATIENCE).succeeded().text(), expected);
        for tool in ["gzip", "zstd", "xz", "bzip2", "lz4"] {
            let mut known = command("bash", ["-c", &format!("command -v {tool}")]);
            if run(&mut known, PATIENCE).code() != Some(0) {
                skip(&format!("{tool} is not installed"));
                continue;
            }
            // Told by its bytes: the name says nothing of the compression.
            let packed = folder.path().join("packed.pcap");
            let script = format!("{tool} -c < \"$0\" > \"$1\"");
            let mut pack = command("bash", ["-c", &script]);
            run(pack.arg(&plain).arg(&packed), PATIENCE).succeeded();
            let packed = packed.to_str().expect("a path in UTF-8");
            let records = run(&mut replay(&[workers, packed]), PATIENCE).succeeded().text();
            assert_eq!(records, expected, "{tool}");
        }
    }
}

/// Whether a process has handlers of SIGINT and SIGTERM.
fn catches_signals(process: u32) -> bool {
    const BOTH: u64 = 1 << (2 - 1) | 1 << (15 - 1);
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask & BOTH == BOTH)
}

#[test]
fn signals_end_a_replay_wherever_it_waits_and_what_was_read_is_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain.pcap");
    capture(&plain, 200);
    let bytes = std::fs::read(&plain).expect("the capture");
    for (signal, workers, sent) in
        [(Signal::TERM, "1", 0), (Signal::INT, "2", 10), (Signal::TERM, "2", bytes.len() - 1)]
    {
        let mut replay = replay(&["--workers", workers, "-"]);
        replay.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = replay.spawn().expect("mosd starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(&bytes[..sent]).expect("mosd reads");
        let pid = Pid::from_child(&child);
        // It has caught the signals, and read the pipe empty.
        let is_ready =
            || catches_signals(child.id()) && ioctl_fionread(&stdin).is_ok_and(|rest| rest == 0);
        assert!(within(PATIENCE, is_ready));
        kill_process(pid, signal).expect("a signal is sent");
        let status = wait(&mut child, PATIENCE).expect("mosd ends");
        let (mut records, mut said) = (String::new(), String::new());
        child.stdout.take().expect("a pipe").read_to_string(&mut records).expect("text");
        child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        let is_begun = sent > 24;
        assert_eq!(status.code(), Some(if is_begun { 1 } else { 2 }), "{said}");
        assert!(said.contains("interrupted"), "{said}");
        assert_eq!(records.lines().count() > 10, is_begun, "{records}");
    }
}

#[test]
fn records_of_a_pipe_that_goes_on_are_printed_as_flows_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain.pcap");
    // 20 seconds: the first flows are over long before the end.
    capture(&plain, 20_000);
    let bytes = std::fs::read(&plain).expect("the capture");
    let mut replay = replay(&["--follow", "-"]);
    replay.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = replay.spawn().expect("mosd starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&bytes).expect("mosd reads");
    // The pipe stays open.
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = lines.next().expect("a record").expect("text");
    assert!(first.starts_with("{\"client_ip\":"), "{first}");
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal is sent");
    assert!(lines.count() > 20, "the flows that were open, too");
    let status = wait(&mut child, PATIENCE).expect("mosd ends");
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}
