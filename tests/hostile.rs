//! Attackers and long runs, in sizes that suit every test run; `make soak` has the full ones.

#![expect(
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::path::Path;

use mos_tests::hostile::{adversarial, floods, lifetimes, syn_flood};

#[test]
fn adversarial_packets_are_accounted_for_to_the_packet() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/pcaps");
    let figures = adversarial::run(100_000, &corpus, 1);
    let outcomes = ["monitored", "orphan", "checksum", "malformed", "truncated", "not_ip"];
    for outcome in outcomes {
        assert!(figures.outcomes.contains_key(outcome), "{outcome}: {:?}", figures.outcomes);
    }
}

#[test]
fn conversations_are_read_back_during_a_flood_of_syns() {
    let size = syn_flood::Size {
        syns: 300_000,
        conversations: 50,
        rounds: 3,
        flows_max: 20_000,
        slack: 4 << 20,
    };
    let figures = syn_flood::run(size, 2);
    assert!(figures.readings > 10, "{figures:?}");
}

#[test]
fn no_slot_leaks_and_no_handle_answers_for_another_flow() {
    let figures = lifetimes::run(200_000, 3);
    assert!(figures.ended.iter().all(|count| *count > 1000), "{figures:?}");
    assert!(figures.tries > 1000, "{figures:?}");
}

#[test]
fn every_kind_of_flood_stays_within_its_bounds() {
    for kind in floods::Kind::ALL {
        // Hoarders reach the bound of runs, on each of their flows.
        let packets = if matches!(kind, floods::Kind::Hoarder) { 300_000 } else { 100_000 };
        let figures = floods::run(kind, packets, 4);
        assert_eq!(figures.packets, packets);
    }
}
