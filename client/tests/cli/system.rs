//! `status`, `info`, and what needs no server.

use mos_proto::v1::ConditionLevel;

use crate::{fake::Fake, run::alone};

#[test]
fn status_fits_one_screen_and_ends_with_the_level() {
    let ended = Fake::with_level(ConditionLevel::Critical).run(&["status"]).code(14).silent();
    assert_eq!(
        ended.text(),
        "CRITICAL  node mos1, up -, 0.1.0, boot 6d1f\n\
         \x20 CRITICAL  buffer-pool   98% used   -> mosctl flows list\n\
         \x20 OK        1 condition\n\
         CORE           FLOWS  BUSY         RX  MISSED  QUEUE  BUFFERS      LOOP\n\
         \x20  0  52,110/262,144   61%  1,200,000       0      0      41%  1,800 ms  !\n\
         PORT                        DRIVER         QUEUES         RX  BYTES  LOST\n\
         net_af_packet0,iface=veth0  net_af_packet       1  1,200,000  1 GiB     7  queue full 7\n"
    );
    Fake::with_level(ConditionLevel::Warning).run(&["status"]).code(13);
    let ended = Fake::start().run(&["status"]).code(0);
    assert!(ended.text().starts_with("OK  node mos1") && ended.text().contains("2 conditions"));
}

#[test]
fn status_is_coloured_when_that_is_asked_for() {
    let ended = Fake::start().run(&["status", "--color", "always"]).code(0);
    assert!(ended.text().starts_with("\u{1b}[1;32mOK\u{1b}[0m  node"), "{:?}", ended.text());
}

#[test]
fn info_lists_what_a_client_should_not_guess() {
    let ended = Fake::start().run(&["info"]).code(0).silent();
    for part in [
        "node      mos1\n",
        "features  peek-flow, raw-sock-opt\n",
        "defaults  client buffer 8 KiB, server buffer 8 KiB",
        "buffer.client.max_bytes  16777216 (16 MiB)\n",
        "list.page_size.max       1000\n",
        "streams.max              32 for each principal\n",
    ] {
        assert!(ended.text().contains(part), "no {part:?} in:\n{}", ended.text());
    }
    let json = Fake::start().run(&["info", "-o", "json"]).code(0).json();
    let expected = serde_json::json!({
        "name": "list.page_size.max",
        "value": "1000",
        "unit": "LIMIT_UNIT_COUNT",
        "scope": "LIMIT_SCOPE_CALL",
    });
    assert_eq!(json["limits"][0], expected);
    Fake::start().run(&["info", "-o", "name"]).code(2);
}

#[test]
fn whoami_says_who_one_is_and_what_one_may() {
    let ended = Fake::start().run(&["whoami"]).code(0).silent();
    assert_eq!(
        ended.text(),
        "principal  uid 1000\n\
         proven     by the Unix socket\n\
         roles      viewer, operator\n\
         grants     the group of the socket\n\
         \n\
         METHODS\n\
         mos.v1.FlowService/GetFlow\n\
         mos.v1.FlowService/ListFlows\n"
    );
    let json = Fake::start().run(&["whoami", "-o", "json"]).code(0).json();
    assert_eq!(json["roles"], serde_json::json!(["ROLE_VIEWER", "ROLE_OPERATOR"]));
    assert_eq!(json["proof"], "CALLER_PROOF_UNIX_SOCKET");
}

#[test]
fn the_exit_codes_are_an_interface() {
    let table = [
        "CODE  MEANING                                       GRPC",
        "   0  done; a closed pipe is no error               OK",
        "   1  other failure                                 UNKNOWN, INTERNAL, DATA_LOSS",
        "   2  bad command line or file (nothing sent)       none",
        "   3  partly done: flows failed, cores unreachable  OK",
        "   4  no such flow                                  NOT_FOUND",
        "   5  not allowed                                   UNAUTHENTICATED, PERMISSION_DENIED",
        "   6  no answer; safe to retry                      UNAVAILABLE, DEADLINE_EXCEEDED",
        "   7  somebody else changed it                      ABORTED, ALREADY_EXISTS",
        "   8  refused in this state                         FAILED_PRECONDITION, OUT_OF_RANGE",
        "   9  resources or rate limit                       RESOURCE_EXHAUSTED",
        "  10  server rejects the arguments                  INVALID_ARGUMENT",
        "  11  server too old or option not built in         UNIMPLEMENTED",
        "  12  stream ended well but lost data               OK",
        "  13  status found WARNING                          OK",
        "  14  status found CRITICAL                         OK",
        " 130  interrupted (Ctrl-C)                          CANCELLED",
    ];
    let ended = alone(&["help", "exit-codes"]).code(0).silent();
    assert_eq!(ended.text().lines().collect::<Vec<_>>(), table);
}

#[test]
fn help_explains_commands_and_topics() {
    for (topic, part) in [
        (vec!["help", "filters"], "client.address"),
        (vec!["help", "tuples"], "2001:db8::1.43512"),
        (vec!["help", "flows", "list"], "--older-than"),
        (vec!["help"], "setopt"),
        (vec!["setopt", "--help"], "MOS_CLIBUF"),
    ] {
        let ended = alone(&topic).code(0).silent();
        assert!(ended.text().contains(part), "{topic:?}: {}", ended.text());
    }
    alone(&["help", "nothing"]).code(2).says(&["exit-codes, filters, tuples"]);
}

#[test]
fn completion_and_version_need_no_server() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(alone(&["completion", shell]).code(0).text().contains("mosctl"), "{shell}");
    }
    let version = format!("mosctl {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(alone(&["version"]).code(0).text(), version);
    assert_eq!(alone(&["--version"]).code(0).text(), version);
}
