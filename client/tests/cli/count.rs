//! `flows count`.

use crate::{fake::Fake, many::COUNTED};

#[test]
fn a_count_is_a_number_that_a_script_can_read() {
    let ended = Fake::start().run(&["flows", "count"]).code(0).silent();
    assert_eq!(ended.text(), format!("{COUNTED}\n"));
}

#[test]
fn groups_have_a_row_each_and_the_others_one_together() {
    let fake = Fake::start();
    let ended = fake.run(&["flows", "count", "--by", "server.port", "--by", "core"]).code(0);
    assert_eq!(
        ended.silent().text(),
        "SERVER.PORT  CORE   FLOWS\n\
         443          0     812000\n\
         -            0        400\n\
         (others)               40\n"
    );
    let ended = fake.run(&["flows", "count", "--group-by", "server.port", "-o", "json"]).code(0);
    assert_eq!(ended.json()["groups"][0]["flowCount"], "812000");
}

#[test]
fn the_selector_is_sent_as_a_filter() {
    let ended = Fake::start().run(&["-v", "flows", "count", "--port", "443"]).code(0);
    ended.says(&["CountFlows", r#""filter":"(client.port = 443 OR server.port = 443)""#]);
}

#[test]
fn a_core_that_did_not_answer_is_no_success() {
    let ended = Fake::start().run(&["flows", "count", "--core", "9"]).code(3);
    ended.says(&["warning:", "cores/9", "missing"]);
}

#[test]
fn a_count_has_no_names() {
    Fake::start().run(&["flows", "count", "-o", "name"]).code(2).says(&["no names"]);
}
