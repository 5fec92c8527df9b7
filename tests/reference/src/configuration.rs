//! `deploy/mosd.toml`, which a test of the server keeps complete and true, as a page.

use std::path::Path;

use anyhow::Context as _;

use crate::page::begin;

/// The page of the configuration.
pub(crate) fn page(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut page = begin("Configuration of mosd", "deploy/mosd.toml");
    for block in text.split("\n\n") {
        let mut comment = String::new();
        let mut keys = Vec::new();
        for line in block.lines() {
            if let Some((key, default)) = assignment(line) {
                keys.push((key, default));
                continue;
            }
            // A comment behind keys is about the next ones.
            if !keys.is_empty() {
                flush(&mut page, &mut comment, &mut keys);
            }
            match line.strip_prefix('#') {
                Some(line) => comment.push_str(&prose(line)),
                None => page.push_str(&format!("\n## Section `{line}`\n")),
            }
        }
        flush(&mut page, &mut comment, &mut keys);
    }
    Ok(page)
}

/// A key and its default, where a line has both; an optional key stands in a comment.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim_start_matches("# ").split_once(" = ")?;
    let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let value = if line.starts_with('#') { "none" } else { value };
    is_key.then_some((key, value))
}

/// A line of a comment; those that are set in list what a key may be.
fn prose(line: &str) -> String {
    match line.strip_prefix("   ") {
        Some(item) => {
            let (value, meaning) = item.split_once("  ").unwrap_or((item, ""));
            format!("- `{value}`: {}\n", meaning.trim_start())
        }
        None => format!("{}\n", line.trim_start()),
    }
}

/// Writes the keys that a comment is about.
fn flush(page: &mut String, comment: &mut String, keys: &mut Vec<(&str, &str)>) {
    let names: Vec<_> = keys.iter().map(|(key, _)| format!("`{key}`")).collect();
    let defaults: Vec<_> = keys.iter().map(|(_, default)| format!("`{default}`")).collect();
    if !keys.is_empty() {
        page.push_str(&format!("\n### {}\n", names.join(", ")));
    }
    if !keys.is_empty() || !comment.is_empty() {
        page.push_str(&format!("\n{comment}"));
        comment.clear();
    }
    if !keys.is_empty() {
        page.push_str(&format!("\nDefault: {}.\n", defaults.join(", ")));
        keys.clear();
    }
}
