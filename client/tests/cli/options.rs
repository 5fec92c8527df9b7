//! `getopt` and `setopt`: old and new values, notes, consent, refusals.

use std::process::Command;

use crate::{
    fake::{FLOW, Fake, REVERSED, TUPLE},
    run::Ended,
};

#[test]
fn options_are_shown_in_words() {
    let ended = Fake::start().run(&["getopt", TUPLE]).code(0).silent();
    assert_eq!(
        ended.text(),
        "flow            flows/00c004a900c901f2\n\
         client buffer   8 KiB\n\
         server buffer   8 KiB\n\
         client overlap  first\n\
         server overlap  first\n\
         stopped         none\n\
         origin          default\n\
         etag            W/\"9f2c-3\"\n\
         \n\
         \x20                        CLIENT      SERVER\n\
         state               ESTABLISHED  CLOSE_WAIT\n\
         init seq             4294967000           -\n\
         last byte read             1124           -\n\
         next byte expected         1124           -\n\
         last byte received         2644           -\n\
         fragments                     5           0\n\
         \x20                       0..1420\n\
         \x20                    2840..2940\n\
         \x20                    and 3 more\n"
    );
}

#[test]
fn read_only_options_are_shown_as_bytes_and_with_their_meaning() {
    let fake = Fake::start();
    for (name, text) in [
        ("MOS_FRAGINFO_CLIBUF", "(tcp_ring_fragment 0+1420 2840+100)"),
        ("MOS_INFO_CLIBUF", "(tcp_buf_info 4294967000 1124 1124 2644)"),
        ("MOS_TCP_STATE_SVR", "0x07000000 (int 7)"),
    ] {
        let ended = fake.run(&["getopt", FLOW, "--optname", name]).code(0);
        assert!(ended.text().contains(text), "{}", ended.text());
    }
}

#[test]
fn a_wide_look_at_a_flow_shows_what_its_buffers_hold() {
    let fake = Fake::start();
    let wide = fake.run(&["flows", "get", FLOW, "-o", "wide"]).code(0);
    assert!(wide.text().contains("2840..2940"), "{}", wide.text());
    assert!(!fake.run(&["flows", "get", FLOW]).code(0).text().contains("2840"));
}

#[test]
fn a_raw_option_is_shown_as_bytes_and_as_an_int() {
    let ended = Fake::start().run(&["getopt", FLOW, "--optname", "MOS_CLIBUF"]).code(0);
    assert!(ended.text().contains("optval          0x00200000 (int 8192)"), "{}", ended.text());
}

#[test]
fn a_change_tells_old_and_new_and_where_it_was_applied() {
    let ended = Fake::start().run(&["setopt", "--flow", TUPLE, "--clibuf", "65536"]).code(0);
    let ended = ended.silent();
    assert_eq!(
        ended.text(),
        "00c004a900c901f2  client buffer 8 KiB -> 64 KiB   (applied on core 3)\n"
    );
}

#[test]
fn rounding_reversal_and_discarded_bytes_are_noted() {
    let fake = Fake::start();
    let ended = fake.run(&["setopt", "--flow", FLOW, "--clibuf", "65537", "-o", "json"]).code(0);
    assert_eq!(ended.json()["options"]["clientBufferBytes"], "66560");
    assert_eq!(ended.stderr, "note: client buffer rounded up from 65537 to 66560 bytes\n");
    fake.run(&["setopt", "--flow", REVERSED, "--clibuf", "0"])
        .code(0)
        .says(&["note: the tuple was given server first", "1,420 buffered bytes were discarded"]);
}

#[test]
fn the_raw_form_does_the_same() {
    let raw = ["setopt", "--flow", FLOW, "--level", "SOL_MONSOCKET", "--optname", "0x09"];
    let ended = Fake::start().run(&[&raw[..], &["--optval", "65536"]].concat()).code(0);
    assert_eq!(
        ended.text(),
        "00c004a900c901f2  client buffer 8 KiB -> 64 KiB   (applied on core 3)\n"
    );
    let raw = ["setopt", "--flow", FLOW, "--optname", "MOS_TIMESTAMP", "--optval", "1"];
    Fake::start().run(&raw).code(11).says(&["OPTION_NOT_IMPLEMENTED (errno ENOSYS)"]);
}

