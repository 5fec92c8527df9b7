//! `audit`: pages, what can be put back, and files.

use std::fs;

use mos_text::{Chain, Digest};

use crate::{fake::Fake, run::alone};

#[test]
fn a_change_is_shown_with_the_command_that_puts_it_back() {
    let fake = Fake::start();
    let shown = fake.run(&["audit", "--since", "2h"]).code(0).silent();
    let lines: Vec<_> = shown.text().lines().collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[1].contains("result") && lines[1].contains("SetSockOpt"), "{lines:?}");
    let undo = "undo: mosctl setopt --flow flows/00c004a900c901f2 --clibuf 8192";
    assert_eq!(lines[2].trim(), undo);
    assert!(lines[3].contains("intent"), "an intent without a result is shown: {lines:?}");
    let json = fake.run(&["audit", "-o", "jsonl"]).code(0);
    assert_eq!(json.text().lines().count(), 3);
    let asked = fake.run(&["-v", "audit", "--principal", "uid 7", "--method", "SetSockOpt"]);
    asked.code(0).says(&[r#""principal":"uid 7","method":"SetSockOpt""#]);
}

/// So many lines of a chain, as they stand in a file.
fn lines(count: u64) -> Vec<String> {
    let mut chain = Chain::default();
    let mut line = |seq: u64| {
        let what = match seq % 2 {
            1 => "\"event\":\"intent\"".to_owned(),
            _ => format!("\"event\":\"result\",\"intent\":{}", seq - 1),
        };
        let text = format!("{{\"seq\":{seq},{what},\"prev\":\"{}\"}}", chain.prev);
        chain = chain.follow(text.as_bytes()).unwrap();
        text + "\n"
    };
    (1..=count).map(&mut line).collect()
}

#[test]
fn files_are_verified_in_their_order_and_damage_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let lines = lines(5);
    let write = |name: &str, text: &str| fs::write(path(name), text).unwrap();
    write("b", &lines[..2].concat());
    write("a", &lines[2..].concat());
    let (a, b) = (path("a"), path("b"));
    let whole = alone(&["audit", "verify", &a, &b]).code(0);
    let last = Digest::of(lines[4].trim_end().as_bytes());
    assert_eq!(whole.text(), format!("lines 1 to 5 of 2 files are whole; {last}\n"));
    whole.says(&["intents without a result: 5"]);
    let rest = alone(&["audit", "verify", &a]).code(0).says(&["lines before 3"]);
    assert!(rest.text().starts_with("lines 3 to 5 of 1 file"), "{rest:?}");
    // A hole, another line, a line that is none, and one that has no end.
    for (text, problem) in [
        (lines[3..].concat(), "line 1: the number is 4 where 3 was to come"),
        (lines[2..].concat().replacen("intent", "Intent", 1), "line 2: line 4 was written behind"),
        (format!("{}x\n", lines[2]), "line 2: this is no line"),
    ] {
        write("a", &text);
        alone(&["audit", "verify", &a, &b]).code(1).says(&[&a, problem]);
    }
    write("a", &(lines[2].clone() + &lines[3][..9]));
    alone(&["audit", "verify", &a, &b]).code(0).says(&["9 bytes at the end"]);
    write("a", "");
    alone(&["audit", "verify", &a]).code(2).says(&["no line"]);
    alone(&["audit", "verify", "/nowhere"]).code(2).says(&["/nowhere"]);
}
