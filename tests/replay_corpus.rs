//! `mosd replay` on every capture of the corpus, under both overlap policies, judged by the
//! reference model of the corpus: every flow of every tier is as the model expects, except for the
//! differences that [`JUSTIFIED`] and docs/explanation/semantics.md list one by one.
//!
//! The corpus is next to the repository, in `../shared/corpus`.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mos_tests::program::{Finished, command, ours, run, skip};

/// More than any capture of the corpus takes, even on a slow machine.
const LIMIT: Duration = Duration::from_secs(300);

/// With fewer captures or judgements than these, the test has not read the corpus.
const CAPTURES_MIN: usize = 100;
const CLEAN_MIN: u64 = 2000;

/// A capture, the places in which we differ, and why.
type Justified = (&'static str, &'static [&'static str], &'static str);

/// Captures in which we deliberately differ from the reference, in which flows, and why. See
/// docs/explanation/semantics.md.
const JUSTIFIED: [Justified; 13] = [
    (
        "arkime__pcap_tcp-reassembly-synthetic.pcap",
        &["flow 9 c2s", "missing 10.180.156.1 40009 10.180.156.2 80"],
        "after both FINs, a SYN with the number of the old one that nothing answers: a stray copy",
    ),
    (
        "arkime__pcap_tcp_handshake_synthetic.pcap",
        &["flow 2 c2s", "flow 2 s2c", "missing 192.0.2.10 40003 198.51.100.5 8080"],
        "the server answers the second SYN with a challenge ACK: it begins nothing",
    ),
    (
        "suricata-verify__util-action-tests_util-action-03_input.pcap",
        &["flow 0 c2s"],
        "payload of a SYN, sent again in a segment that acknowledges nothing: no endpoint takes it",
    ),
    (
        "tcpflow__test5-lines-randomized.pcap",
        &["flow 0 c2s", "missing 192.168.10.105 49392 69.163.156.173 80"],
        "shuffled: its SYN comes last, and nothing answers it",
    ),
    (
        "wireshark__captures_c1222_std_example8.pcap",
        &["flow 0 c2s"],
        "segments without any flag: every endpoint drops them",
    ),
    (
        "zeek__ftp_bigtransfer.pcap",
        &["flow 2 s2c"],
        "the flow goes on behind losses of gigabytes, which push its first bytes out of the buffer",
    ),
    (
        "suricata-verify__base64-decode-5885_input.pcap",
        &["flow 11 c2s", "flow 11 s2c", "missing 192.168.100.67 57558 142.251.39.35 443"],
        "a challenge ACK, the RST that it provokes and the same SYN again are one attempt",
    ),
    (
        "suricata-verify__tcp-fastopen-10-syn-data-ignore_input.pcap",
        &["flow 0 s2c"],
        "of two SYN/ACKs the one that the client acknowledged stands",
    ),
    (
        "zeek__tcp_reassembly.pcap",
        &["flow 0 c2s"],
        "five packets promise more bytes than their frames had: every endpoint drops them",
    ),
    (
        "ndpi__cfgs_default_pcap_fuzz-2006-09-29-28586.pcap",
        &["flow 18 c2s"],
        "a packet promises more bytes than its frame had",
    ),
    (
        "ndpi__cfgs_default_pcap_reasm_crash_anon.pcap",
        &["flow 0 c2s", "flow 0 s2c"],
        "fuzzed: such packets, and segments that no endpoint would take",
    ),
    (
        "zeek__modbus_fuzz-72.pcap",
        &["flow 0 c2s", "flow 0 s2c"],
        "fuzzed: such packets, and acknowledgements of what was never sent",
    ),
    (
        "zeek__ipv4_fragmented-4.pcap",
        &["missing 10.0.0.1 80 127.0.0.1 7790", "flow 1 c2s"],
        "a SYN from elsewhere to a loopback address, and fragments that overlap",
    ),
];

/// The same, under `last` alone.
const JUSTIFIED_UNDER_LAST: [Justified; 1] = [(
    "zeek__tcp_qi_internet_SYNACK_curl_jsonip.pcap",
    &["flow 0 s2c"],
    "an answer was injected, and acknowledged before the true one came: the client has taken it",
)];

/// Captures of which packets are in no record, though these are the most or bytes are missing that
/// they may have held: what is said of them, with exit code 1. Of the others nothing is said.
const LEFT_OUT: [(&str, &str); 6] = [
    (
        "ndpi__cfgs_default_pcap_fuzz-2006-09-29-28586.pcap",
        "6 of 131 packets were left out: 6 malformed (",
    ),
    (
        "ndpi__cfgs_default_pcap_reasm_crash_anon.pcap",
        "10 of 209 packets were left out: 10 malformed (",
    ),
    (
        "suricata-verify__transform-base64-7296_input.pcap",
        "2 of 59 packets were left out: 2 malformed (",
    ),
    ("zeek__ipv4_fragmented-4.pcap", "2 of 6 packets were left out: 1 fragment_overlap ("),
    ("zeek__modbus_fuzz-72.pcap", "2 of 36 packets were left out: 2 malformed ("),
    ("zeek__tcp_reassembly.pcap", "5 of 117 packets were left out: 5 malformed ("),
];

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus")
}

