//! `mosd replay` on one conversation in each encapsulation: the captures of the folder `tunnels` of
//! the corpus, which is next to the repository, in `../shared/corpus`.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use mos_tests::program::{Finished, command, ours, run, skip};
use serde_json::{Value, json};

/// More than any of these captures takes, even on a slow machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The digests of what client and server say in each of them.
const SAID: [&str; 2] = [
    "ab1c89049f4a5e659ba5ee8f316070a3a715b295c5a92873abcc946a0efda6a7",
    "f5e86aaf609bc94ad758ff3107a97d78ac809ec330b219ff090e60422f6b0bac",
];

/// Captures of one flow, and the VLAN id that it shows.
const ONE_FLOW: [(&str, Option<u16>); 23] = [
    ("vxlan", None),
    ("vxlan-v6-outer-inner-vlan", Some(12)),
    ("vxlan-outer-fragments", None),
    ("vxlan-inner-fragments", None),
    ("geneve-options", None),
    ("gre-ipv4", None),
    ("gre-key-teb-ipv6", None),
    ("erspan-1", None),
    ("erspan-2", Some(100)),
    ("erspan-3", Some(100)),
    ("erspan-3-subheader", Some(100)),
    ("mpls-two-labels", None),
    ("mpls-pseudowire", None),
    ("pppoe", None),
    ("pppoe-ipv6-in-qinq", Some(9)),
    ("ipip", None),
    ("6in4", None),
    ("4in6", None),
    ("gtp-u", None),
    ("gtp-u-5g-extension", None),
    ("nsh-over-ethernet", None),
    ("qinq-9100", Some(9)),
    ("ipip-depth-3", None),
];

fn tunnels() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/tunnels")
}

fn replay(name: &str, workers: &str) -> Finished {
    let capture = tunnels().join(name).with_extension("pcap");
    let words = ["replay", "--verify-checksums", "--workers", workers];
    run(command(ours("mosd"), words).arg(capture), LIMIT)
}

fn flows(records: &Finished) -> Vec<Value> {
    let text = records.text();
    text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

#[track_caller]
fn check_side(name: &str, side: &Value, packets: u64, digest: &str) {
    assert_eq!(side["packets"], packets, "{name} {side}");
    assert_eq!(side["sha256"], digest, "{name} {side}");
    for none in ["gaps", "retransmits", "conflicting_bytes", "suspicious_segments"] {
        assert_eq!(side[none], 0, "{name} {none}");
    }
}

#[test]
fn a_conversation_is_the_same_in_each_encapsulation() {
    if !tunnels().is_dir() {
        return skip("no ../shared/corpus beside the repository");
    }
    for (name, vlan) in ONE_FLOW {
        // Fragments of a tunnel say nothing of the flow within: they go where the outer addresses
        // lead, and that may be to another worker.
        let many = if name == "vxlan-outer-fragments" { "1" } else { "3" };
        for workers in ["1", many] {
            let finished = replay(name, workers);
            assert_eq!(finished.stderr, "", "{name}");
            let records = flows(&finished.succeeded());
            let [record] = &records[..] else { panic!("{name}: {} flows", records.len()) };
            let is_v6 = record["client_ip"] == "2001:db8::10";
            assert!(is_v6 || record["client_ip"] == "198.51.100.10", "{name} {record}");
            assert_eq!(record["client_port"], 40001, "{name}");
            assert_eq!(record["vlan"], json!(vlan), "{name}");
            assert_eq!(record["end_cause"], "fin", "{name}");
            check_side(name, &record["c2s"], 6, SAID[0]);
            check_side(name, &record["s2c"], 5, SAID[1]);
        }
    }
}

#[test]
fn what_is_no_flow_is_counted_by_its_reason() {
    if !tunnels().is_dir() {
        return skip("no ../shared/corpus beside the repository");
    }
    for (name, counts) in [
        ("hostile", &["16 of 16", " 1 not_ip", " 4 not_tcp", " 6 truncated", " 5 malformed"][..]),
        ("ipip-depth-12", &["11 of 11", " 11 too_deep"]),
    ] {
        let finished = replay(name, "3");
        assert_eq!((finished.text(), finished.code()), (String::new(), Some(1)), "{name}");
        for count in counts {
            assert!(finished.stderr.contains(count), "{name}: {}", finished.stderr);
        }
    }
}

/// A port that nobody told of is told of, and then it is opened.
#[test]
fn a_tunnel_on_another_port_is_told_with_the_word_that_opens_it() {
    if !tunnels().is_dir() {
        return skip("no ../shared/corpus beside the repository");
    }
    let (usual, other) = (4789_u16.to_be_bytes(), 8472_u16.to_be_bytes());
    let mut bytes = std::fs::read(tunnels().join("vxlan.pcap")).expect("a capture");
    for at in 0..bytes.len() - 1 {
        if bytes[at..].starts_with(&usual) {
            bytes[at..at + 2].copy_from_slice(&other);
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let capture = folder.path().join("other-port.pcap");
    std::fs::write(&capture, bytes).expect("room");
    let replay = |words: &[&str]| run(command(ours("mosd"), words).arg(&capture), LIMIT);
    let left_out = replay(&["replay"]);
    assert_eq!((left_out.text(), left_out.code()), (String::new(), Some(0)));
    let last = left_out.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("11 not_tcp"), "{last}");
    assert!(last.contains("VXLAN on UDP port 8472"), "{last}");
    assert!(last.ends_with("--vxlan-port 8472"), "{last}");
    let opened = replay(&["replay", "--vxlan-port", "8472"]).succeeded();
    assert_eq!(flows(&opened).len(), 1);
    let neither = replay(&["replay", "--no-tunnels"]);
    assert!(neither.stderr.contains("11 not_tcp"), "{}", neither.stderr);
}

#[test]
fn tunnels_that_are_switched_off_count_as_before() {
    if !tunnels().is_dir() {
        return skip("no ../shared/corpus beside the repository");
    }
    for (name, reason) in [("gre-ipv4", "11 not_tcp"), ("mpls-two-labels", "11 not_ip")] {
        let capture = tunnels().join(name).with_extension("pcap");
        let words = ["replay", "--no-tunnels"];
        let finished = run(command(ours("mosd"), words).arg(capture), LIMIT);
        assert_eq!(finished.text(), "", "{name}");
        assert!(finished.stderr.contains(reason), "{name}: {}", finished.stderr);
    }
}

/// Of two mirror sessions with the same addresses and ports, nothing tells the flows apart: the
/// second SYN ends the first, and the segments of both are one flow's.
#[test]
fn numbers_of_overlays_do_not_join_the_key() {
    if !tunnels().is_dir() {
        return skip("no ../shared/corpus beside the repository");
    }
    let records = flows(&replay("vxlan-two-vnis-same-tuple", "1").succeeded());
    let causes: Vec<_> = records.iter().map(|record| &record["end_cause"]).collect();
    assert_eq!(causes, ["reused", "fin"]);
}
