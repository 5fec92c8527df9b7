//! Policies in words.

use mos_proto::v1::{
    ExplainPolicyResponse, PolicyDifference, PolicyGeneration, PolicySetState, SockOptPolicy,
};

use super::{
    Align, Table, Titles,
    flow::{UNKNOWN, option_change},
    pairs,
};
use crate::{args::Format, error::Failure, units::format_count};

/// The columns of `table`, followed by those that `wide` adds.
const COLUMNS: [(&str, Align); 9] = [
    ("PRIORITY", Align::Right),
    ("NAME", Align::Left),
    ("FLOWS BEGIN WITH", Align::Left),
    ("MATCHES", Align::Right),
    ("FILTER", Align::Left),
    ("UPDATED", Align::Left),
    ("BY", Align::Left),
    ("EXPIRES", Align::Left),
    ("COMMENT", Align::Left),
];

/// Number of columns of `table`.
const NARROW: usize = 5;

/// A policy's own part of its name.
pub(crate) fn short(name: &str) -> &str {
    name.strip_prefix("policies/").unwrap_or(name)
}

/// The table of policies.
pub(crate) fn policy_table(
    policies: &[SockOptPolicy],
    format: Format,
    titles: Titles,
) -> Result<String, Failure> {
    let columns = if format == Format::Wide { &COLUMNS[..] } else { &COLUMNS[..NARROW] };
    let row = |policy: &SockOptPolicy| {
        let mut cells = vec![
            policy.priority.to_string(),
            short(&policy.name).to_owned(),
            begins_with(policy)?,
            format_count(policy.match_count),
            policy.filter.clone(),
            moment(policy.update_time.as_ref()),
            policy.author.clone(),
            moment(policy.expire_time.as_ref()),
            policy.comment.clone(),
        ];
        cells.truncate(columns.len());
        Ok(cells)
    };
    let rows = policies.iter().map(row).collect::<Result<Vec<_>, Failure>>()?;
    Ok(Table::new(columns, titles).rows(&rows))
}

/// All that is known of a policy.
pub(crate) fn policy_details(policy: &SockOptPolicy) -> Result<String, Failure> {
    Ok(pairs(&[
        ("name", short(&policy.name).to_owned()),
        ("priority", policy.priority.to_string()),
        ("filter", policy.filter.clone()),
        ("flows begin with", begins_with(policy)?),
        ("matches", format_count(policy.match_count)),
        ("comment", policy.comment.clone()),
        ("created", moment(policy.create_time.as_ref())),
        ("updated", moment(policy.update_time.as_ref())),
        ("by", policy.author.clone()),
        ("expires", moment(policy.expire_time.as_ref())),
        ("etag", policy.etag.clone()),
    ]))
}

/// What came of a change, on one line.
pub(crate) fn set_text(
    state: &PolicySetState,
    difference: Option<&PolicyDifference>,
    dry_run: DryRun,
) -> String {
    let what = difference.map(|difference| {
        let PolicyDifference { added, changed, removed } = difference;
        let told = |names: &[String]| match names {
            [] => String::new(),
            names => {
                let names: Vec<_> = names.iter().map(|name| short(name)).collect();
                format!(" ({})", names.join(", "))
            }
        };
        format!(
            ": {} added{}, {} changed{}, {} removed{}",
            added.len(),
            told(added),
            changed.len(),
            told(changed),
            removed.len(),
            told(removed)
        )
    });
    let what = what.unwrap_or_default();
    match dry_run {
        DryRun::Yes => {
            format!("generation {}{what}   (dry run, nothing changed)\n", state.generation)
        }
        DryRun::No => format!("generation {}{what}\n", state.generation),
    }
}

/// Whether a change was only checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DryRun {
    /// It was.
    Yes,
    /// It was made.
    No,
}

impl From<bool> for DryRun {
    fn from(is_one: bool) -> Self {
        if is_one { Self::Yes } else { Self::No }
    }
}

impl From<DryRun> for bool {
    fn from(dry_run: DryRun) -> Self {
        dry_run == DryRun::Yes
    }
}

/// Which policy a flow would begin with, one line for each that was tried.
pub(crate) fn explanation(explained: &ExplainPolicyResponse) -> Result<String, Failure> {
    let options = explained.options.as_ref();
    let start = match options {
        Some(options) => option_change(Some(options), None, options)?,
        None => "not monitored".to_owned(),
    };
    let width = explained.trials.iter().map(|trial| short(&trial.policy).len()).max().unwrap_or(0);
    let mut text = String::new();
    for trial in &explained.trials {
        let name = short(&trial.policy);
        let why = if trial.matched { &start } else { &trial.failed_term };
        let word = if trial.matched { "YES" } else { "no " };
        text.push_str(&format!("  {name:<width$}  {word}  {why}\n"));
    }
    if explained.policy.is_empty() {
        text.push_str(&format!("  no policy fits: {start}\n"));
    }
    Ok(text)
}

/// The table of generations.
pub(crate) fn generation_table(generations: &[PolicyGeneration], titles: Titles) -> String {
    let columns = [
        ("GENERATION", Align::Right),
        ("MADE", Align::Left),
        ("BY", Align::Left),
        ("POLICIES", Align::Right),
    ];
    let row = |generation: &PolicyGeneration| {
        vec![
            generation.generation.to_string(),
            moment(generation.create_time.as_ref()),
            generation.author.clone(),
            generation.policy_count.to_string(),
        ]
    };
    let rows: Vec<_> = generations.iter().map(row).collect();
    Table::new(&columns, titles).rows(&rows)
}

fn begins_with(policy: &SockOptPolicy) -> Result<String, Failure> {
    match (policy.monitor, &policy.options) {
        (Some(false), _) => Ok("not monitored".to_owned()),
        (_, Some(options)) => option_change(Some(options), None, options),
        (_, None) => Ok("the defaults".to_owned()),
    }
}

/// A point in time to the second, UTC.
fn moment(time: Option<&prost_types::Timestamp>) -> String {
    let whole = time.map(|time| prost_types::Timestamp { seconds: time.seconds, nanos: 0 });
    whole.map_or_else(|| UNKNOWN.to_owned(), |time| time.to_string())
}
