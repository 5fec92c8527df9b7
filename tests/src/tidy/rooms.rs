//! Imports: the rooms of the server import only what a table allows, and no imports form a circle.
//!
//! An import is a path in code that begins with `crate`, `self` or `super`, in a `use` or not; unit
//! tests do not count. It leads to the deepest module that it names: what a folder's `mod.rs`
//! publishes again counts as the folder's.

use std::collections::{BTreeMap, BTreeSet};

use super::{File, Tree, code_only};

/// The folder of the rooms of the server.
const ROOMS_FOLDER: &str = "server/src/";

/// The rooms of the server, and which others each may import. `words` is the vocabulary of all
/// rooms.
const ROOMS: [(&str, &[&str]); 16] = [
    (
        "boot",
        &["api", "audit", "auth", "health", "log", "net", "panics", "policies", "replay", "words"],
    ),
    (
        "api",
        &[
            "audit", "auth", "budgets", "events", "filter", "flows", "health", "net", "panics",
            "policies", "words", "workers",
        ],
    ),
    ("flows", &["filter", "words", "workers"]),
    ("policies", &["filter", "panics", "words", "workers"]),
    ("events", &["budgets", "filter", "panics", "words"]),
    ("health", &["events", "log", "panics", "words", "workers"]),
    ("net", &["audit", "auth", "budgets", "panics", "words"]),
    ("budgets", &["auth", "words"]),
    ("audit", &["auth", "words"]),
    ("auth", &["words"]),
    ("workers", &["panics", "words"]),
    ("log", &["words"]),
    ("panics", &["words"]),
    ("filter", &["words"]),
    ("replay", &["filter", "words"]),
    ("words", &[]),
];

/// Crates whose folders are not rooms yet: files of theirs must not form a circle, but folders may.
const FOLDERS_OPEN: [&str; 2] = ["dataplane/stack/src/", "dataplane/runtime/src/"];

/// A module, as the names of its path from the root of its crate.
type Module = Vec<String>;

/// A room of the server imports only what the table lets it.
pub fn rooms_import_as_drawn(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in sources(tree).filter(|file| file.path.starts_with(ROOMS_FOLDER)) {
        let module = module(file);
        let Some(room) = module.first() else { continue };
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| name == room) else {
            found.push(format!("{}:1: {room} is no room of the table", file.path));
            continue;
        };
        for (line, path) in imports(file) {
            let target = absolute(&module, &path);
            let Some(other) = target.first().filter(|other| *other != room) else { continue };
            if !allowed.contains(&other.as_str()) {
                found.push(format!("{}:{line}: {room} must not import {other}", file.path));
            }
        }
    }
    found
}

/// No module imports one that, directly or through others, imports it.
///
/// A folder and the modules in it never form a circle: a module may import from its own folder's
/// `mod.rs`, which in turn publishes the module. Elsewhere a folder counts as one with all modules
/// in it: `a/x.rs` that imports `b` and `b/y.rs` that imports `a` are a circle, except in the
/// crates of `FOLDERS_OPEN`.
pub fn imports_have_no_circle(tree: &Tree) -> Vec<String> {
    let mut crates: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in sources(tree) {
        crates.entry(root_folder(file)).or_default().push(file);
    }
    crates.into_iter().flat_map(|(folder, files)| circles_of(folder, &files)).collect()
}

/// The circles of one crate.
fn circles_of(folder: &str, files: &[&File]) -> Vec<String> {
    let modules: BTreeSet<Module> = files.iter().map(|file| module(file)).collect();
    let mut arrows: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    let mut places = BTreeMap::new();
    for file in files {
        let from = module(file);
        for (line, path) in imports(file) {
            let to = deepest(&modules, &absolute(&from, &path));
            if let Some((from, to)) = arrow(folder, &from, &to) {
                let place = format!("{}:{line}", file.path);
                places.entry((from.clone(), to.clone())).or_insert(place);
                arrows.entry(from).or_default().insert(to);
            }
        }
    }
    places
        .into_iter()
        .filter(|((from, to), _)| leads_to(&arrows, to, from))
        .map(|((from, to), place)| {
            format!("{place}: {} imports {}, which leads back", from.join("::"), to.join("::"))
        })
        .collect()
}

/// The ends of an import as the rule counts them; `None` between a folder and a module in it.
fn arrow(folder: &str, from: &Module, to: &Module) -> Option<(Module, Module)> {
    let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    if common == from.len() || common == to.len() {
        return None;
    }
    let is_open = FOLDERS_OPEN.contains(&folder);
    let end = |module: &Module| {
        if is_open { module.clone() } else { module[..=common].to_vec() }
    };
    Some((end(from), end(to)))
}

