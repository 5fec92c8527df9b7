//! Guards the architecture. Each rule is first run on a bad sample, which it must refuse, and then
//! on the tree, where it must find nothing.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]

use std::time::Duration;

use mos_tests::program;
use mos_tests::tidy::{self, Tree};
use serde_json::json;

type Rule = fn(&Tree) -> Vec<String>;

/// Asserts that `rule` finds each of `bad` and nothing in the tree.
#[track_caller]
fn guard(rule: Rule, bad: &[&[(&str, &str)]]) {
    for files in bad {
        assert!(!rule(&Tree::sample(files)).is_empty(), "the rule does not refuse {files:?}");
    }
    let tree = Tree::of_workspace();
    assert!(tree.rust().count() > 20, "most of the tree was not found");
    let found = rule(&tree);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

/// Asserts that `rule` accepts `good`, so that a bad sample is refused for the right reason.
#[track_caller]
fn allow(rule: Rule, good: &[(&str, &str)]) {
    let found = rule(&Tree::sample(good));
    assert!(found.is_empty(), "refused: {found:?}");
}

#[test]
fn every_file_has_a_header() {
    let long = "//! word\n".repeat(13);
    allow(tidy::every_file_has_a_header, &[("a/src/b.rs", "//! What it is.\n")]);
    guard(
        tidy::every_file_has_a_header,
        &[&[("a/src/b.rs", "use core::fmt;\n//! Late.\n")], &[("a/src/b.rs", &long)]],
    );
}

#[test]
fn lines_fit_into_100_columns() {
    allow(tidy::lines_are_short, &[("a.rs", &"ä".repeat(100))]);
    guard(tidy::lines_are_short, &[&[("a.rs", &"a".repeat(101))]]);
}

#[test]
fn files_fit_into_600_lines_without_their_tests() {
    let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}", "a;\n".repeat(590), "b;\n".repeat(99));
    allow(tidy::files_are_short, &[("a/src/b.rs", &tests)]);
    guard(tidy::files_are_short, &[&[("a/src/b.rs", &"a;\n".repeat(601))]]);
}

#[test]
fn unsafe_code_stays_in_its_places() {
    allow(
        tidy::unsafe_is_confined,
        &[
            ("dataplane/runtime/src/dpdk/port.rs", "unsafe { x() }"),
            (
                "dataplane/stack/src/lib.rs",
                "#![forbid(unsafe_code)] // unsafe\n const A = \"unsafe\";",
            ),
        ],
    );
    guard(
        tidy::unsafe_is_confined,
        &[
            &[("dataplane/stack/src/ring.rs", "fn f() { unsafe { x() } }")],
            &[("dataplane/control/src/ring.rs", "unsafe impl Send for X {}")],
        ],
    );
}

#[test]
fn crates_import_only_what_lies_below() {
    let manifest = |name: &str, dependency: &str| {
        format!("[package]\nname = \"{name}\"\n[dependencies]\n{dependency}.workspace = true\n")
    };
    let up = manifest("mos-stack", "mos-control");
    let unknown = manifest("mos-utils", "mos-stack");
    let client = manifest("mosctl", "mos-stack");
    allow(
        tidy::imports_point_downwards,
        &[("dataplane/control/Cargo.toml", &manifest("mos-control", "mos-stack"))],
    );
    guard(
        tidy::imports_point_downwards,
        &[
            &[("dataplane/stack/Cargo.toml", &up)],
            &[("utils/Cargo.toml", &unknown)],
            &[("client/Cargo.toml", &client)],
            &[("server/src/api/rpc/get_flow.rs", "use mos_dataplane::Dataplane;")],
            &[("dataplane/runtime/src/worker.rs", "use dpdk_sys::rte_mbuf;")],
        ],
    );
}

#[test]
fn modules_of_the_stack_import_only_what_lies_below() {
    allow(
        tidy::stack_modules_point_downwards,
        &[("dataplane/stack/src/tcp/mod.rs", "use crate::wire::Segment;")],
    );
    guard(
        tidy::stack_modules_point_downwards,
        &[
            &[("dataplane/stack/src/reassembly/ring.rs", "use crate::seq::{SeqNum};")],
            &[("dataplane/stack/src/reassembly/ring.rs", "use crate::tcp::TcpSide;")],
            &[("dataplane/stack/src/tcp/mod.rs", "fn f(table: &mut FlowTable<Flow>) {}")],
            &[("dataplane/stack/src/wire/tcp.rs", "use crate::flow::table::FlowTable;")],
        ],
    );
}

