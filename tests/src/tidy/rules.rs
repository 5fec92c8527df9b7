//! The rules. Each returns its violations, one line each: `path:line: what is wrong`.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{File, Tree, code_only};

/// Columns of a line, at most.
const COLUMNS_MAX: usize = 100;

/// Lines of a file, its unit tests not counted, at most.
const LINES_MAX: usize = 600;

/// Lines of a header, at most. The header of a crate may be longer.
const HEADER_LINES_MAX: usize = 12;

/// Our crates, and which of them each may depend on.
const CRATES: [(&str, &[&str]); 14] = [
    ("mos-proto", &[]),
    ("mos-text", &[]),
    ("mos-memory", &[]),
    ("mos-stack", &["mos-memory"]),
    ("mos-control", &["mos-stack"]),
    ("dpdk-sys", &[]),
    ("mos-dataplane", &["mos-stack", "mos-control", "dpdk-sys"]),
    ("mosd", &["mos-proto", "mos-text", "mos-memory", "mos-stack", "mos-control", "mos-dataplane"]),
    ("mosd-fuzz", &[]),
    ("mosctl", &["mos-proto", "mos-text"]),
    ("mos-tests", &["mos-proto", "mos-stack", "mos-control", "mos-dataplane"]),
    ("mos-judge", &["mos-tests"]),
    ("mos-reference", &["mos-proto", "mos-text", "mos-stack", "mosd", "mosctl"]),
    ("mos-bench", &["mos-memory", "mos-stack", "mos-control", "mos-dataplane"]),
];

/// Crates of generated code, which have lints of their own.
const GENERATED: [&str; 2] = ["mos-proto", "dpdk-sys"];

/// Folders and files that may contain unsafe code.
const UNSAFE_PLACES: [&str; 4] = [
    "dataplane/dpdk-sys/",
    "dataplane/memory/",
    "dataplane/runtime/src/dpdk/",
    "tests/judge/src/wire/tun.rs",
];

/// Crate names that only some files may mention.
const MENTIONS: [(&str, &str, &[&str]); 3] = [
    ("dpdk_sys", "dataplane/", &["dataplane/dpdk-sys/", "dataplane/runtime/src/dpdk/"]),
    (
        "mos_dataplane",
        "server/src/",
        &["server/src/boot/plan.rs", "server/src/boot/run.rs", "server/src/replay/"],
    ),
    ("mos_dataplane", "client/", &[]),
];

/// Where the types of the API may be named: at the edge, and in `serve`, which puts it on the wire.
const PROTO_PLACES: [&str; 7] = [
    "proto/",
    "client/",
    "examples/",
    "tests/",
    "server/tests/",
    "server/src/api/",
    "server/src/boot/serve",
];

/// Words that a folder of the stack must not contain, so that its modules point one way.
const STACK_ABSENCES: [(&str, &[&str]); 6] = [
    (
        "dataplane/stack/src/wire/",
        &["FlowTable", "Stack", "TcpSide", "Reassembler", "crate::tcp::", "socket::"],
    ),
    (
        "dataplane/stack/src/reassembly/",
        &["SeqNum", "wire::", "tcp::", "flow::", "socket::", "Stack"],
    ),
    ("dataplane/stack/src/flow/table", &["wire::", "reassembly::", "socket::", "Stack"]),
    ("dataplane/stack/src/flow/expiry", &["wire::", "reassembly::", "socket::", "Stack"]),
    ("dataplane/stack/src/tcp/", &["FlowTable", "socket::", "stack::", "Stack"]),
    ("dataplane/stack/src/socket/", &["wire::", "FlowTable", "stack::", "Stack"]),
];

/// Folders that must not name an errno or a gRPC code, except in the table of them.
const NUMBERLESS_PLACES: [&str; 3] = ["server/src/", "dataplane/stack/", "dataplane/control/"];

/// The table of errno values and gRPC codes.
const NUMBERS_TABLE: &str = "server/src/api/status";

/// Names of errno values, which one table of the server gives to refusals.
const ERRNO_NAMES: [&str; 13] = [
    "EACCES",
    "EBADF",
    "ENOTSOCK",
    "ENOSYS",
    "EPERM",
    "EINVAL",
    "ENOMEM",
    "EAGAIN",
    "ENODATA",
    "ENOTCONN",
    "ETIMEDOUT",
    "ESTALE",
    "EFAULT",
];

