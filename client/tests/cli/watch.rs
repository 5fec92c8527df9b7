//! `mosctl flows watch`: what it prints, and where it goes on.

use std::fs;

use crate::{
    fake::{FLOW, Fake},
    many::RESUME,
};

#[test]
fn flows_and_their_changes_are_lines_and_losses_are_warnings() {
    let ended = Fake::start().run(&["watch", "--limit", "4", "-o", "jsonl"]).code(0).says(&[
        "watching: s/7, boot 6d1f",
        "all flows are told: changes follow",
        "warning: 1,500 events were lost: they were not read fast enough",
    ]);
    let updates: Vec<serde_json::Value> =
        ended.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = updates.iter().map(|update| update["kind"].clone()).collect();
    assert_eq!(kinds, ["KIND_EXISTING", "KIND_CHANGED", "KIND_ENDED", "KIND_ADDED"]);
    assert_eq!((&updates[0]["flow"]["name"], &updates[2]["cause"]), (&FLOW.into(), &"fin".into()));
}

#[test]
fn a_table_is_for_people() {
    let ended = Fake::start().run(&["flows", "watch", "--updates-only", "--limit", "2"]).code(0);
    let lines: Vec<_> = ended.text().lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let first = |line: &str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    assert_eq!(first(lines[0]), "CHANGE CAUSE NAME");
    assert_eq!(first(lines[1]), "changed - 00c004a900c901f2");
    assert_eq!(first(lines[2]), "ended fin 00c004a900c901f2");
}

#[test]
fn a_loss_ends_it_where_none_may_be() {
    Fake::start().run(&["watch", "--fail-on-loss", "-o", "jsonl"]).code(12).says(&["1,500"]);
}

#[test]
fn it_goes_on_where_the_last_one_with_the_file_has_ended() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("place");
    let watch = |limit: &str| {
        let arguments =
            ["watch", "--resume", file.to_str().unwrap(), "--limit", limit, "-o", "jsonl"];
        fake.run(&arguments).code(0).text().lines().count()
    };
    assert_eq!(watch("4"), 4, "the flow that is there, too");
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{RESUME}\n"));
    assert_eq!(watch("3"), 3, "the changes since");
    fs::write(&file, "of another start").unwrap();
    let arguments = ["watch", "--resume", file.to_str().unwrap(), "--limit", "1"];
    fake.run(&arguments).code(0).says(&["all flows follow anew"]);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fake.run(&arguments).code(2).says(&["--resume"]);
}
