//! Rules over the pages: everything that they name must exist, and their source must be easy to
//! read.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{has_word, numbered};
use super::{File, Tree, code_only};
use crate::markdown::{Marked, Page};

/// Columns of a line of running text, at most.
const COLUMNS_MAX: usize = 120;

/// The page about the architecture.
const ARCHITECTURE: &str = "docs/explanation/architecture.md";

/// The page of promises and of the tests that assert them.
const PROMISES: &str = "docs/promises.md";

/// The folder of the decisions, one per page.
const DECISIONS: &str = "docs/decisions/";

/// Sections of a decision.
const DECISION_SECTIONS: [&str; 4] = ["Context", "Decision", "Rejected", "Status"];

/// Where the pages of the book are.
const BOOK: &str = "docs/";

/// The book: its table of contents lists every page below its folder.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Endings of the paths that a page may name in code marks.
const SOURCES: [&str; 7] = [".rs", ".md", ".toml", ".sh", ".proto", ".py", ".txt"];

/// Lines of a page have at most 120 columns, except for tables, code and the targets of links.
pub fn pages_are_narrow(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (file, page) in pages(tree) {
        for (number, line) in numbered(&file.text).filter(|(line, _)| !page.wide.contains(line)) {
            let columns = without_targets(line).chars().count();
            if columns > COLUMNS_MAX {
                found.push(format!("{}:{number}: {columns} columns", file.path));
            }
        }
    }
    found
}

/// Links within the tree lead to existing files and headings.
pub fn links_lead_somewhere(tree: &Tree) -> Vec<String> {
    let places = places(tree);
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        pages(tree).map(|(file, page)| (file.path.as_str(), page.anchors)).collect();
    let mut found = Vec::new();
    for (file, page) in pages(tree) {
        for Marked { line, text: link } in page.links {
            if !is_local(&link) {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { file.path.clone() } else { beside(&file.path, path) };
            let named = anchors.get(target.as_str());
            if !places.contains(target.as_str()) {
                found.push(format!("{}:{line}: no {target}", file.path));
            } else if !anchor.is_empty() && !named.is_some_and(|known| known.contains(anchor)) {
                found.push(format!("{}:{line}: no heading {anchor} in {target}", file.path));
            }
        }
    }
    found
}

/// Links of the book lead to its pages: it is rendered without the rest of the tree.
pub fn links_of_the_book_stay_in_it(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (file, page) in pages(tree).filter(|(file, _)| file.path.starts_with(BOOK)) {
        for Marked { line, text: link } in page.links.iter().filter(|link| is_local(&link.text)) {
            let path = link.split_once('#').map_or(link.as_str(), |(path, _)| path);
            let target = beside(&file.path, path);
            let is_page = target.starts_with(BOOK) && target.ends_with(".md");
            if !path.is_empty() && !is_page {
                found.push(format!("{}:{line}: {target} is not a page of the book", file.path));
            }
        }
    }
    found
}

/// Paths in code marks exist, relative to the root of the tree. The changelog may name old paths.
pub fn paths_of_pages_exist(tree: &Tree) -> Vec<String> {
    let places = places(tree);
    let roots: BTreeSet<&str> =
        places.iter().filter(|place| !place.contains('/')).map(String::as_str).collect();
    let mut found = Vec::new();
    for (file, page) in pages(tree).filter(|(file, _)| !tells_of_the_past(&file.path)) {
        for Marked { line, text: path } in page.codes.iter().filter(|code| is_path(&code.text)) {
            let first = path.split('/').next().unwrap_or_default();
            let is_ours = roots.contains(first) || SOURCES.iter().any(|end| path.ends_with(end));
            if is_ours && !places.contains(path.trim_end_matches('/')) {
                found.push(format!("{}:{line}: no {path}", file.path));
            }
        }
    }
    found
}

/// Types, functions and constants in code marks of the page about the architecture exist in the
/// sources; `Type::method` in one file.
pub fn items_of_the_architecture_exist(tree: &Tree) -> Vec<String> {
    let sources: Vec<String> = tree.files.iter().filter_map(source).collect();
    let known = |names: &[&str]| {
        sources
            .iter()
            .any(|text| names.iter().all(|name| text.contains(name) && stands(text, name)))
    };
    let mut found = Vec::new();
    for (file, page) in pages(tree).filter(|(file, _)| file.path == ARCHITECTURE) {
        for Marked { line, text } in &page.codes {
            let names = item(text);
            if !names.is_empty() && !known(&names) {
                found.push(format!("{}:{line}: no {text} in the sources", file.path));
            }
        }
    }
    found
}

/// Every promise names a test that exists: `path/to/file.rs::function`.
pub fn promises_name_their_tests(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (file, page) in pages(tree).filter(|(file, _)| file.path == PROMISES) {
        let mut count = 0;
        for Marked { line, text } in page.column("test") {
            count += 1;
            if !names_a_test(tree, &text) {
                found.push(format!("{}:{line}: no test {text}", file.path));
            }
        }
        if count == 0 {
            found.push(format!("{}:1: no promise", file.path));
        }
    }
    found
}

/// Decisions are numbered without holes, have their sections, and are in the index.
pub fn decisions_are_complete(tree: &Tree) -> Vec<String> {
    let index = format!("{DECISIONS}README.md");
    let listed = tree.files.iter().find(|file| file.path == index);
    let listed: Vec<String> = listed.map_or_else(Vec::new, |file| linked(&file.text));
    let is_decision = |file: &&File| {
        file.path.starts_with(DECISIONS) && file.path.ends_with(".md") && file.path != index
    };
    let mut found = Vec::new();
    for (file, number) in tree.files.iter().filter(is_decision).zip(1..) {
        let name = file.path.trim_start_matches(DECISIONS);
        let page = Page::read(&file.text);
        if !name.starts_with(&format!("{number:04}-")) {
            found.push(format!("{}:1: {number:04} is due here", file.path));
        }
        if !listed.iter().any(|link| link == name) {
            found.push(format!("{}:1: not in the index", file.path));
        }
        for section in DECISION_SECTIONS {
            if !page.headings.iter().any(|heading| heading.text == section) {
                found.push(format!("{}:1: no section {section}", file.path));
            }
        }
    }
    found
}

/// The book lists each of its pages.
pub fn the_book_lists_its_pages(tree: &Tree) -> Vec<String> {
    let summary = tree.files.iter().find(|file| file.path == SUMMARY);
    let listed: Vec<String> = summary.map_or_else(Vec::new, |file| linked(&file.text));
    let is_page = |file: &&File| {
        file.path.starts_with(BOOK) && file.path.ends_with(".md") && file.path != SUMMARY
    };
    let pages = tree.files.iter().filter(is_page);
    pages
        .filter(|file| !listed.iter().any(|link| beside(SUMMARY, link) == file.path))
        .map(|file| format!("{}:1: not in {SUMMARY}", file.path))
        .collect()
}

/// A link into the tree, not to another site.
fn is_local(link: &str) -> bool {
    !link.contains("://") && !link.starts_with("mailto:")
}

fn pages(tree: &Tree) -> impl Iterator<Item = (&File, Page)> {
    let pages = tree.files.iter().filter(|file| file.path.ends_with(".md"));
    pages.map(|file| (file, Page::read(&file.text)))
}

/// All files and folders of the tree, without a `/` at the end.
fn places(tree: &Tree) -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    for file in &tree.files {
        let ends = file.path.match_indices('/').map(|(at, _)| at);
        for end in ends.chain([file.path.len()]) {
            places.extend(file.path.get(..end).map(str::to_owned));
        }
    }
    places
}

