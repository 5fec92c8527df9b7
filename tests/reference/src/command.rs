//! A command line as a page.

use clap::{Arg, Command};

use crate::page::{begin, escaped, paragraph, sentence, table};

/// The page of a program: each command with its usage, arguments and options.
pub(crate) fn page(mut command: Command) -> String {
    command.build();
    let name = command.get_name().to_owned();
    let mut text = begin(&name, "its command line");
    describe(&mut command, &mut text);
    for inner in command.get_subcommands_mut().filter(|inner| !inner.is_hide_set()) {
        section(inner, "##", &mut text);
    }
    text
}

fn section(command: &mut Command, level: &str, text: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    text.push_str(&format!("\n{level} {name}\n"));
    describe(command, text);
    for inner in command.get_subcommands_mut().filter(|inner| !inner.is_hide_set()) {
        section(inner, "###", text);
    }
}

fn describe(command: &mut Command, text: &mut String) {
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        for part in about.to_string().split("\n\n") {
            text.push_str(&paragraph(&sentence(part)));
        }
    }
    let is_program = !command.get_bin_name().unwrap_or_default().contains(' ');
    let usage = command.render_usage().to_string();
    text.push_str(&format!("\n```text\n{}\n```\n", usage.trim_start_matches("Usage: ")));
    let shown = |arg: &&Arg| {
        let of_all = arg.is_global_set() && !is_program;
        !arg.is_hide_set() && !of_all && !matches!(arg.get_id().as_str(), "help" | "version")
    };
    let rows: Vec<_> = command.get_arguments().filter(shown).map(row).collect();
    text.push_str(&table(&["argument", "meaning", "default"], &rows));
    if let Some(after) = command.get_after_help() {
        text.push_str(&format!("\n```text\n{after}\n```\n"));
    }
}

fn row(arg: &Arg) -> Vec<String> {
    let values = arg.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>"));
    let takes_values = arg.get_num_args().is_some_and(|number| number.takes_values());
    let values = if takes_values { values.collect::<Vec<_>>().join(" ") } else { String::new() };
    let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let name = match arg.get_long() {
        Some(long) => format!("`{}`", format!("{short}--{long} {values}").trim_end()),
        None => format!("`{values}`"),
    };
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let mut meaning = escaped(&sentence(&help.map(ToString::to_string).unwrap_or_default()));
    let choices: Vec<_> = arg
        .get_possible_values()
        .iter()
        .filter(|value| takes_values && !value.is_hide_set())
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}` ({help})", value.get_name()),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    if !choices.is_empty() {
        meaning.push_str(&format!(" One of {}.", choices.join(", ")));
    }
    if let Some(variable) = arg.get_env() {
        meaning.push_str(&format!(" Environment: `{}`.", variable.to_string_lossy()));
    }
    let default =
        arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy()));
    let default = if takes_values { default.collect::<Vec<_>>().join(", ") } else { String::new() };
    vec![name, meaning, default]
}
