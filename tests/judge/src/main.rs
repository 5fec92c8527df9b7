//! Plays connections with the kernel, and says how mosd shows them.

#![expect(clippy::print_stdout, reason = "the report is its output")]

use std::io;
use std::path::PathBuf;

use clap::Parser;
use mos_judge::ends::setup::Version;
use mos_judge::script::Script;
use mos_judge::strategies::{cases, draw};
use mos_judge::trial::POLICIES;
use mos_judge::trial::court::{self, Case, Court};
use mos_judge::trial::report::{self, Report, Total};
use mos_judge::trial::shrink::shrink;
use mos_judge::verdict::others::Tool;
use mos_judge::verdict::{self, Verdict};

/// Plays connections with the kernel, and says how mosd shows them. Needs root.
#[derive(Debug, Parser)]
struct Args {
    /// The program to judge.
    #[arg(long, env = "MOSD", default_value = "target/release/mosd")]
    mosd: PathBuf,
    /// The overlap policy; any other word is all of them together.
    #[arg(long, default_value = "first")]
    policy: String,
    /// What the samples depend on.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Single changes; there are about 250,000.
    #[arg(long, default_value_t = 20_000)]
    singles: usize,
    /// Combinations.
    #[arg(long, default_value_t = 6_000)]
    combinations: usize,
    /// Only scripts of this group, or whose label contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// The number of labels with wrong connections to show; 0 shows the totals alone.
    #[arg(long, default_value_t = 60)]
    labels: usize,
    /// Which connections are listed and written.
    #[arg(long, value_enum, default_value = "wrong")]
    list: Listed,
    /// Write wrong connections into this folder.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// The number of connections to write.
    #[arg(long, default_value_t = 50)]
    keep_max: usize,
    /// Reduce them to the fewest steps before.
    #[arg(long)]
    shrink: bool,
    /// Judge this tool in the place of mosd, if it is installed: only the direction to the kernel.
    #[arg(long)]
    other: Option<Tool>,
}

/// Connections that are worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Listed {
    /// Those that are wrong.
    Wrong,
    /// Those that are told, where nobody can know.
    Told,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    if let Some(tool) = args.other {
        league(tool, scripts(&args));
        return Ok(());
    }
    let policy = POLICIES.iter().position(|policy| *policy == args.policy);
    let policies = policy.and_then(|at| POLICIES.get(at..=at)).unwrap_or(&POLICIES);
    let court = Court { mosd: &args.mosd, policies };
    let mut report = Report::default();
    let mut wrong = Vec::new();
    court.hear(scripts(&args), |case| {
        report.count(&case);
        let is_meant = match case.verdict {
            Verdict::Wrong { .. } => args.list == Listed::Wrong,
            Verdict::Told => args.list == Listed::Told,
            Verdict::Right | Verdict::Besides => false,
        };
        if is_meant && wrong.len() < args.keep_max {
            wrong.push(case.played.script.clone());
        }
    });
    println!("{}", report.totals_table());
    if args.labels > 0 {
        println!("{}", report.kinds_table());
    }
    let counts = |total: &Total| match args.list {
        Listed::Wrong => total.wrong,
        Listed::Told => total.told,
    };
    for line in report.labels_table(counts).lines().take(args.labels) {
        println!("{line}");
    }
    let Some(folder) = &args.keep else { return Ok(()) };
    if args.shrink {
        wrong = wrong.into_iter().map(|script| shrink(court, script)).collect();
    }
    let mut result = Ok(());
    let mut number = 0;
    court.hear(wrong.into_iter(), |case| {
        number += 1;
        if result.is_ok() {
            result = report::keep(folder, &format!("{number:04}"), &case);
        }
    });
    result
}

/// How another tool shows the same connections.
fn league(tool: Tool, scripts: impl Iterator<Item = Script> + Send) {
    let name = tool.name();
    if !tool.is_there() {
        return println!("{name} is not installed");
    }
    let is_known = |script: &Script| tool.knows_ipv6() || script.setup.version == Version::V4;
    let mut report = Report::default();
    court::each_batch(scripts.filter(is_known), |batch, capture| {
        for (played, flows) in batch.iter().zip(tool.replay(capture, batch)) {
            let verdict = verdict::judge_to_kernel(played, &flows);
            report.count(&Case { played, policy: name, flows: &flows, verdict });
        }
    });
    let only = if tool.knows_ipv6() { "" } else { ", IPv4 alone" };
    println!("{name}{only}\n{}", report.totals_table());
}

fn scripts(args: &Args) -> impl Iterator<Item = Script> + Send {
    let written = draw::controls().into_iter().chain(cases::all());
    let drawn = draw::sample(args.seed, args.singles)
        .chain(draw::combinations(args.seed, args.combinations));
    let only = args.only.clone();
    let is_meant = move |script: &Script| script.group == only || script.label.contains(&only);
    written.chain(drawn).filter(is_meant)
}
