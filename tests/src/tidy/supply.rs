//! A rule over the crates that we depend on, by `cargo metadata` and `deny.toml`.

use serde_json::Value;
use spdx::{Expression, ParseMode};
use toml::Table;

/// Every crate has an allowed licence, comes from an allowed registry or the tree, and is not
/// banned. `metadata` is the output of `cargo metadata`, `deny` the content of `deny.toml`.
pub fn dependencies_are_allowed(metadata: &Value, deny: &Table) -> Vec<String> {
    let licences = texts(deny, "licenses", "allow");
    let registries = texts(deny, "sources", "allow-registry");
    let banned = banned(deny);
    let packages = metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
    let mut found = Vec::new();
    for package in packages {
        let text = |key: &str| package.get(key).and_then(Value::as_str);
        let name = text("name").unwrap_or_default();
        let licence = text("license").unwrap_or_default();
        if !is_allowed(licence, &licences) {
            found.push(format!("{name}: the licence {licence:?} is not allowed"));
        }
        let registry = text("source").map(|source| source.trim_start_matches("registry+"));
        if registry.is_some_and(|registry| !registries.contains(&registry)) {
            found.push(format!("{name}: comes from {}", registry.unwrap_or_default()));
        }
        if banned.contains(&name) {
            found.push(format!("{name}: is banned"));
        }
    }
    found
}

fn is_allowed(licence: &str, allowed: &[&str]) -> bool {
    // Some old crates write MIT/Apache-2.0.
    let expression = Expression::parse_mode(licence, ParseMode::LAX);
    expression.is_ok_and(|expression| {
        expression.evaluate(|one| allowed.contains(&one.to_string().as_str()))
    })
}

/// A list of texts in a section.
fn texts<'a>(deny: &'a Table, section: &str, key: &str) -> Vec<&'a str> {
    let list = deny.get(section).and_then(|section| section.get(key));
    let list = list.and_then(toml::Value::as_array).into_iter().flatten();
    list.filter_map(toml::Value::as_str).collect()
}

fn banned(deny: &Table) -> Vec<&str> {
    let list = deny.get("bans").and_then(|bans| bans.get("deny")).and_then(toml::Value::as_array);
    let names = list.into_iter().flatten().filter_map(|ban| ban.get("crate"));
    names.filter_map(toml::Value::as_str).collect()
}
