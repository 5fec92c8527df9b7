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
        ceiling("acknowledgement", 5, 10),
        ceiling("combined", 24, 15),
        ceiling("control", 0, 0),
        ceiling("end", 3, 35),
        ceiling("handshake", 12, 0),
        ceiling("overlap", 0, 815),
        ceiling("single", 10, 6),
        ceiling("window", 3, 240),
    ],
    [
        ceiling("acknowledgement", 245, 85),
        ceiling("combined", 118, 55),
        ceiling("control", 0, 0),
        ceiling("end", 70, 45),
        ceiling("handshake", 12, 0),
        ceiling("overlap", 120, 550),
        ceiling("single", 52, 28),
        ceiling("window", 75, 130),
    ],
    [
        ceiling("acknowledgement", 5, 10),
        ceiling("combined", 24, 12),
        ceiling("control", 0, 0),
        ceiling("end", 3, 14),
        ceiling("handshake", 12, 0),
        ceiling("overlap", 0, 0),
        ceiling("single", 10, 4),
        ceiling("window", 3, 152),
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
