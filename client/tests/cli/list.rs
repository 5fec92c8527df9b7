//! `flows list`, `flows get`: pages, limits, forms, partial answers.

use serde_json::Value;

use crate::fake::{FLOW, Fake, MANY, REVERSED};

const MANY_LINES: usize = MANY + 1;

#[test]
fn a_table_shows_names_that_can_be_pasted() {
    let ended = Fake::start().run(&["list"]).code(0).silent();
    assert_eq!(
        ended.text(),
        "NAME              CLIENT          SERVER          CORE  STATE        CLIBUF  SVRBUF  \
         BUFFERED  AGE\n\
         00c004a900c901f2  10.0.0.1:43512  192.0.2.10:443     3  ESTABLISHED   8 KiB   8 KiB    \
         1420 B    -\n"
    );
}

#[test]
fn a_hundred_flows_are_listed_unless_told_otherwise_and_it_is_said() {
    let fake = Fake::start();
    let ended = fake.run(&["flows", "list", "many"]).code(0);
    assert_eq!(ended.text().lines().count(), 101);
    assert_eq!(ended.stderr, "100 of about 250 flows. More: --limit N, --all\n");
    let ended = fake.run(&["--quiet", "list", "many", "--no-headers"]).code(0).silent();
    assert_eq!(ended.text().lines().count(), 100);
}

#[test]
fn pages_are_fetched_until_the_limit_or_the_end() {
    let fake = Fake::start();
    let ended = fake.run(&["list", "many", "--limit", "120"]).code(0);
    assert_eq!(ended.text().lines().count(), 121);
    let ended = fake.run(&["list", "many", "--all"]).code(0).silent();
    assert_eq!(ended.text().lines().count(), MANY_LINES);
    let ended = fake.run(&["list", "many", "--limit", "250"]).code(0).silent();
    assert_eq!(ended.text().lines().count(), MANY_LINES);
}

#[test]
fn json_of_a_list_says_whether_it_is_complete() {
    let fake = Fake::start();
    for (arguments, flows, complete) in [
        (vec!["list", "many", "-o", "json", "--all"], MANY, true),
        (vec!["list", "many", "-o", "json", "--limit", "7"], 7, false),
        (vec!["list", "none", "-o", "json"], 0, true),
    ] {
        let list = fake.run(&arguments).code(0).json();
        assert_eq!(list["flows"].as_array().map(Vec::len), Some(flows), "{arguments:?}");
        assert_eq!(list["complete"], Value::Bool(complete), "{arguments:?}");
    }
}

#[test]
fn every_form_names_the_same_flows() {
    let fake = Fake::start();
    assert_eq!(fake.run(&["list", "-o", "name"]).code(0).text(), format!("{FLOW}\n"));
    let line = fake.run(&["list", "-o", "jsonl"]).code(0).json();
    assert_eq!(line["name"], FLOW);
    assert_eq!(line["options"]["clientBufferBytes"], "8192");
    let yaml = fake.run(&["list", "-o", "yaml"]).code(0);
    let yaml: serde_yaml_ng::Value = serde_yaml_ng::from_str(yaml.text()).unwrap();
    assert_eq!(yaml["flows"][0]["name"], FLOW);
    assert_eq!(yaml["complete"], serde_yaml_ng::Value::Bool(true));
    let wide = fake.run(&["list", "-o", "wide"]).code(0);
    assert!(wide.text().contains("COMMUNITY-ID") && wide.text().contains("1:LQU9qZlK"));
}

#[test]
fn flags_are_sent_as_a_filter() {
    let ended = Fake::start().run(&["-v", "list", "--port", "443", "--not", "--core", "3"]).code(0);
    ended.says(&[
        "> mos.v1.FlowService/ListFlows",
        r#""filter":"(client.port = 443 OR server.port = 443) AND NOT (core = 3)""#,
    ]);
}

#[test]
fn a_core_that_did_not_answer_is_no_success() {
    let fake = Fake::start();
    let ended = fake.run(&["list", "--core", "9"]).code(3).says(&["warning:", "cores/9"]);
    assert!(ended.text().contains("00c004a900c901f2"));
    assert_eq!(fake.run(&["list", "--core", "9", "-o", "json"]).code(3).json()["complete"], false);
}

#[test]
fn a_list_that_breaks_off_is_still_json_and_no_success() {
    let fake = Fake::start();
    let ended = fake.run(&["list", "breaks", "-o", "json", "--all"]).code(6);
    assert_eq!(ended.json()["flows"].as_array().map(Vec::len), Some(100));
    assert_eq!(ended.json()["complete"], false);
    ended.says(&["error: core 1 has stopped", "UNAVAILABLE", "asking again is safe"]);
    fake.run(&["list", "breaks", "--limit", "100"]).code(0);
}

#[test]
fn a_filter_that_the_server_refuses_is_explained() {
    let ended = Fake::start().run(&["list", "nonsense"]).code(10);
    assert_eq!(
        ended.stderr,
        "error: column 1: no field is called nonsense\n\
         \x20 field   filter\n\
         \x20 reason  FILTER_INVALID\n\
         \x20 call    mos.v1.FlowService/ListFlows -> INVALID_ARGUMENT\n\
         \x20 column  1\n\
         \x20 next    `mosctl help filters` shows fields and operators\n"
    );
    assert_eq!(ended.text(), "");
}

#[test]
fn one_flow_is_shown_with_both_sides() {
    let fake = Fake::start();
    let ended = fake.run(&["flows", "get", REVERSED]).code(0).silent();
    for part in [FLOW, "tcp/10.0.0.1:43512-192.0.2.10:443", "CLIENT", "receive buffer", "1420 B"] {
        assert!(ended.text().contains(part), "no {part:?} in:\n{}", ended.text());
    }
    let json = fake.run(&["flows", "get", FLOW, "-o", "json"]).code(0).json();
    assert_eq!(json["name"], FLOW);
}

#[test]
fn a_flow_that_is_not_there_has_its_own_exit_code() {
    let ended = Fake::start().run(&["flows", "get", "0000000000000001"]).code(4);
    assert_eq!(
        ended.stderr,
        "error: no such flow\n\
         \x20 reason    FLOW_NOT_FOUND (errno EBADF)\n\
         \x20 call      mos.v1.FlowService/GetFlow -> NOT_FOUND\n\
         \x20 resource  mos.v1.Flow flows/0000000000000001\n\
         \x20 next      `mosctl flows list` shows the live flows\n"
    );
}
