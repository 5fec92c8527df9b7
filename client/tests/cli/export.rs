//! `flows top` and `flows export`.

use crate::fake::{Fake, MANY};

#[test]
fn the_largest_come_first_and_as_many_as_were_asked_for() {
    let fake = Fake::start();
    let ended = fake.run(&["flows", "top", "--limit", "3", "-o", "name"]).code(0).silent();
    let names = "flows/0000000000000000\nflows/0000000000000001\nflows/0000000000000002\n";
    assert_eq!(ended.text(), names);
    let ended = fake.run(&["-v", "flows", "top", "--by", "age", "--port", "443"]).code(0);
    assert_eq!(ended.text().lines().count(), 21);
    ended.says(&["RankFlows", r#""rankBy":"age","limit":20"#]);
    fake.run(&["flows", "top", "--core", "9"]).code(3).says(&["no answer from cores/9"]);
}

#[test]
fn an_export_has_every_flow_once_and_says_how_many() {
    let fake = Fake::start();
    let ended = fake.run(&["flows", "export", "-o", "jsonl"]).code(0).says(&["250 flows"]);
    assert_eq!(ended.text().lines().count(), MANY);
    let json = fake.run(&["flows", "export", "-o", "json"]).code(0).json();
    assert_eq!(json["flows"].as_array().map(Vec::len), Some(MANY));
    assert_eq!(json["complete"], true);
}

#[test]
fn an_export_that_was_cut_off_or_lacks_a_core_is_no_success() {
    let fake = Fake::start();
    let ended = fake.run(&["flows", "export", "breaks", "-o", "json"]).code(1);
    assert_eq!(ended.json()["complete"], false);
    ended.says(&["without a summary"]);
    let ended = fake.run(&["flows", "export", "--core", "9", "-o", "json"]).code(3);
    assert_eq!(ended.json()["complete"], false);
}
