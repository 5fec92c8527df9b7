//! A hostile client in a size that suits every test run; `make soak` has the full one.

#![expect(
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use mos_tests::hostile_client::{self, Size};

#[test]
fn whatever_one_client_does_others_are_served_and_memory_is_bounded() {
    let size = Size { connections: 100, frames: 2000, watches: 300, calls: 2000, seed: 1 };
    let figures = hostile_client::run(&size);
    assert!(figures.changes > 100, "{figures:?}");
}

#[test]
fn memory_goes_back_to_the_system_after_a_peak() {
    let [peak, after] = hostile_client::after_a_crowd();
    assert!(peak > 20 * 1024, "a crowd of {peak} KiB shows nothing");
    assert!(after < peak / 2, "of {peak} KiB, {after} KiB stayed");
}