#[test]
fn rooms_of_the_server_import_only_what_the_table_says() {
    allow(
        tidy::rooms_import_as_drawn,
        &[
            ("server/src/api/rpc/x.rs", "use crate::{api::state::Control, flows::walk::Walk};"),
            ("server/src/flows/walk/scans.rs", "use super::super::resolve::Resolved;"),
            ("server/src/lib.rs", "pub use api::Service;"),
        ],
    );
    guard(
        tidy::rooms_import_as_drawn,
        &[
            &[("server/src/flows/walk/mod.rs", "use crate::api::rejection::Rejection;")],
            &[(
                "server/src/words/facts.rs",
                "use crate::{\n    words::bounds,\n    workers::Workers,\n};",
            )],
            &[("server/src/events/task.rs", "fn f() { super::super::health::vitals::f() }")],
            &[("server/src/utils/mod.rs", "use crate::words::bounds;")],
            &[("server/src/api/state.rs", "use crate::Control;")],
        ],
    );
}

#[test]
fn imports_form_no_circle() {
    allow(
        tidy::imports_have_no_circle,
        &[
            ("a/src/lib.rs", "mod b;\nmod d;\npub use crate::b::B;"),
            ("a/src/b/mod.rs", "mod c;\npub use self::c::C;\nuse crate::d::D;"),
            ("a/src/b/c.rs", "use super::B;\nuse crate::b::E;"),
            ("a/src/d.rs", "// crate::b\n#[cfg(test)]\nmod tests {\n    use crate::b::B;\n}"),
        ],
    );
    guard(
        tidy::imports_have_no_circle,
        &[
            &[
                ("dataplane/runtime/src/dpdk/mbuf.rs", "use super::mempool::BURST;"),
                ("dataplane/runtime/src/dpdk/mempool.rs", "use super::mbuf::Mbuf;"),
            ],
            &[
                ("dataplane/stack/src/event.rs", "use crate::{Head, reassembly::BufferPool};"),
                ("dataplane/stack/src/reassembly/mod.rs", "use crate::event::HEAD_BYTES;"),
            ],
            &[
                ("server/src/args.rs", "use crate::replay::ReplayArgs;"),
                ("server/src/replay/mod.rs", "pub use self::args::ReplayArgs;"),
                ("server/src/replay/args.rs", "use crate::args::workers;"),
            ],
            &[
                ("server/src/call.rs", "use crate::listen::Peer;"),
                ("server/src/listen.rs", "use crate::call::Principal;"),
            ],
            &[
                ("server/src/serve.rs", "use crate::service::Service;"),
                ("server/src/service.rs", "use crate::{call::Call, rpc};"),
                ("server/src/call.rs", ""),
                ("server/src/rpc/mod.rs", "mod get_server_info;"),
                ("server/src/rpc/get_server_info.rs", "use crate::serve::STREAMS_MAX;"),
            ],
        ],
    );
}

#[test]
fn types_of_the_api_stay_at_the_edge() {
    allow(
        tidy::proto_types_stay_at_the_edge,
        &[("server/src/api/rpc/get_flow.rs", "use mos_proto::v1::Flow;")],
    );
    guard(
        tidy::proto_types_stay_at_the_edge,
        &[
            &[("server/src/workers/client.rs", "use mos_proto::v1::Flow;")],
            &[("dataplane/runtime/src/worker.rs", "fn f(flow: mos_proto::v1::Flow) {}")],
        ],
    );
}

#[test]
fn errno_and_grpc_codes_stay_in_one_table() {
    allow(
        tidy::numbers_of_errors_stay_in_one_table,
        &[
            ("server/src/api/status.rs", "(\"EBADF\", Code::NotFound)"),
            ("server/src/api/rpc/x.rs", "// EBADF, see status.rs.\nfn f(code: ExitCode) {}"),
        ],
    );
    guard(
        tidy::numbers_of_errors_stay_in_one_table,
        &[
            &[("server/src/api/rpc/x.rs", "Status::new(Code::NotFound, \"\")")],
            &[("server/src/api/rpc/x.rs", "let errno = \"EBADF\";")],
            &[("dataplane/stack/src/socket/mod.rs", "return Err(EPERM);")],
        ],
    );
}

#[test]
fn open_points_name_an_issue() {
    let mark = concat!("TO", "DO");
    let with = format!("// {mark} #12: later");
    let without = format!("// {mark}: later");
    allow(tidy::open_points_name_an_issue, &[("a.rs", &with)]);
    guard(tidy::open_points_name_an_issue, &[&[("a.rs", &without)], &[("a.sh", &without)]]);
}

