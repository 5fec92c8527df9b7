//! Shrinking: a wrong connection is reduced to the fewest steps that are still wrong.

use crate::script::{Script, Step};
use crate::trial::court::Court;
use crate::verdict::Verdict;

/// The directions that are wrong: to the kernel, from it.
type Wrong = (bool, bool);

/// Reduces a script whose connection is wrong; one that is right when played again stays as it is.
#[track_caller]
#[must_use]
pub fn shrink(court: Court<'_>, script: Script) -> Script {
    let Some(wrong) = wrong(court, std::slice::from_ref(&script))[0] else { return script };
    let mut best = script;
    loop {
        let smaller = smaller(&best);
        let verdicts = self::wrong(court, &smaller);
        let found = smaller.into_iter().zip(verdicts).find(|(_, other)| *other == Some(wrong));
        match found {
            Some((script, _)) => best = script,
            None => return best,
        }
    }
}

/// Scripts with one thing less: a step, or a change of a strange packet.
fn smaller(script: &Script) -> Vec<Script> {
    let mut all = Vec::new();
    let mut add = |steps: Vec<Step>| all.push(Script { steps, ..script.clone() });
    for at in (0..script.steps.len()).rev() {
        let mut steps = script.steps.clone();
        steps.remove(at);
        add(steps);
        let Step::Strange(strange) = script.steps[at] else { continue };
        for number in 0..strange.changes.len() {
            let mut simple = strange;
            if simple.changes[number].take().is_some() {
                let mut steps = script.steps.clone();
                steps[at] = Step::Strange(simple);
                add(steps);
            }
        }
    }
    all
}

fn wrong(court: Court<'_>, scripts: &[Script]) -> Vec<Option<Wrong>> {
    let mut all = Vec::new();
    court.hear(scripts.iter().cloned(), |case| {
        all.push(match case.verdict {
            Verdict::Wrong { to, from } => Some((to.is_some(), from.is_some())),
            Verdict::Right | Verdict::Besides | Verdict::Told => None,
        });
    });
    all
}
