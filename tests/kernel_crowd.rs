//! A crowd of TCP connections of the kernel over a bad wire, in a size that suits every test run;
//! `make soak` has the full one.

#![expect(
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::time::Duration;

use mos_tests::hostile::crowd::{self, Place};

/// How long an ended connection stays readable: many times what the other connections and the
/// reading take on an idle machine.
const HOLD: Duration = Duration::from_secs(30);

#[test]
fn every_stream_of_a_crowd_is_what_its_programs_sent() {
    let Some(figures) = crowd::run(24, HOLD, Place::Client) else { return };
    assert!(figures.corrupt > 0, "the wire corrupts: {figures:?}");
    assert_eq!(figures.ended, [18, 6]);
}

#[test]
fn what_a_mirror_leaves_out_is_told_to_the_byte() {
    let place = Place::Mirror { blind: 2 };
    let Some(figures) = crowd::run(24, HOLD, place) else { return };
    assert_eq!(figures.ended, [18, 6]);
    assert!(figures.gaps[1] > 10_000, "{figures:?}");
}
