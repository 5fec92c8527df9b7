//! `setopt --selector`, `setopt -f` and `undo`.

use crate::{
    fake::{FLOW, Fake},
    many::UNDO,
};

#[test]
fn flows_are_counted_before_they_are_changed_and_the_undo_is_told() {
    let fake = Fake::start();
    let ended =
        fake.run(&["setopt", "--selector", "core = 3", "--clibuf", "64KiB", "--yes"]).code(0);
    assert_eq!(ended.text(), "changed    1\nunchanged  0\nended      0\nfailed     0\n");
    ended.says(&[&format!("undo, within 10 minutes: mosctl undo {UNDO}")]);
    assert_eq!(fake.requests(), 2, "one to count, one to change");
}

#[test]
fn a_dry_run_tells_how_many_flows_and_shows_some() {
    let fake = Fake::start();
    let dry = ["setopt", "--selector", "many", "--clibuf", "64KiB", "--dry-run"];
    let ended = fake.run(&dry).code(0).silent();
    let text = ended.text();
    assert!(text.starts_with("812,440 flows match; their buffers may hold up to "), "{text}");
    assert!(text.ends_with("\n  0000000000000009\n  and 812,430 more\n"), "{text}");
    assert_eq!(fake.requests(), 1);
    let json = fake.run(&[&dry[..], &["-o", "json"]].concat()).code(0).json();
    assert_eq!(
        (json["matchedCount"].as_str(), json["undoToken"].as_str()),
        (Some("812440"), Some(""))
    );
    assert_eq!(fake.run(&[&dry[..], &["-o", "name"]].concat()).code(0).text().lines().count(), 100);
}

#[test]
fn too_many_flows_are_refused_with_what_to_do() {
    let fake = Fake::start();
    let many = ["setopt", "--selector", "many", "--clibuf", "64KiB", "--yes"];
    fake.run(&many).code(8).says(&["TOO_MANY_MATCHES", "--max-flows N"]);
    fake.run(&[&many[..], &["--max-flows", "900000"]].concat()).code(0);
}

#[test]
fn nobody_is_there_to_confirm_so_nothing_is_changed() {
    let fake = Fake::start();
    let reversible = ["setopt", "--selector", "*", "--clibuf", "64KiB"];
    fake.run(&reversible).code(2).says(&["1 flow match: add --yes, or try --dry-run first"]);
    let stop = ["setopt", "--selector", "*", "--stop", "both"];
    fake.run(&stop).code(2).says(&["a stop cannot be undone: add --yes"]);
    assert_eq!(fake.requests(), 2, "both were counted alone");
    fake.run(&[&stop[..], &["--yes"]].concat()).code(0).says(&["this cannot be undone"]);
}

#[test]
fn no_match_is_no_failure() {
    let fake = Fake::start();
    let ended = fake.run(&["setopt", "--selector", "none", "--clibuf", "0", "--yes"]).code(0);
    ended.says(&["no flow matches"]);
    assert_eq!(fake.requests(), 1);
}

#[test]
fn flows_that_refuse_and_cores_that_do_not_answer_are_told_and_no_success() {
    let fake = Fake::start();
    let change = |filter| fake.run(&["setopt", "--selector", filter, "--clibuf", "64KiB", "--yes"]);
    change("fails").code(3).says(&["1 flow refused, such as 00c004a900c901f2: the buffer pool"]);
    change("core = 9").code(3).says(&["no answer from cores/9"]);
}

#[test]
fn a_selector_stands_alone() {
    let fake = Fake::start();
    for more in [["--flow", FLOW], ["--etag", "x"], ["-f", "x"], ["--optname", "9"]] {
        let line = [&["setopt", "--selector", "*", "--clibuf", "0"][..], &more].concat();
        fake.run(&line).code(2);
    }
    fake.run(&["setopt", "--flow", FLOW, "--clibuf", "0", "--max-flows", "7"]).code(2);
    assert_eq!(fake.requests(), 0);
}

#[test]
fn a_change_is_undone_by_its_token() {
    let fake = Fake::start();
    let ended = fake.run(&["undo", UNDO]).code(0).silent();
    assert_eq!(
        ended.text(),
        "restored       1\nchanged since  2\nended          0\nfailed         0\n"
    );
    fake.run(&["undo", "x"]).code(4).says(&["UNDO_UNKNOWN", "sets options anew"]);
}

#[test]
fn a_file_of_requests_has_an_outcome_for_each() {
    let fake = Fake::start();
    let good = format!("{{\"flow\":\"{FLOW}\",\"options\":{{\"clientBufferBytes\":\"65536\"}}}}\n");
    let bad = "{\"flow\":\"flows/1\",\"options\":{\"clientBufferBytes\":65536}}\n";
    let setopt = ["setopt", "-f", "-"];
    let ended = fake.run_with_input(&setopt, &good).code(0).silent();
    assert_eq!(ended.text(), "00c004a900c901f2  client buffer 64 KiB\n");
    let ended = fake.run_with_input(&setopt, &format!("{bad}{good}")).code(3);
    ended.says(&["error: flows/1: the buffer pool", "ENOMEM", "1 of 2 requests were carried out"]);
    fake.run_with_input(&setopt, bad).code(9);
    // A thousand go in one call.
    let before = fake.requests();
    fake.run_with_input(&setopt, &good.repeat(1001)).code(0);
    assert_eq!(fake.requests() - before, 2);
}

#[test]
fn a_file_that_makes_no_sense_or_stops_flows_changes_nothing() {
    let fake = Fake::start();
    let stop =
        format!("{{\"flow\":\"{FLOW}\",\"options\":{{\"stopMonitoring\":\"STOP_SCOPE_BOTH\"}}}}");
    for (input, told) in [
        ("", "has no request"),
        ("{\"flov\":1}", "this is no mos.v1.SetSockOptRequest"),
        (&*stop, "a stop cannot be undone: add --yes"),
    ] {
        fake.run_with_input(&["setopt", "-f", "-"], input).code(2).says(&[told]);
    }
    assert_eq!(fake.requests(), 0);
    fake.run_with_input(&["setopt", "-f", "-", "--yes"], &stop).code(0);
}
