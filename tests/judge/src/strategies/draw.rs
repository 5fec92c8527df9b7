//! Draws: a seed gives a sample of all single changes, or combinations of them.

use super::state::{self, State};
use super::table::CHANGES;
use crate::ends::setup::{Offer, Role, Setup, Version};
use crate::script::{Script, Step};
use crate::strange::{Kind, Strange};

/// Random numbers of a seed (SplitMix64): the same seed, the same numbers.
#[derive(Debug, Clone)]
pub struct Draw {
    state: u64,
}

impl Draw {
    /// Begins with a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(1);
        usize::try_from(self.number() % limit).unwrap_or(0)
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len())).copied()
    }
}

/// The setups that every strategy is tried with.
#[must_use]
pub fn setups() -> Vec<Setup> {
    let mut all = Vec::new();
    for role in [Role::Server, Role::Client] {
        for version in [Version::V4, Version::V6] {
            all.extend([Offer::Little, Offer::All].map(|offer| Setup::of(role, version, offer)));
        }
    }
    all
}

/// Honest connections, and each state without a strange packet.
#[must_use]
pub fn controls() -> Vec<Script> {
    let mut all = Vec::new();
    for (number, setup) in setups().into_iter().enumerate() {
        let setup = numbered(setup, number as u64);
        let label = format!("{:?} honest", setup.role);
        let steps = state::honest(setup.role);
        all.push(Script { group: "control", label, setup, steps });
        for state in State::ALL {
            let (before, behind) = state.steps(setup.role);
            let label = format!("{:?} {state:?}", setup.role);
            let steps = [before, behind].concat();
            let setup = Setup { setting: state.setting(), ..setup };
            all.push(Script { group: "control", label, setup, steps });
        }
    }
    all
}

/// One of all single changes, by its number.
#[must_use]
fn single(number: usize) -> Option<Script> {
    let setups = setups();
    let mut rest = number;
    let mut digit = |base: usize| {
        let digit = rest % base;
        rest /= base;
        digit
    };
    let setup = *setups.get(digit(setups.len()))?;
    let state = *State::ALL.get(digit(State::ALL.len()))?;
    let kind = *Kind::ALL.get(digit(Kind::ALL.len()))?;
    let change = CHANGES.get(rest.wrapping_sub(1)).copied();
    if change.is_none() && rest > 0 || change.is_some_and(|change| !change.suits(setup.version)) {
        return None;
    }
    let strange = change.into_iter().fold(Strange::new(kind), Strange::with);
    let setup = Setup { setting: state.setting(), ..numbered(setup, number as u64) };
    let (mut steps, behind) = state.steps(setup.role);
    steps.push(Step::Strange(strange));
    steps.extend(behind);
    let label = format!("{:?} {state:?}: {}", setup.role, strange.name());
    Some(Script { group: "single", label, setup, steps })
}

/// At most `count` of all single changes, each once, in an order that a seed gives.
pub fn sample(seed: u64, count: usize) -> impl Iterator<Item = Script> {
    let all = numbers();
    let mut draw = Draw::new(seed);
    let (mut at, mut step) = (draw.below(all), draw.below(all));
    // A step without a common factor meets every number once.
    while common_factor(step, all) != 1 {
        step += 1;
    }
    let numbers = std::iter::repeat_with(move || {
        at = (at + step) % all;
        at
    });
    numbers.take(all).filter_map(single).take(count)
}

/// All single changes.
pub fn all_singles() -> impl Iterator<Item = Script> {
    sample(1, usize::MAX)
}

fn common_factor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_factor(b, a % b) }
}

/// Combinations: two or three strange packets with up to two changes each.
pub fn combinations(seed: u64, count: usize) -> impl Iterator<Item = Script> {
    let mut draw = Draw::new(seed ^ 0x00c0_ffee);
    std::iter::from_fn(move || combination(&mut draw)).take(count)
}

fn combination(draw: &mut Draw) -> Option<Script> {
    let setup = draw.one_of(&setups())?;
    let setup = numbered(setup, draw.number());
    let state = draw.one_of(&State::ALL)?;
    let setup = Setup { setting: state.setting(), ..setup };
    let changes = changes_of(setup.version);
    let (before, behind) = state.steps(setup.role);
    let middle = before.len();
    let mut steps = [before, behind].concat();
    let mut label = format!("{:?} {state:?}:", setup.role);
    for letter in [0, 9, 18].into_iter().take(2 + draw.below(2)) {
        let mut strange = Strange::new(draw.one_of(&Kind::ALL)?).spelt(letter);
        for _ in 0..draw.below(3) {
            strange = strange.with(draw.one_of(&changes)?);
        }
        // Most of them come at the state, and the others anywhere.
        let at = if draw.below(4) > 0 { middle } else { draw.below(steps.len()) };
        label.push_str(&format!(" [{at}] {};", strange.name()));
        steps.insert(at, Step::Strange(strange));
    }
    Some(Script { group: "combined", label, setup, steps })
}

/// The numbers among which `single` finds them all.
fn numbers() -> usize {
    setups().len() * State::ALL.len() * Kind::ALL.len() * (CHANGES.len() + 1)
}

fn changes_of(version: Version) -> Vec<crate::strange::change::Change> {
    CHANGES.iter().copied().filter(|change| change.suits(version)).collect()
}

/// Gives a connection an initial sequence number; one in eight is about to wrap.
fn numbered(setup: Setup, number: u64) -> Setup {
    let mut draw = Draw::new(number);
    let [a, b, c, d, ..] = draw.number().to_be_bytes();
    let iss = u32::from_be_bytes([a, b, c, d]).clamp(200_000, u32::MAX - 200_000);
    let wraps = draw.below(8) == 0;
    Setup { iss: if wraps { u32::MAX - 45 } else { iss }, ..setup }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_single_change_is_drawn_once_whatever_the_seed() {
        let [first, second] = [1, 2].map(|seed| sample(seed, usize::MAX));
        let count = second.count();
        let drawn: BTreeSet<_> = first.map(|script| (script.label, script.setup)).collect();
        assert!(count > 200_000, "{count}");
        assert_eq!(drawn.len(), count);
    }

    #[test]
    fn a_seed_draws_the_same_again_and_another_one_others() {
        let labels = |seed| -> Vec<_> {
            sample(seed, 50).chain(combinations(seed, 50)).map(|script| script.label).collect()
        };
        assert_eq!(labels(7), labels(7));
        assert_ne!(labels(7), labels(8));
    }
}
