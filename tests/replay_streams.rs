//! `mosd replay --write-streams`: the corpus stream by stream, and a crowd of flows under a low
//! limit of descriptors.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mos_tests::program::{command, ours, run, skip};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(600);

/// With fewer streams than these the test has not read the corpus.
const STREAMS_MIN: usize = 900;

/// The streams of a folder: where they are, and the digest that the index has of each.
fn indexed(folder: &Path) -> Vec<(PathBuf, String)> {
    let index = fs::read_to_string(folder.join("index.jsonl")).expect("an index");
    let mut streams = Vec::new();
    for line in index.lines() {
        let record: Value = serde_json::from_str(line).expect("JSON");
        for direction in ["c2s", "s2c"].map(|direction| &record[direction]) {
            let Some(file) = direction["file"].as_str() else { continue };
            let digest = direction["sha256"].as_str().expect("a digest of each file");
            streams.push((folder.join(file), digest.to_owned()));
        }
    }
    streams
}

/// Asserts by a program of another maker that the files have their digests.
#[track_caller]
fn check(folder: &Path, streams: &[(PathBuf, String)]) {
    let lines = streams.iter().map(|(file, digest)| format!("{digest}  {}\n", file.display()));
    let sums = folder.with_extension("sums");
    fs::write(&sums, lines.collect::<String>()).expect("a file can be written");
    let mut sha256sum = command("sha256sum", ["--check", "--strict", "--quiet"]);
    run(sha256sum.arg(&sums), PATIENCE).succeeded();
}

#[test]
fn the_files_of_the_corpus_have_the_digests_of_its_records() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/pcaps");
    let Ok(entries) = fs::read_dir(&corpus) else {
        return skip("no ../shared/corpus beside the repository");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut count = 0;
    for (number, entry) in entries.enumerate() {
        let capture = entry.expect("the folder can be read").path();
        if capture.extension().is_none_or(|extension| extension != "pcap") {
            continue;
        }
        let written = folder.path().join(number.to_string());
        let mut replay = command(ours("mosd"), ["replay", "--write-streams"]);
        let finished = run(replay.arg(&written).arg(&capture), PATIENCE);
        let plain = run(command(ours("mosd"), ["replay"]).arg(&capture), PATIENCE);
        // Streams that have no digest are told, too.
        assert!(finished.stderr.starts_with(&plain.stderr), "{}", finished.stderr);
        let streams = indexed(&written);
        if !streams.is_empty() {
            check(&written, &streams);
        }
        count += streams.len();
    }
    assert!(count >= STREAMS_MIN, "only {count} streams");
}

/// A folder in memory, where there is one: some disks take a millisecond for each file.
fn quick_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// A capture of so many flows, all at one time, of one segment each.
fn crowd(path: &Path, flows: u32) {
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
    let mut bytes = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1]);
    for flow in 0..flows {
        let [_, high, middle, low] = flow.to_be_bytes();
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend([
            0x45, 0, 0, 48, 0, 0, 0, 0, 64, 6, 0, 0, 10, high, middle, low, 10, 255, 0, 1,
        ]);
        frame.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 16, 0, 0, 0, 0, 0]);
        frame.extend(*b"/../../x");
        bytes.extend(words(&[1_700_000_000, 0, 62, 62]));
        bytes.extend(frame);
    }
    fs::write(path, bytes).expect("a file can be written");
}

#[test]
fn a_hundred_thousand_flows_take_few_descriptors_and_bounded_folders() {
    const FLOWS: usize = 100_000;
    let folder = quick_folder();
    let (capture, written) = (folder.path().join("crowd.pcap"), folder.path().join("written"));
    crowd(&capture, 100_000);
    let script =
        "ulimit -n 32; exec \"$0\" replay --workers 2 --summary --write-streams \"$1\" \"$2\"";
    let mut replay = command("bash", ["-c", script]);
    run(replay.arg(ours("mosd")).arg(&written).arg(&capture), PATIENCE).succeeded();
    assert_eq!(indexed(&written).len(), FLOWS);
    let folders = fs::read_dir(&written).expect("the folder");
    let folders: Vec<_> = folders.map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(folders.len(), 256 + 1, "and the index");
    let sizes = folders.iter().filter(|path| path.is_dir());
    let sizes = sizes.map(|path| fs::read_dir(path).expect("a folder").count());
    let largest = sizes.max().expect("folders");
    assert!(largest < 4 * FLOWS / 256, "{largest} files in one folder");
    let outside: Vec<_> = fs::read_dir(folder.path()).expect("the folder").collect();
    assert_eq!(outside.len(), 2, "{outside:?}");
}