/// Whether arrows lead from one module to another.
fn leads_to(arrows: &BTreeMap<Module, BTreeSet<Module>>, from: &Module, to: &Module) -> bool {
    let (mut open, mut seen) = (vec![from], BTreeSet::new());
    while let Some(module) = open.pop() {
        if module == to {
            return true;
        }
        if seen.insert(module) {
            open.extend(arrows.get(module).into_iter().flatten());
        }
    }
    false
}

/// The source files of libraries, unit tests left out.
fn sources(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.rust().filter(|file| {
        let is_inner = file.path.split_once("/src/").is_some_and(|(_, rest)| rest != "main.rs");
        is_inner && (!file.is_test() || file.path.starts_with("tests/"))
    })
}

/// The folder of the root that a source file belongs to.
fn root_folder(file: &File) -> &str {
    let end = file.path.find("/src/").map_or(0, |at| at + "/src/".len());
    file.path.get(..end).unwrap_or_default()
}

fn module(file: &File) -> Module {
    let path = file.path.strip_prefix(root_folder(file)).unwrap_or(&file.path);
    let names = path.trim_end_matches(".rs").split('/');
    names.filter(|name| !["lib", "mod"].contains(name)).map(str::to_owned).collect()
}

/// A path from the crate's root on.
fn absolute(from: &Module, path: &[String]) -> Module {
    let mut target = from.clone();
    for name in path {
        match name.as_str() {
            "crate" => target.clear(),
            "super" => drop(target.pop()),
            "self" => {}
            name => target.push(name.to_owned()),
        }
    }
    target
}

/// The deepest module on the way to an item.
fn deepest(modules: &BTreeSet<Module>, path: &Module) -> Module {
    let mut end = path.len();
    while end > 0 && !modules.contains(&path[..end]) {
        end -= 1;
    }
    path[..end].to_vec()
}

/// The paths of a file that lead to modules of its own crate, with their lines.
fn imports(file: &File) -> Vec<(usize, Vec<String>)> {
    let code = code_only(file.without_tests());
    let mut found = Vec::new();
    for word in ["crate::", "self::", "super::"] {
        for (at, _) in code.match_indices(word) {
            let before = code.get(..at).unwrap_or_default();
            let continues = before.ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
            if !continues && !before.ends_with("in ") {
                let line = before.matches('\n').count() + 1;
                let path = use_tree(code.get(at..).unwrap_or_default());
                found.extend(expand(path).into_iter().map(|path| (line, path)));
            }
        }
    }
    found
}

/// The path that a text begins with, its groups in braces included.
fn use_tree(text: &str) -> &str {
    let (mut depth, mut before) = (0_u32, ' ');
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == ':' || depth > 0 => depth += 1,
            '}' if depth > 1 => depth -= 1,
            '}' if depth == 1 => return text.get(..=at).unwrap_or(text),
            _ if depth > 0 || c.is_alphanumeric() || "_:".contains(c) => {}
            _ => return text.get(..at).unwrap_or(text),
        }
        before = c;
    }
    text
}

/// Expands the groups of a path: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(path: &str) -> Vec<Vec<String>> {
    let names = |text: &str| -> Vec<String> {
        let name = text.split_whitespace().next().unwrap_or_default();
        name.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let Some((head, group)) = path.split_once('{') else { return vec![names(path)] };
    let inner = group.rsplit_once('}').map_or(group, |(inner, _)| inner);
    let head = names(head);
    members(inner)
        .into_iter()
        .flat_map(expand)
        .map(|tail| head.iter().cloned().chain(tail).collect())
        .collect()
}

/// The members of a group. Nested groups are not expanded.
fn members(group: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    let is_end = |c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    group.split(is_end).map(str::trim).filter(|member| !member.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> Vec<(usize, String)> {
        let file = File::new("a/src/b/c.rs", code);
        imports(&file).into_iter().map(|(line, path)| (line, path.join("::"))).collect()
    }

    #[test]
    fn paths_are_found_in_uses_and_elsewhere() {
        assert_eq!(
            of("use crate::{\n    a::{self, B},\n    c as d,\n};\nfn f() { super::e::g(); }"),
            [
                (1, "crate::a::self".to_owned()),
                (1, "crate::a::B".to_owned()),
                (1, "crate::c".to_owned()),
                (5, "super::e::g".to_owned()),
            ]
        );
    }

    #[test]
    fn what_only_looks_like_a_path_is_none() {
        assert_eq!(
            of("pub(in crate::a) fn f() {}\npub(crate) mod g; // crate::h\nmy_crate::i!()"),
            []
        );
    }

    #[test]
    fn super_and_self_lead_on_from_the_module() {
        let from: Module = ["a", "b"].map(str::to_owned).to_vec();
        let path = |text: &str| absolute(&from, &expand(text)[0]).join("::");
        assert_eq!(path("super::c"), "a::c");
        assert_eq!(path("super::super::d::E"), "d::E");
        assert_eq!(path("self::f"), "a::b::f");
        assert_eq!(path("crate::g"), "g");
    }
}
