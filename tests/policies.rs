//! Policies of a running service: what flows to come begin with, what is not monitored at all, and
//! what is left after a crash. The two EXAMPLES of `mtcp_setsockopt(3)` are among them.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mos_tests::program;
use mos_tests::service::{Mosd, Setup, number};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// What takes longer does not happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The exit codes of mosctl for what does not exist, and for what is refused in this state.
const NOT_FOUND: i32 = 4;
const REFUSED: i32 = 8;

/// Names a folder for policies in the configuration.
fn kept_in(folder: &Path) -> Setup {
    let path = folder.join("policies");
    Setup::demo().configured(&format!("[policies]\nfolder = \"{}\"\n", path.display()))
}

/// A file of policies.
fn file(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("policies.toml");
    fs::write(&path, text).expect("a file");
    path
}

/// Applies the policies of a text; returns the generation.
#[track_caller]
fn apply(mosd: &Mosd, text: &str, more: &[&str]) -> i64 {
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(&folder, text).display().to_string();
    let answer = mosd.json(&[&["policy", "apply", "-f", &path], more].concat());
    number(answer.get("state").and_then(|state| state.get("generation")))
}

/// The names of the policies in force, in match order.
#[track_caller]
fn names(mosd: &Mosd) -> String {
    mosd.mosctl(&["policy", "list", "-o", "name"]).succeeded().text().replace('\n', " ")
}

/// Whether a live flow has this origin of its options.
fn has_origin(flow: &Value, origin: &str) -> bool {
    flow.get("optionsOrigin").and_then(Value::as_str) == Some(origin)
}

/// The options of a flow.
fn option(flow: &Value, key: &str) -> i64 {
    number(flow.get("options").and_then(|options| options.get(key)))
}

/// Waits until flows that match have begun by a policy; returns them.
#[track_caller]
fn begun_by_policy(mosd: &Mosd, selector: &[&str]) -> Vec<Value> {
    let mut begun = Vec::new();
    let found = program::within(PATIENCE, || {
        begun = mosd.flows(selector);
        begun.retain(|flow| has_origin(flow, "OPTIONS_ORIGIN_POLICY"));
        !begun.is_empty()
    });
    assert!(found, "no flow has begun by a policy:\n{}", mosd.log());
    begun
}

/// The first of the EXAMPLES: a monitoring policy for flows to come. mOS programs set it on the
/// listening monitor socket: no buffer for the client, and the last copy for the server.
#[test]
fn example_1_a_monitoring_policy_for_flows_to_come() {
    let mosd = Mosd::start(&Setup::demo());
    let before = mosd.lasting_flow();
    let created = mosd.mosctl(&[
        "policy",
        "create",
        "web",
        "--match",
        "server.port != 0",
        "--clibuf",
        "0",
        "--server-overlap",
        "last",
    ]);
    assert!(created.succeeded().text().starts_with("generation 1"), "it is the first");
    for flow in begun_by_policy(&mosd, &[]) {
        assert_eq!(option(&flow, "clientBufferBytes"), 0);
        assert_eq!(option(&flow, "serverBufferBytes"), 8192);
        let overlap = flow.get("options").and_then(|options| options.get("serverOverlap"));
        assert_eq!(overlap.and_then(Value::as_str), Some("OVERLAP_POLICY_LAST"));
    }
    let old = mosd.json(&["flows", "get", &before]);
    assert!(has_origin(&old, "OPTIONS_ORIGIN_DEFAULT"), "a live flow is not touched: {old}");
    let policy = mosd.json(&["policy", "get", "web"]);
    assert!(number(policy.get("matchCount")) > 0, "{policy}");
    mosd.stop(Signal::TERM).in_order();
}

/// The second of the EXAMPLES: the monitoring of one flow is disabled. mOS programs set it on the
/// socket that a callback gives them.
#[test]
fn example_2_the_monitoring_of_a_flow_is_disabled() {
    let mosd = Mosd::start(&Setup::demo());
    let flow = mosd.lasting_flow();
    let stop =
        ["setopt", "--flow", &flow, "--optname", "MOS_STOP_MON", "--optval", "MOS_SIDE_BOTH"];
    mosd.mosctl(&[&stop[..], &["--yes"]].concat()).succeeded();
    assert_eq!(mosd.mosctl(&["flows", "get", &flow]).code(), Some(REFUSED));
    let others = mosd.flows(&[]);
    assert!(!others.is_empty(), "the others are monitored");
    mosd.stop(Signal::TERM).in_order();
}

#[test]
fn flows_that_a_policy_excludes_are_counted_and_nothing_else() {
    let mosd = Mosd::start(&Setup::demo());
    apply(&mosd, "[[policy]]\nname = \"none\"\nfilter = \"*\"\nmonitor = false\n", &[]);
    let excluded = || {
        let status = mosd.status();
        let cores = status.get("cores").and_then(Value::as_array).expect("cores");
        let outcomes = cores.iter().filter_map(|core| core.get("packetOutcomes"));
        outcomes.map(|outcomes| number(outcomes.get("excluded"))).sum::<i64>()
    };
    assert!(program::within(PATIENCE, || excluded() > 100), "{}", mosd.status());
    let explained = mosd.mosctl(&["policy", "explain", "tcp/10.0.0.1:1-192.0.2.1:80"]);
    assert_eq!(explained.succeeded().text(), "  none  YES  not monitored\n");
    mosd.stop(Signal::TERM).in_order();
}