/// Every Rust file begins with a header of a few lines.
pub fn every_file_has_a_header(tree: &Tree) -> Vec<String> {
    tree.rust()
        .filter_map(|file| {
            let lines = file.text.lines().take_while(|line| line.starts_with("//!")).count();
            if lines == 0 {
                Some(format!("{}:1: no `//!` header", file.path))
            } else if lines > HEADER_LINES_MAX && !file.path.ends_with("src/lib.rs") {
                Some(format!("{}:1: header of {lines} lines", file.path))
            } else {
                None
            }
        })
        .collect()
}

/// Lines of Rust fit into 100 columns.
pub fn lines_are_short(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.rust() {
        for (number, line) in numbered(&file.text) {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                found.push(format!("{}:{number}: {columns} columns", file.path));
            }
        }
    }
    found
}

/// Files have at most 600 lines, tests not counted.
pub fn files_are_short(tree: &Tree) -> Vec<String> {
    tree.rust()
        .filter(|file| !file.is_test())
        .filter_map(|file| {
            let lines = file.without_tests().lines().count();
            (lines > LINES_MAX).then(|| format!("{}:1: {lines} lines", file.path))
        })
        .collect()
}

/// Only the wrappers of DPDK, of memory and of tun devices contain unsafe code.
pub fn unsafe_is_confined(tree: &Tree) -> Vec<String> {
    let outside = |path: &str| !starts_with_any(path, &UNSAFE_PLACES);
    mentions(tree, outside, "unsafe", "outside its places")
}

/// A crate depends only on the crates below it, and names them only where it may.
pub fn imports_point_downwards(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (file, manifest) in crates(tree) {
        let name = package_name(&manifest);
        let Some((_, allowed)) = CRATES.iter().find(|(known, _)| *known == name) else {
            found.push(format!("{}:1: crate {name} is in no row of the table", file.path));
            continue;
        };
        for dependency in dependencies(&manifest) {
            let ours = CRATES.iter().any(|(known, _)| *known == dependency);
            if ours && !allowed.contains(&dependency.as_str()) {
                found.push(format!("{}:1: {name} must not import {dependency}", file.path));
            }
        }
    }
    for (word, scope, places) in MENTIONS {
        let outside = |path: &str| path.starts_with(scope) && !starts_with_any(path, places);
        found.extend(mentions(tree, outside, word, "named outside its places"));
    }
    found
}

/// Inside the stack, modules name only those below them.
pub fn stack_modules_point_downwards(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (folder, absent) in STACK_ABSENCES {
        for file in tree.rust().filter(|file| file.path.starts_with(folder)) {
            let code = code_only(file.without_tests());
            for (number, line) in numbered(&code) {
                let known = absent.iter().filter(|word| has_path(line, word));
                found.extend(known.map(|word| format!("{}:{number}: knows {word}", file.path)));
            }
        }
    }
    found
}

/// The API's types stay at the edge.
pub fn proto_types_stay_at_the_edge(tree: &Tree) -> Vec<String> {
    let inside = |path: &str| !starts_with_any(path, &PROTO_PLACES);
    mentions(tree, inside, "mos_proto", "a type of the API away from the edge")
}

/// Below the server no code names an errno or a gRPC code, and in the server only one file does.
pub fn numbers_of_errors_stay_in_one_table(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.rust() {
        let table = file.path.starts_with(NUMBERS_TABLE);
        if table || file.is_test() || !starts_with_any(&file.path, &NUMBERLESS_PLACES) {
            continue;
        }
        let code = code_only(file.without_tests());
        for (number, line) in numbered(&code) {
            // Success needs no table.
            if has_path(&line.replace("Code::Ok", ""), "Code::") {
                found.push(format!("{}:{number}: a gRPC code outside api/status", file.path));
            }
        }
        for (number, line) in numbered(file.without_tests()) {
            let comment = line.trim_start().starts_with("//");
            if !comment && ERRNO_NAMES.iter().any(|name| has_word(line, name)) {
                found.push(format!("{}:{number}: an errno outside api/status", file.path));
            }
        }
    }
    found
}