fn captures(corpus: &Path) -> Vec<PathBuf> {
    let mut captures: Vec<_> = fs::read_dir(corpus.join("pcaps"))
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
    let finished = run(replay.args(words).arg(capture), LIMIT);
    let name = capture.file_name().expect("a name").to_string_lossy();
    // What is noted of the times of a capture costs nothing.
    let noted = |line: &&str| line.starts_with("note: ") && line.contains("time");
    let told: Vec<_> = finished.stderr.lines().filter(|line| !noted(line)).collect();
    let Some((_, said)) = LEFT_OUT.iter().find(|(known, _)| *known == name) else {
        assert!(told.is_empty(), "{name}: {told:?}");
        return finished.succeeded();
    };
    let told = told.as_array().and_then(|[line]| line.strip_prefix("warning: "));
    assert!(told.is_some_and(|told| told.starts_with(said)), "{name}: {}", finished.stderr);
    assert_eq!(finished.code(), Some(1), "{name}");
    finished
}

/// The verdict of the reference model on the records of one capture.
#[derive(Debug, Default)]
struct Verdict {
    /// Its counts: `clean ok:reference 12` and so on.
    counts: BTreeMap<String, u64>,
    /// Where we differ: `flow 11 c2s`, `missing CLIENT PORT SERVER PORT`, `3 flows too many`.
    differences: Vec<String>,
}

fn compare(corpus: &Path, capture: &Path, records: &[u8]) -> Verdict {
    let mut actual = tempfile::NamedTempFile::new().expect("a temporary file");
    std::io::Write::write_all(&mut actual, records).expect("a file can be written");
    let mut expected = capture.as_os_str().to_owned();
    expected.push(".expected.jsonl");
    let flows = fs::read_to_string(&expected).expect("expected records").lines().count();
    let mut judge = command("python3", [corpus.join("oracle.py")]);
    let finished = run(judge.arg("compare").arg(&expected).arg(actual.path()), LIMIT);
    assert_eq!(finished.stderr, "", "{}", capture.display());
    let mut verdict = Verdict::default();
    let mut missing = 0;
    for line in finished.text().lines() {
        let mut words = line.splitn(6, ' ');
        match (words.next(), words.next()) {
            (Some("BAD"), Some(_capture)) => {
                let place: Vec<_> = words.take(3).collect();
                verdict.differences.push(place.join(" "));
            }
            (Some("MISSING"), Some(_capture)) => {
                verdict.differences.push(format!("missing {}", tuple_in(line)));
                missing += 1;
            }
            _ => {
                let (name, count) = line.rsplit_once(' ').expect("a name and a count");
                verdict.counts.insert(name.to_owned(), count.parse().expect("a count"));
            }
        }
    }
    let known = records.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    if known + missing > flows {
        verdict.differences.push(format!("{} flows too many", known + missing - flows));
    }
    verdict
}

/// The addresses and ports after the first parenthesis of a line, in any of the forms in which
/// Python prints the tuple.
fn tuple_in(line: &str) -> String {
    let tuple = line.split_once('(').map_or("", |(_, tuple)| tuple);
    let words = tuple.split(['(', ')', '\'', ',', ' ']);
    let is_end = |word: &&str| word.parse::<IpAddr>().is_ok() || word.parse::<u16>().is_ok();
    words.filter(is_end).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_missing_flow_is_named_by_its_tuple_however_python_writes_it() {
    let expected = "192.0.2.1 57558 2001:db8::1 443";
    for tuple in [
        "('192.0.2.1', 57558, '2001:db8::1', 443)",
        "(IPv4Address('192.0.2.1'), 57558, IPv6Address('2001:db8::1'), 443)",
    ] {
        assert_eq!(tuple_in(&format!("MISSING a-1_2.pcap {tuple} None")), expected);
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "the result is worth seeing in a run with --nocapture")]
fn every_stream_of_the_corpus_is_what_the_reference_expects_or_justified() {
    let corpus = corpus();
    if !corpus.is_dir() {
        return skip("no ../shared/corpus beside the repository");
    }
    let captures = captures(&corpus);
    assert!(captures.len() >= CAPTURES_MIN, "only {} captures", captures.len());
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for capture in &captures {
        let name = capture.file_name().expect("a name").to_string_lossy();
        for (policy, more) in [("first", &[][..]), ("last", &JUSTIFIED_UNDER_LAST)] {
            let mut all = JUSTIFIED.iter().chain(more);
            let justified = all.find(|(known, ..)| *known == name);
            let records = replay(capture, &["--overlap", policy]).stdout;
            let verdict = compare(&corpus, capture, &records);
            for (name, count) in verdict.counts {
                *sums.entry(name).or_default() += count;
            }
            let allowed = justified.map_or(&[][..], |(_, places, _)| places);
            assert_eq!(verdict.differences, allowed, "{name}, {policy}");
            if let Some((_, places, why)) = justified {
                eprintln!("{name}, {policy}: {}: {why}", places.join(", "));
            }
        }
    }
    eprintln!("{sums:#?}");
    let clean = sums.get("clean ok:reference").copied().unwrap_or_default();
    assert!(clean >= CLEAN_MIN, "only {clean} clean streams were judged");
}

#[test]
fn what_is_justified_is_said_in_the_semantics() {
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/explanation/semantics.md");
    let text = fs::read_to_string(text).expect("semantics.md");
    for (capture, places, _) in JUSTIFIED.into_iter().chain(JUSTIFIED_UNDER_LAST) {
        let row = text.lines().find(|line| line.contains(capture.trim_end_matches(".pcap")));
        let row = row.unwrap_or_else(|| panic!("semantics.md does not name {capture}"));
        let flow = places.first().and_then(|place| place.rsplit_once(' ')).expect("a flow").0;
        assert!(row.contains(flow), "{row}: does not name {flow}");
    }
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
