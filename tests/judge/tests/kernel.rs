//! What mosd shows of a connection is what the kernel's socket read: honest connections, those of
//! every known kind of evasion, and strange packets drawn by a seed.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]

use mos_judge::script::Script;
use mos_judge::strategies::{cases, draw};
use mos_judge::trial::{Ceiling, Trial, folder, kernel, seed};
use mos_tests::program::{is_root, ours, skip};

/// Connections with one strange packet, and with several.
const SINGLES: usize = 20_000;
const COMBINATIONS: usize = 6_000;

const fn ceiling(group: &'static str, wrong: usize, told: usize) -> Ceiling {
    Ceiling { group, wrong, told }
}

/// What is not mended yet under the policy `first`. These figures only fall.
const FIRST: [Ceiling; 8] = [
    ceiling("acknowledgement", 490, 10),
    ceiling("combined", 295, 15),
    ceiling("control", 0, 0),
    ceiling("end", 265, 35),
    ceiling("handshake", 415, 0),
    ceiling("overlap", 0, 815),
    ceiling("single", 190, 5),
    ceiling("window", 245, 240),
];

/// The same under the policy `last`, of what was written by hand.
const LAST: [Ceiling; 6] = [
    ceiling("acknowledgement", 500, 85),
    ceiling("control", 0, 0),
    ceiling("end", 315, 45),
    ceiling("handshake", 355, 0),
    ceiling("overlap", 120, 550),
    ceiling("window", 270, 130),
];

fn written() -> impl Iterator<Item = Script> + Send {
    draw::controls().into_iter().chain(cases::all())
}

#[expect(clippy::print_stderr, reason = "the figures are worth seeing, with --nocapture")]
fn trial(
    policy: &str,
    seed: u64,
    scripts: impl Iterator<Item = Script> + Send,
    ceilings: &[Ceiling],
) {
    if !is_root() {
        return skip("tun devices and network namespaces need root");
    }
    let trial = Trial::of(&ours("mosd"), policy, scripts);
    eprintln!("{}, seed {seed}, {}", kernel(), trial.figures());
    trial.assert_explained(&folder());
    trial.assert_below(ceilings);
}

#[test]
fn every_connection_is_shown_as_the_kernel_read_it() {
    let seed = seed();
    let drawn = draw::sample(seed, SINGLES).chain(draw::combinations(seed, COMBINATIONS));
    trial("first", seed, written().chain(drawn), &FIRST);
}

#[test]
fn connections_written_by_hand_are_shown_as_read_under_the_policy_last() {
    trial("last", 0, written(), &LAST);
}