/// The path of `link` in the page at `page`, relative to the root.
fn beside(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

fn linked(text: &str) -> Vec<String> {
    Page::read(text).links.into_iter().map(|link| link.text).collect()
}

/// A line without the targets of its links, which cannot be wrapped.
fn without_targets(line: &str) -> String {
    let words = line.split(' ').map(|word| match (word.find("]("), word.find("://")) {
        (Some(at), _) => word.get(..at).unwrap_or(word),
        (None, Some(_)) => "",
        (None, None) => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn tells_of_the_past(path: &str) -> bool {
    path == "CHANGELOG.md" || path.starts_with(DECISIONS) || path.ends_with("-log.md")
}

fn is_path(text: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    text.contains('/') && !text.starts_with('/') && text.chars().all(is_name)
}

/// The names of an item: of a type, a constant, a function, or a method and its type. Other code
/// (commands, keys, single words in lower case) has none.
fn item(text: &str) -> Vec<&str> {
    let text = text.strip_suffix("()").unwrap_or(text);
    let names: Vec<&str> = text.split("::").collect();
    let is_name = |name: &&str| {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
        starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let says_more =
        names.len() > 1 || text.contains('_') || text.starts_with(|c: char| c.is_ascii_uppercase());
    if says_more && names.iter().all(is_name) { names } else { Vec::new() }
}

/// The text in which a page's names must occur: the code of Rust files, and other sources
/// unchanged.
fn source(file: &File) -> Option<String> {
    if file.is_rust() {
        return Some(code_only(&file.text));
    }
    let is_source = [".proto", ".toml", ".c", ".h"].iter().any(|end| file.path.ends_with(end));
    is_source.then(|| file.text.clone())
}

fn stands(text: &str, name: &str) -> bool {
    text.lines().any(|line| has_word(line, name))
}

/// Whether `path::function` is a test.
fn names_a_test(tree: &Tree, text: &str) -> bool {
    let Some((path, function)) = text.split_once("::") else { return false };
    let file = tree.files.iter().find(|file| file.path == path);
    file.is_some_and(|file| {
        let lines: Vec<&str> = file.text.lines().collect();
        let is_it = |line: &str| has_word(line, function) && line.contains("fn ");
        let found = lines.iter().position(|line| is_it(line));
        let before = found.and_then(|at| lines.get(..at)).unwrap_or_default();
        let attributes = before.iter().rev().map(|line| line.trim());
        let mut attributes = attributes.take_while(|line| !line.is_empty() && *line != "}");
        attributes.any(|line| line.starts_with("#[test]") || line.contains("::test"))
    })
}