#[test]
fn every_file_is_in_a_module_tree() {
    let manifest = ("a/Cargo.toml", "[package]\nname = \"mos-a\"\n");
    allow(
        tidy::every_file_is_in_a_module_tree,
        &[
            manifest,
            ("a/src/lib.rs", "pub mod b;\n"),
            ("a/src/b/mod.rs", "mod c;\n"),
            ("a/src/b/c.rs", ""),
            ("a/tests/d.rs", ""),
            ("a/tests/e/main.rs", "mod f;\n"),
            ("a/tests/e/f.rs", ""),
        ],
    );
    guard(
        tidy::every_file_is_in_a_module_tree,
        &[
            &[manifest, ("a/src/lib.rs", "mod b;\n"), ("a/src/c.rs", "")],
            &[manifest, ("a/src/lib.rs", "// mod b;\n"), ("a/src/b.rs", "")],
            &[manifest, ("a/tests/e/f.rs", "")],
        ],
    );
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    allow(
        tidy::every_crate_takes_the_lints,
        &[("a/Cargo.toml", "[package]\nname = \"mos-a\"\n[lints]\nworkspace = true\n")],
    );
    guard(
        tidy::every_crate_takes_the_lints,
        &[&[(
            "a/Cargo.toml",
            "[package]\nname = \"mos-a\"\n[lints.rust]\nunsafe_code = \"deny\"\n",
        )]],
    );
}

#[test]
fn dependencies_have_one_version_and_a_reason() {
    allow(
        tidy::dependencies_are_argued,
        &[("Cargo.toml", "[workspace.dependencies]\nrtrb = \"0.4\" # the seam's ring\n")],
    );
    guard(
        tidy::dependencies_are_argued,
        &[
            &[("Cargo.toml", "[workspace.dependencies]\nrtrb = \"0.4\"\n")],
            &[("a/Cargo.toml", "[dependencies]\nrtrb = \"0.4\"\n")],
        ],
    );
}

#[test]
fn no_folder_of_one_machine_is_named() {
    let home = concat!("/ho", "me/someone/mosd");
    allow(tidy::no_machine_paths, &[("a.sh", "cd \"$HOME/mosd\"")]);
    guard(tidy::no_machine_paths, &[&[("a.sh", home)]]);
}

#[test]
fn what_the_rules_name_is_still_there() {
    guard(
        tidy::rules_name_what_exists,
        &[&[("proto/Cargo.toml", "[package]\nname = \"mos-proto\"\n")]],
    );
}

#[test]
fn links_lead_somewhere() {
    allow(
        tidy::links_lead_somewhere,
        &[
            (
                "docs/a.md",
                "[b](c/b.md#two-words), [c](c), [d](#own), [e](https://e.org/x)\n\n# Own\n",
            ),
            ("docs/c/b.md", "# Two words\n\n[a](../a.md)\n"),
        ],
    );
    guard(
        tidy::links_lead_somewhere,
        &[
            &[("docs/a.md", "[b](b.md)\n")],
            &[("docs/a.md", "[b](../b.md)\n"), ("docs/b.md", "")],
            &[("a.md", "[b](b.md#other)\n"), ("b.md", "# One\n")],
            &[("a.md", "[b](#other)\n")],
        ],
    );
}

#[test]
fn the_book_is_whole_without_the_tree() {
    allow(
        tidy::links_of_the_book_stay_in_it,
        &[
            ("docs/a.md", "[b](c/b.md#two-words), [d](#own), [e](https://e.org/x)\n"),
            ("docs/c/b.md", "[a](../a.md)\n"),
            ("a.md", "[c](c.toml)\n"),
        ],
    );
    guard(
        tidy::links_of_the_book_stay_in_it,
        &[
            &[("docs/a.md", "[b](../b.md)\n"), ("b.md", "")],
            &[("docs/a.md", "[c](c)\n"), ("docs/c/b.md", "")],
            &[("docs/a.md", "[c](../c.toml#x)\n"), ("c.toml", "")],
        ],
    );
}

#[test]
fn paths_in_code_marks_exist() {
    allow(
        tidy::paths_of_pages_exist,
        &[
            ("a.md", "`a/b.rs`, `a/`, `target/debug/mosd`, `/run/mosd/mosd.sock`, `and/or`\n"),
            ("a/b.rs", ""),
        ],
    );
    guard(
        tidy::paths_of_pages_exist,
        &[
            &[("a.md", "`a/c.rs`\n"), ("a/b.rs", "")],
            &[("a.md", "`a/c/`\n"), ("a/b.rs", "")],
            &[("a.md", "`elsewhere/c.rs`\n")],
        ],
    );
}

