//! SIGHUP: what can change while mosd runs does, and the log names what cannot.

#![expect(
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::time::Duration;

use mos_tests::program;
use mos_tests::service::{Mosd, Setup};
use rustix::process::Signal;

/// What takes longer does not happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reloads, and waits for a line of the log that has all of these parts.
#[track_caller]
fn reload(mosd: &Mosd, configuration: &str, parts: &[&str]) {
    let known = mosd.log().lines().count();
    mosd.reconfigure(configuration);
    mosd.signal(Signal::HUP);
    let is_told = || {
        let log = mosd.log();
        log.lines().skip(known).any(|line| parts.iter().all(|part| line.contains(part)))
    };
    assert!(program::within(PATIENCE, is_told), "no {parts:?}:\n{}", mosd.log());
}

/// Makes a call whose refusal is logged at level `debug` only.
#[track_caller]
fn be_refused(mosd: &Mosd) {
    let refused = mosd.mosctl(&["call", "mos.v1.FlowService/GetFlow", "-d", "{}"]);
    assert!(!refused.status.success());
}

#[test]
fn the_level_of_the_log_is_reloaded_and_other_changes_are_named() {
    let mosd = Mosd::start(&Setup::demo().configured(""));
    be_refused(&mosd);
    assert!(!mosd.log().contains("request refused"));
    reload(&mosd, "[log]\nlevel = \"debug\"\n", &["INFO", "configuration reloaded", "log.level"]);
    be_refused(&mosd);
    assert!(program::within(PATIENCE, || mosd.log().contains("request refused")), "{}", mosd.log());
    let changed = "[server]\npayload = true\n[limits]\nflows_max = 100\n";
    reload(&mosd, changed, &["WARN", "need_restart=\"limits.flows_max server.payload\""]);
    reload(&mosd, "[log]\nlevel = \"loud\"\n", &["ERROR", "nothing has changed", "line 2"]);
    mosd.stop(Signal::TERM).in_order();
}

#[test]
fn where_nothing_can_be_reloaded_a_closed_terminal_ends_it() {
    Mosd::start(&Setup::demo()).stop(Signal::HUP).in_order();
}
