//! A trial: many connections under one policy, the differences explained, or told one by one.

pub mod court;
pub mod excuse;
pub mod report;
pub mod shrink;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use self::court::{Case, Court};
use self::excuse::{ACCEPTED, OPEN};
use self::report::Report;
use self::shrink::shrink;
use crate::script::Script;
use crate::verdict::Verdict;

/// The number of unexplained connections that are reduced and written.
const KEPT: usize = 5;

/// The policies under which connections are judged.
pub const POLICIES: [&str; 3] = ["first", "last", "linux"];

/// How many connections of a group may be wrong, or told, per 1,000.
#[derive(Debug, Clone, Copy)]
pub struct Ceiling {
    /// The group.
    pub group: &'static str,
    /// Wrong, per 1,000.
    pub wrong: usize,
    /// Told where nobody can know, per 1,000.
    pub told: usize,
}

/// What came of a trial under one policy.
#[derive(Debug)]
pub struct Trial<'a> {
    court: Court<'a>,
    report: Report,
    /// Wrong connections by the kind that explains them.
    explained: BTreeMap<&'static str, usize>,
    unexplained: Vec<Script>,
}

/// Plays scripts, and judges a program under each policy.
#[track_caller]
pub fn trials(mosd: &Path, scripts: impl Iterator<Item = Script> + Send) -> Vec<Trial<'_>> {
    let mut trials: Vec<_> = POLICIES.chunks(1).map(|policy| Trial::new(mosd, policy)).collect();
    Court { mosd, policies: &POLICIES }.hear(scripts, |case| {
        let here = trials.iter_mut().find(|trial| trial.court.policies == [case.policy]);
        here.into_iter().for_each(|trial| trial.count(&case));
    });
    trials
}

impl<'a> Trial<'a> {
    fn new(mosd: &'a Path, policies: &'static [&'static str]) -> Self {
        let court = Court { mosd, policies };
        let (report, explained) = (Report::default(), BTreeMap::new());
        Self { court, report, explained, unexplained: Vec::new() }
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &str {
        self.court.policies.first().copied().unwrap_or_default()
    }

    fn count(&mut self, case: &Case<'_>) {
        self.report.count(case);
        if !matches!(case.verdict, Verdict::Wrong { .. }) {
            return;
        }
        let script = &case.played.script;
        match [&ACCEPTED[..], &OPEN].iter().find_map(|list| excuse::explain(list, script)) {
            Some(known) => *self.explained.entry(known.name).or_default() += 1,
            None => self.unexplained.push(script.clone()),
        }
    }

    /// The figures, as tables.
    #[must_use]
    pub fn figures(&self) -> String {
        let mut text = format!("--overlap {}\n{}", self.policy(), self.report.totals_table());
        for known in [&ACCEPTED[..], &OPEN].concat() {
            let count = self.explained.get(known.name).unwrap_or(&0);
            // Writing to a text does not fail.
            writeln!(text, "{count:>6} {}: {}", known.name, known.why).unwrap_or_default();
        }
        text
    }

    /// Asserts that every difference is explained. Else the first connections that are not are
    /// reduced, and written into a folder.
    #[track_caller]
    pub fn assert_explained(&self, folder: &Path) {
        let mut kept = Vec::new();
        for (number, script) in self.unexplained.iter().take(KEPT).enumerate() {
            kept.push(self.keep(
                script.clone(),
                folder,
                &format!("{}-{}-{number}", self.policy(), script.group),
            ));
        }
        assert!(
            kept.is_empty(),
            "{} connections are not explained; the first, reduced, are in {}:\n{}",
            self.unexplained.len(),
            folder.display(),
            kept.join("\n")
        );
    }

    /// Asserts that no ceiling is exceeded.
    #[track_caller]
    pub fn assert_below(&self, ceilings: &[Ceiling]) {
        for (group, total) in self.report.totals() {
            let ceiling = ceilings.iter().find(|ceiling| ceiling.group == *group);
            let ceiling = ceiling.unwrap_or_else(|| panic!("no ceiling for {group}"));
            for (most, count, what) in
                [(ceiling.wrong, total.wrong, "wrong"), (ceiling.told, total.told, "told")]
            {
                assert!(
                    count * 1000 <= most * total.all,
                    "{group}: {count} of {} are {what}, more than {most} in 1,000",
                    total.all
                );
            }
        }
    }

    #[track_caller]
    fn keep(&self, script: Script, folder: &Path, name: &str) -> String {
        let mut text = String::new();
        let small = shrink(self.court, script);
        self.court.hear(std::iter::once(small), |case| {
            text = report::describe(&case);
            report::keep(folder, name, &case).expect("a folder that can be written");
        });
        text
    }
}

/// The seed: a fixed one where `CI` is `true`, so that no change fails by chance; else the day's.
#[must_use]
pub fn seed() -> u64 {
    if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
        return 1;
    }
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_secs() / 86400)
}

/// The release of the kernel that judges.
#[must_use]
pub fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim_end())
}

/// Where reduced connections are written: `target/judge`.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/judge")
}