/// Crates, folders and words that the rules above name exist: a rule about something that is gone
/// checks nothing.
pub fn rules_name_what_exists(tree: &Tree) -> Vec<String> {
    let known: BTreeSet<String> =
        crates(tree).iter().map(|(_, manifest)| package_name(manifest)).collect();
    let named = CRATES.iter().map(|(name, _)| *name).chain(GENERATED);
    let gone_crates =
        named.filter(|name| !known.contains(*name)).map(|name| format!("crate {name}"));

    let scopes = MENTIONS
        .iter()
        .flat_map(|(_, scope, places)| [*scope].into_iter().chain(places.iter().copied()));
    let absences = STACK_ABSENCES.iter().map(|(folder, _)| *folder);
    let fixed = UNSAFE_PLACES.into_iter().chain(PROTO_PLACES).chain(NUMBERLESS_PLACES);
    let places = fixed.chain([NUMBERS_TABLE]).chain(scopes).chain(absences);
    let is_gone = |place: &&str| !tree.files.iter().any(|file| file.path.starts_with(place));
    let gone_places = places.filter(is_gone).map(|place| format!("nothing at {place}"));

    let words: BTreeSet<&str> =
        STACK_ABSENCES.iter().flat_map(|(_, words)| words.iter().copied()).collect();
    let code: Vec<String> = tree
        .rust()
        .filter(|file| file.path.starts_with("dataplane/stack/src/"))
        .map(|file| code_only(&file.text))
        .collect();
    let stands = |word: &str| {
        let word = word.trim_start_matches("crate::");
        code.iter().any(|code| code.lines().any(|line| has_path(line, word)))
    };
    let gone_words =
        words.into_iter().filter(|word| !stands(word)).map(|word| format!("no {word}"));

    let found = gone_crates.chain(gone_places).chain(gone_words);
    found.map(|what| format!("tests/src/tidy/rules.rs:1: {what} any more")).collect()
}

/// An open point names its issue.
pub fn open_points_name_an_issue(tree: &Tree) -> Vec<String> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut found = Vec::new();
    for file in &tree.files {
        for (number, line) in numbered(&file.text) {
            let marked = marks.iter().any(|mark| has_word(line, mark));
            let quoted = marks.iter().any(|mark| line.contains(&format!("`{mark}`")));
            if marked && !quoted && !names_an_issue(line) {
                found.push(format!("{}:{number}: an open point without an issue", file.path));
            }
        }
    }
    found
}

/// Every Rust file is compiled: some root reaches it through `mod`.
pub fn every_file_is_in_a_module_tree(tree: &Tree) -> Vec<String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> = roots(tree);
    while let Some(path) = open.pop() {
        let file = tree.rust().find(|file| file.path == path);
        if let Some(file) = file.filter(|_| reached.insert(path.clone())) {
            open.extend(modules(file));
        }
    }
    tree.rust()
        .filter(|file| !reached.contains(&file.path))
        .map(|file| format!("{}:1: in no module tree", file.path))
        .collect()
}

/// Every crate that people write takes the workspace's lints.
pub fn every_crate_takes_the_lints(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (file, manifest) in crates(tree) {
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        let takes = lints.and_then(Value::as_bool) == Some(true);
        if !takes && !GENERATED.contains(&package_name(&manifest).as_str()) {
            found.push(format!("{}:1: no `[lints] workspace = true`", file.path));
        }
    }
    found
}

/// Every dependency has its version and its reason in the workspace's manifest, and only there.
pub fn dependencies_are_argued(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.manifests() {
        let mut section = "";
        for (number, line) in numbered(&file.text) {
            if line.starts_with('[') {
                section = line;
            } else if let Some(wrong) = wrong_dependency(section, line) {
                found.push(format!("{}:{number}: {wrong}", file.path));
            }
        }
    }
    found
}

/// What is wrong with a line of a manifest's section, if it is a dependency.
fn wrong_dependency(section: &str, line: &str) -> Option<&'static str> {
    if line.starts_with('#') || !line.contains('=') {
        return None;
    }
    if section == "[workspace.dependencies]" {
        let argued = line.contains("path = ") || line.contains("# ");
        return (!argued).then_some("a dependency without a reason");
    }
    let versioned = section.ends_with("dependencies]") && !line.contains("workspace = true");
    versioned.then_some("a version outside the workspace")
}

/// Nothing names a folder of one machine.
pub fn no_machine_paths(tree: &Tree) -> Vec<String> {
    let folders = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];
    let mut found = Vec::new();
    for file in &tree.files {
        for (number, line) in numbered(&file.text) {
            if folders.iter().any(|folder| line.contains(folder)) {
                found.push(format!("{}:{number}: a folder of one machine", file.path));
            }
        }
    }
    found
}

pub(super) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().zip(1..).map(|(line, number)| (number, line))
}

fn starts_with_any(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix))
}

