//! `mosd replay` on every capture of the corpus, under both overlap policies, judged by the
//! corpus' own reference model: no flow that it is sure of (tier `clean`) may differ.
//!
//! The corpus lies beside the repository, in `../shared/corpus`. Differences in the other tiers
//! are printed, not judged: there two correct implementations may differ.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mos_tests::program::{Finished, command, ours, run, skip};

/// More than any capture of the corpus takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Fewer captures or judgements than these mean that the test looked at the wrong thing.
const CAPTURES_MIN: usize = 100;
const CLEAN_MIN: u64 = 2000;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus")
}

fn captures(corpus: &Path) -> Vec<PathBuf> {
    let mut captures: Vec<_> = std::fs::read_dir(corpus.join("pcaps"))
        .expect("the corpus has a folder of captures")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap"))
        .collect();
    captures.sort();
    captures
}

#[track_caller]
fn replay(capture: &Path, words: &[&str]) -> Finished {
    let mut replay = command(ours("mosd"), ["replay"]);
    let finished = run(replay.args(words).arg(capture), LIMIT).succeeded();
    assert_eq!(finished.stderr, "", "{}", capture.display());
    finished
}

/// What the reference model says of the records, and its counts: `clean ok:reference 12` and so on.
fn compare(corpus: &Path, capture: &Path, records: &[u8]) -> (Finished, BTreeMap<String, u64>) {
    let mut actual = tempfile::NamedTempFile::new().expect("a temporary file");
    std::io::Write::write_all(&mut actual, records).expect("a file can be written");
    let mut expected = capture.as_os_str().to_owned();
    expected.push(".expected.jsonl");
    let mut judge = command("python3", [corpus.join("oracle.py")]);
    let finished = run(judge.arg("compare").arg(expected).arg(actual.path()), LIMIT);
    let counts = finished
        .text()
        .lines()
        .filter(|line| !line.starts_with("BAD ") && !line.starts_with("MISSING "))
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?)))
        .collect();
    (finished, counts)
}

#[test]
#[expect(clippy::print_stderr, reason = "what is not judged is shown")]
fn no_clean_stream_of_the_corpus_differs_from_the_reference() {
    let corpus = corpus();
    if !corpus.is_dir() {
        return skip("no ../shared/corpus beside the repository");
    }
    let captures = captures(&corpus);
    assert!(captures.len() >= CAPTURES_MIN, "only {} captures", captures.len());
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    for capture in &captures {
        for policy in ["first", "last"] {
            let records = replay(capture, &["--overlap", policy]).stdout;
            let (verdict, counts) = compare(&corpus, capture, &records);
            for (name, count) in counts {
                *sums.entry(name).or_default() += count;
            }
            if !verdict.status.success() {
                let (text, error) = (verdict.text(), verdict.stderr);
                wrong.push(format!("{} ({policy}):\n{text}{error}", capture.display()));
            }
        }
    }
    eprintln!("{sums:#?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let clean = sums.get("clean ok:reference").copied().unwrap_or_default();
    assert!(clean >= CLEAN_MIN, "only {clean} clean streams were judged");
}

#[test]
fn the_number_of_workers_changes_no_record_of_the_corpus() {
    let corpus = corpus();
    if !corpus.is_dir() {
        return skip("no ../shared/corpus beside the repository");
    }
    for capture in captures(&corpus) {
        let one = replay(&capture, &[]).text();
        let three = replay(&capture, &["--workers", "3"]).text();
        assert_eq!(one, three, "{}", capture.display());
    }
}
