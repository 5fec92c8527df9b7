//! What mosd shows of a connection is what the kernel's socket read: honest connections, those of
//! every known kind of evasion, and strange packets drawn by a seed.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]

use mos_judge::strategies::{cases, draw};
use mos_judge::trial::{Ceiling, POLICIES, folder, kernel, seed, trials};
use mos_tests::program::{is_root, ours, skip};

/// Connections with one strange packet, and with several.
const SINGLES: usize = 20_000;
const COMBINATIONS: usize = 6_000;

const fn ceiling(group: &'static str, wrong: usize, told: usize) -> Ceiling {
    Ceiling { group, wrong, told }
}

/// What is not mended yet, under `first`, `last` and `linux`. These figures only fall.
const CEILINGS: [[Ceiling; 8]; POLICIES.len()] = [
    [
        ceiling("acknowledgement", 0, 5),
        ceiling("combined", 3, 6),
        ceiling("control", 0, 0),
        ceiling("end", 1, 35),
        ceiling("handshake", 0, 0),
        ceiling("overlap", 0, 815),
        ceiling("single", 1, 5),
        ceiling("window", 1, 36),
    ],
    [
        ceiling("acknowledgement", 0, 70),
        ceiling("combined", 3, 50),
        ceiling("control", 0, 0),
        ceiling("end", 1, 14),
        ceiling("handshake", 0, 0),
        ceiling("overlap", 0, 245),
        ceiling("single", 1, 32),
        ceiling("window", 1, 32),
    ],
    [
        ceiling("acknowledgement", 0, 5),
        ceiling("combined", 3, 3),
        ceiling("control", 0, 0),
        ceiling("end", 1, 3),
        ceiling("handshake", 0, 0),
        ceiling("overlap", 0, 0),
        ceiling("single", 1, 3),
        ceiling("window", 1, 3),
    ],
];

#[test]
#[expect(clippy::print_stderr, reason = "the figures are worth seeing, with --nocapture")]
fn every_connection_is_shown_as_the_kernel_read_it() {
    if !is_root() {
        return skip("tun devices and network namespaces need root");
    }
    let seed = seed();
    let written = draw::controls().into_iter().chain(cases::all());
    let drawn = draw::sample(seed, SINGLES).chain(draw::combinations(seed, COMBINATIONS));
    let mosd = ours("mosd");
    let trials = trials(&mosd, written.chain(drawn));
    for trial in &trials {
        eprintln!("{}, seed {seed}, {}", kernel(), trial.figures());
    }
    for (trial, ceilings) in trials.iter().zip(&CEILINGS) {
        trial.assert_explained(&folder());
        trial.assert_below(ceilings);
    }
}