#[test]
fn a_dry_run_says_that_it_is_one() {
    let ended =
        Fake::start().run(&["setopt", "--flow", FLOW, "--server-overlap", "last", "--dry-run"]);
    assert_eq!(
        ended.code(0).text(),
        "00c004a900c901f2  server overlap first -> last   (dry run, nothing changed)\n"
    );
}

#[test]
fn a_value_out_of_range_names_field_limit_and_errno() {
    let ended = Fake::start().run(&["setopt", "--flow", FLOW, "--clibuf", "64MiB"]).code(10);
    assert_eq!(
        ended.stderr,
        "error: client_buffer_bytes 67108864 is above the limit 16777216\n\
         \x20 field   options.client_buffer_bytes\n\
         \x20 reason  OPTION_VALUE_INVALID (errno EINVAL)\n\
         \x20 call    mos.v1.FlowService/SetSockOpt -> INVALID_ARGUMENT\n\
         \x20 max     16777216 (16 MiB)\n\
         \x20 min     0\n\
         \x20 next    `mosctl info` shows the limits\n"
    );
}

#[test]
fn a_stale_etag_changes_nothing_and_has_its_own_exit_code() {
    let arguments = ["setopt", "--flow", FLOW, "--clibuf", "0", "--etag", "stale"];
    Fake::start().run(&arguments).code(7).says(&["ETAG_MISMATCH", "currentEtag", "W/\"9f2c-3\""]);
}

#[test]
fn some_flows_failing_is_partly_done_and_all_failing_is_their_failure() {
    let fake = Fake::start();
    let other = "0000000000000001";
    let ended = fake.run(&["setopt", "--clibuf", "0", "--flow", FLOW, "--flow", other]).code(3);
    assert!(ended.text().starts_with("00c004a900c901f2  client buffer 8 KiB -> 0 B"));
    ended.says(&["error: flows/0000000000000001: no such flow", "1 of 2 flows changed"]);
    fake.run(&["setopt", "--clibuf", "0", "--flow", other, "0000000000000002"]).code(4);
}

#[test]
fn a_stop_without_consent_is_not_even_sent() {
    let fake = Fake::start();
    let stop = ["setopt", "--flow", FLOW, "--stop", "both"];
    fake.run(&stop).code(2).says(&["a stop cannot be undone: add --yes"]);
    let raw = ["setopt", "--flow", FLOW, "--optname", "MOS_STOP_MON", "--optval", "2"];
    fake.run(&raw).code(2);
    assert_eq!(fake.requests(), 0);
    let ended = fake.run(&[&stop[..], &["--yes"]].concat()).code(0);
    assert_eq!(ended.text(), "00c004a900c901f2  stopped none -> both   (applied on core 3)\n");
    fake.run(&[&stop[..], &["--dry-run"]].concat()).code(0);
}

#[test]
fn on_a_terminal_the_number_of_flows_is_asked_for() {
    let fake = Fake::start();
    let line = format!("{} setopt --flow {FLOW} --stop both", env!("CARGO_BIN_EXE_mosctl"));
    // script(1) gives the command a terminal and hands its exit code on.
    let on_terminal = |answer: &str| {
        let feed = format!("printf '{answer}\\n' | script -qec '{line}' /dev/null");
        let mut shell = Command::new("sh");
        Ended::of(
            shell.args(["-c", &feed]).env("MOSCTL_ENDPOINT", fake.endpoint()).output().unwrap(),
        )
    };
    let ended = on_terminal("no");
    assert!(ended.text().contains("Monitoring of 1 flow will stop; this cannot be undone."));
    assert!(ended.code(2).text().contains("not confirmed: nothing was changed"));
    assert_eq!(fake.requests(), 0);
    assert!(on_terminal("1").code(0).text().contains("stopped none -> both"));
}

#[test]
fn an_ambiguous_size_is_refused_naming_both_readings() {
    let fake = Fake::start();
    fake.run(&["setopt", "--flow", FLOW, "--clibuf", "64k"]).code(2).says(&["64KiB", "64kB"]);
    fake.run(&["setopt", "--flow", FLOW]).code(2).says(&["nothing to set", "--clibuf"]);
    assert_eq!(fake.requests(), 0);
}