#[test]
fn items_that_the_architecture_names_exist() {
    let page = "docs/explanation/architecture.md";
    let code = ("a/src/lib.rs", "impl Flow { fn side_of() {} }\n// gone_by\nconst MAX: u8 = 1;\n");
    allow(
        tidy::items_of_the_architecture_exist,
        &[(page, "`Flow::side_of`, `side_of()`, `MAX`, `make test`, `loop`\n"), code],
    );
    guard(
        tidy::items_of_the_architecture_exist,
        &[
            &[(page, "`Flow::end_of`\n"), code],
            &[(page, "`gone_by`\n"), code],
            &[(page, "`Side`\n"), code],
        ],
    );
}

#[test]
fn promises_name_tests_that_exist() {
    let page = |test: &str| format!("| promise | test |\n| --- | --- |\n| It does. | `{test}` |\n");
    let [good, plain, gone] = ["a.rs::it_does", "a.rs::helper", "b.rs::it_does"].map(page);
    let code = "#[test]\n#[expect(\n    x,\n)]\nfn it_does() {}\n\nfn helper() {}\n";
    let promises = "docs/promises.md";
    allow(tidy::promises_name_their_tests, &[(promises, &good), ("a.rs", code)]);
    guard(
        tidy::promises_name_their_tests,
        &[
            &[(promises, &plain), ("a.rs", code)],
            &[(promises, &gone), ("a.rs", code)],
            &[(promises, "Nothing.\n")],
        ],
    );
}

#[test]
fn decisions_are_numbered_complete_and_listed() {
    let whole = "# 1\n\n## Context\n\n## Decision\n\n## Rejected\n\n## Status\n";
    let index = ("docs/decisions/README.md", "[1](0001-a.md) [2](0002-b.md)\n");
    let first = ("docs/decisions/0001-a.md", whole);
    allow(tidy::decisions_are_complete, &[index, first]);
    guard(
        tidy::decisions_are_complete,
        &[
            &[index, first, ("docs/decisions/0003-c.md", whole)],
            &[("docs/decisions/README.md", ""), first],
            &[index, first, ("docs/decisions/0002-b.md", "# 2\n\n## Context\n")],
        ],
    );
}

#[test]
fn the_book_lists_its_pages() {
    let summary = ("docs/SUMMARY.md", "- [a](a.md)\n");
    allow(tidy::the_book_lists_its_pages, &[summary, ("docs/a.md", "")]);
    guard(tidy::the_book_lists_its_pages, &[&[summary, ("docs/b/a.md", "")]]);
}

#[test]
fn lines_of_pages_fit_into_120_columns() {
    let long = "word ".repeat(25);
    let link = format!("[a]({})\n\nhttps://{0}\n\n| {long} |\n| --- |\n", "a".repeat(130));
    allow(tidy::pages_are_narrow, &[("a.md", &link)]);
    guard(tidy::pages_are_narrow, &[&[("a.md", &long)]]);
}

#[test]
fn licences_bans_and_sources_are_as_deny_toml_says() {
    let deny = "[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{ crate = \"bad\" }]\n\
                [sources]\nallow-registry = [\"here\"]\n";
    let deny = deny.parse().unwrap();
    let crates = |name: &str, license: &str, source: &str| {
        let package = json!({ "name": name, "license": license, "source": source });
        json!({ "packages": [package] })
    };
    let good = crates("good", "Apache-2.0/MIT", "registry+here");
    assert_eq!(tidy::dependencies_are_allowed(&good, &deny), Vec::<String>::new());
    for bad in [
        crates("bad", "MIT", "registry+here"),
        crates("good", "MIT AND Apache-2.0", "registry+here"),
        crates("good", "", "registry+here"),
        crates("good", "MIT", "git+there"),
    ] {
        assert_eq!(tidy::dependencies_are_allowed(&bad, &deny).len(), 1, "{bad}");
    }

    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let question = ["metadata", "--offline", "--locked", "--format-version", "1"];
    let mut cargo = program::command(env!("CARGO"), question);
    cargo.args(["--filter-platform", &platform]).current_dir(tidy::root());
    let metadata = program::run(&mut cargo, Duration::from_secs(300)).succeeded().text();
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    assert!(metadata["packages"].as_array().is_some_and(|packages| packages.len() > 100));
    let deny = std::fs::read_to_string(tidy::root().join("deny.toml")).unwrap().parse().unwrap();
    let found = tidy::dependencies_are_allowed(&metadata, &deny);
    assert!(found.is_empty(), "{}", found.join("\n"));
}