#[test]
fn a_set_is_replaced_explained_taken_back_and_exported() {
    let folder = tempfile::tempdir().expect("a folder");
    let mosd = Mosd::start(&kept_in(folder.path()));
    let web = "[[policy]]\nname = \"web\"\npriority = 20\nfilter = \"server.port = 443\"\n\
               client_buffer = \"64KiB\"\n";
    let guests = "[[policy]]\nname = \"guests\"\npriority = 10\n\
                  filter = 'client.address = \"172.16.0.0/12\"'\nmonitor = false\n";
    assert_eq!(apply(&mosd, web, &[]), 1);
    assert_eq!(apply(&mosd, &format!("{web}{guests}"), &[]), 2);
    assert_eq!(apply(&mosd, &format!("{guests}{web}"), &[]), 2, "the same set once more");
    assert_eq!(names(&mosd), "guests web ");
    let tuple = "tcp/10.0.0.1:1-192.0.2.10:443";
    let explained = mosd.mosctl(&["policy", "explain", tuple]).succeeded().text();
    assert_eq!(
        explained,
        "  guests  no   client.address = \"172.16.0.0/12\" (was 10.0.0.1)\n  \
         web     YES  client buffer 64 KiB, server buffer 8 KiB, client overlap first, server \
         overlap first\n"
    );
    let export = mosd.mosctl(&["policy", "export"]).succeeded().text();
    assert_eq!(apply(&mosd, &export, &["--dry-run"]), 2, "what is exported is the set");
    let dry = mosd.mosctl(&["policy", "rollback", "1", "--dry-run"]).succeeded().text();
    assert!(dry.contains("1 removed (guests)") && dry.contains("dry run"), "{dry}");
    mosd.mosctl(&["policy", "rollback", "1"]).succeeded();
    assert_eq!(names(&mosd), "web ");
    let history = mosd.mosctl(&["policy", "history", "-o", "name"]).succeeded().text();
    assert_eq!(history, "3\n2\n1\n0\n");
    let stale = mosd.mosctl(&["policy", "delete", "nothing"]);
    assert_eq!(stale.code(), Some(NOT_FOUND));
    mosd.stop(Signal::TERM).in_order();
}

/// A crash is a kill: what was answered is there afterwards, what was to be confirmed is not.
#[test]
fn what_was_answered_survives_a_crash_and_what_nobody_confirms_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy =
        |name: &str| format!("[[policy]]\nname = \"{name}\"\nfilter = \"*\"\nclient_buffer = 0\n");
    let mosd = Mosd::start(&kept_in(folder.path()));
    apply(&mosd, &policy("kept"), &[]);
    apply(&mosd, &policy("tried"), &["--confirm-within", "2s"]);
    let other = mosd.mosctl(&["policy", "delete", "tried"]);
    assert_eq!(other.code(), Some(REFUSED), "it waits to be confirmed");
    assert_eq!(names(&mosd), "tried ");
    drop(mosd);
    std::thread::sleep(Duration::from_secs(2));
    let mosd = Mosd::start(&kept_in(folder.path()));
    assert_eq!(names(&mosd), "kept ");
    begun_by_policy(&mosd, &[]);
    let generation = apply(&mosd, &policy("tried"), &["--confirm-within", "2s"]).to_string();
    mosd.mosctl(&["policy", "confirm", &generation]).succeeded();
    drop(mosd);
    std::thread::sleep(Duration::from_secs(2));
    let mosd = Mosd::start(&kept_in(folder.path()));
    assert_eq!(names(&mosd), "tried ");
    apply(&mosd, &policy("other"), &["--confirm-within", "1s"]);
    assert!(program::within(PATIENCE, || names(&mosd) == "tried "), "it goes by itself");
    mosd.stop(Signal::TERM).in_order();
}

#[test]
fn a_generation_that_cannot_be_read_is_passed_over_and_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = |name: &str| format!("[[policy]]\nname = \"{name}\"\nfilter = \"*\"\n");
    let mosd = Mosd::start(&kept_in(folder.path()));
    apply(&mosd, &policy("old"), &[]);
    apply(&mosd, &policy("new"), &[]);
    drop(mosd);
    fs::write(folder.path().join("policies/policies.2"), "torn").expect("a file");
    let mosd = Mosd::start(&kept_in(folder.path()));
    assert_eq!(names(&mosd), "old ");
    let [level, message, next] = mosd.condition("policies");
    assert_eq!(level, "CONDITION_LEVEL_CRITICAL");
    assert!(message.contains("policies.2") && next.contains("policy apply"), "{message}: {next}");
    assert_eq!(apply(&mosd, &policy("newer"), &[]), 3);
    assert_eq!(mosd.condition("policies")[0], "CONDITION_LEVEL_OK");
    mosd.stop(Signal::TERM).in_order();
}

#[test]
fn a_file_of_policies_is_read_again_at_a_reload_and_changed_by_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = |name: &str| format!("[[policy]]\nname = \"{name}\"\nfilter = \"*\"\n");
    let path = file(&folder, &policy("first"));
    let config = format!("[policies]\nfile = \"{}\"\n", path.display());
    let mosd = Mosd::start(&Setup::demo().configured(&config));
    assert_eq!(names(&mosd), "first ");
    let refused = mosd.mosctl(&["policy", "delete", "first"]);
    assert_eq!(refused.code(), Some(REFUSED));
    file(&folder, "[[policy]]\nname = \"first\"\nfilter = \"age > 1m\"\n");
    mosd.signal(Signal::HUP);
    let is_told = || mosd.log().contains("nothing has changed");
    assert!(program::within(PATIENCE, is_told), "{}", mosd.log());
    assert_eq!(names(&mosd), "first ");
    file(&folder, &policy("second"));
    mosd.signal(Signal::HUP);
    assert!(program::within(PATIENCE, || names(&mosd) == "second "), "{}", mosd.log());
    mosd.stop(Signal::TERM).in_order();
}