/// Whether `line` contains `word` as a whole word.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// As [`has_word`]; a word that ends in `::` is the beginning of a path.
fn has_path(line: &str, word: &str) -> bool {
    let Some(module) = word.strip_suffix("::") else { return has_word(line, word) };
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !module.is_empty() && !before.is_some_and(is_part)
    })
}

fn names_an_issue(line: &str) -> bool {
    line.match_indices('#').any(|(at, _)| {
        line.get(at + 1..).and_then(|text| text.chars().next()).is_some_and(|c| c.is_ascii_digit())
    })
}

/// The places where code, not comments or strings, mentions `word` in a file whose path fits.
fn mentions(tree: &Tree, fits: impl Fn(&str) -> bool, word: &str, wrong: &str) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.rust().filter(|file| fits(&file.path)) {
        for (number, line) in numbered(&code_only(&file.text)) {
            if has_word(line, word) {
                found.push(format!("{}:{number}: {word}: {wrong}", file.path));
            }
        }
    }
    found
}

/// The manifests of crates, parsed. (Cargo itself refuses one that does not parse.)
fn crates(tree: &Tree) -> Vec<(&File, Table)> {
    tree.manifests()
        .filter_map(|file| Some((file, file.text.parse::<Table>().ok()?)))
        .filter(|(_, manifest)| manifest.contains_key("package"))
        .collect()
}

fn package_name(manifest: &Table) -> String {
    let name = manifest.get("package").and_then(|package| package.get("name"));
    name.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Names of the normal and build dependencies. Those of tests are not shipped.
fn dependencies(manifest: &Table) -> Vec<String> {
    ["dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| manifest.get(*section).and_then(Value::as_table))
        .flat_map(|table| table.keys().cloned())
        .collect()
}

/// The root files of Cargo's targets.
fn roots(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (file, manifest) in crates(tree) {
        let folder = file.path.trim_end_matches("Cargo.toml");
        for name in ["src/lib.rs", "src/main.rs", "build.rs"] {
            found.push(format!("{folder}{name}"));
        }
        for kind in ["test", "bench", "bin", "example"] {
            let targets = manifest.get(kind).and_then(Value::as_array);
            for path in targets.into_iter().flatten().filter_map(|target| target.get("path")) {
                found.extend(path.as_str().map(|path| join(folder, path)));
            }
        }
        for kind in ["tests/", "benches/", "examples/", "src/bin/"] {
            let below = format!("{folder}{kind}");
            // Cargo finds `NAME.rs` and `NAME/main.rs` by itself.
            let direct = |file: &&File| {
                let name = file.path.strip_prefix(&below).unwrap_or("/");
                !name.trim_end_matches("/main.rs").contains('/')
            };
            found.extend(tree.rust().filter(direct).map(|file| file.path.clone()));
        }
    }
    found
}

/// The path from the top of `path`, which is seen from `folder` and may begin with `../`.
fn join(folder: &str, path: &str) -> String {
    let Some(rest) = path.strip_prefix("../") else { return format!("{folder}{path}") };
    let parent = folder.trim_end_matches('/').rfind('/').map_or(0, |slash| slash + 1);
    join(&folder[..parent], rest)
}

/// The paths of the modules that `file` declares.
fn modules(file: &File) -> Vec<String> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let stem = name.trim_end_matches(".rs");
    let mut bases = vec![format!("{folder}/{stem}")];
    // The modules of `mod.rs` and of a crate's root are in the same folder.
    bases.push(folder.to_owned());
    let mut found = Vec::new();
    let mut path_attribute = None;
    for line in file.text.lines().map(str::trim) {
        if let Some(path) = line.strip_prefix("#[path = \"").and_then(|l| l.strip_suffix("\"]")) {
            path_attribute = Some(format!("{folder}/{path}"));
            continue;
        }
        let Some(module) = declared_module(line) else { continue };
        match path_attribute.take() {
            Some(path) => found.push(path),
            None => {
                for base in &bases {
                    found.push(format!("{base}/{module}.rs"));
                    found.push(format!("{base}/{module}/mod.rs"));
                }
            }
        }
    }
    found
}

/// The name in `mod name;`, with any visibility before it.
fn declared_module(line: &str) -> Option<&str> {
    let rest = line.strip_suffix(';')?;
    let name = match rest.rsplit_once(' ') {
        Some((before, name)) if before == "mod" || before.ends_with(" mod") => name,
        Some(_) | None => return None,
    };
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_name && !line.starts_with("//")).then_some(name)
}
