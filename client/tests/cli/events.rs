//! `mosctl events`: what it prints, and how it ends.

use std::io::{BufRead as _, BufReader};

use crate::{
    fake::{FLOW, Fake},
    run::{Ended, interrupt},
};

#[test]
fn events_are_lines_and_losses_are_warnings() {
    let ended = Fake::start().run(&["events", "--limit", "4", "-o", "jsonl"]).code(0).says(&[
        "watching: subscriptions/7, boot 6d1f",
        "warning: 1,500 events of core 3 were lost: they were not read fast enough",
    ]);
    let events: Vec<serde_json::Value> =
        ended.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<_> = events.iter().map(|event| event["coreSequence"].clone()).collect();
    assert_eq!(numbers, ["1", "2", "1503", "1504"]);
    assert_eq!(events[0]["flow"]["name"], FLOW);
    assert_eq!(events[0]["type"], "EVENT_TYPE_FLOW_STARTED");
}

#[test]
fn a_table_is_for_people() {
    let ended = Fake::start().run(&["events", "--limit", "1", "--type", "gap", "-q"]).code(0);
    let lines: Vec<_> = ended.text().lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("TIME"), "{lines:?}");
    let cells: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!(
        cells,
        ["00:01:00.000", "gap", "00c004a900c901f2", "10.0.0.1:43512", "192.0.2.10:443", "-"]
    );
    ended.silent();
}

#[test]
fn the_limit_ends_before_a_loss_that_comes_later() {
    let ended = Fake::start().run(&["events", "--limit", "2", "--fail-on-loss", "-q"]).code(0);
    ended.silent();
}

#[test]
fn a_loss_ends_it_where_none_may_be() {
    let ended =
        Fake::start().run(&["events", "--fail-on-loss", "-o", "jsonl"]).code(12).says(&["1,500"]);
    assert_eq!(ended.text().lines().count(), 2, "what came before the loss is written");
}

#[test]
fn a_service_that_stops_is_told_with_what_to_do() {
    let ended = Fake::start().run(&["events", "stops", "-o", "jsonl"]).code(6).says(&[
        "mosd is stopping",
        "SERVER_STOPPING",
        "ask again when mosd is back",
    ]);
    assert_eq!(ended.text().lines().count(), 4);
}

#[test]
fn events_are_written_while_the_stream_is_silent_and_ctrl_c_ends_it() {
    let fake = Fake::start();
    let mut child = fake.spawn(&mut fake.command(&["events", "-o", "jsonl"]));
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.take(4).count(), 4);
    interrupt(&child);
    Ended::of(child.wait_with_output().unwrap()).code(130);
}

#[test]
fn a_time_limit_is_kept_only_where_it_is_asked_for() {
    let fake = Fake::start();
    fake.run(&["events", "--timeout", "300ms"]).code(6).says(&["no answer within 300ms"]);
}

#[test]
fn events_have_no_names_to_print() {
    Fake::start().run(&["events", "-o", "name"]).code(2).says(&["leave -o name out"]);
}
