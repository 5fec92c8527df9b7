//! Overlaps: one or two segments are held behind a hole, which is filled in three ways.

use super::Case;
use crate::script::Step::{self, Data, Strange as Send};
use crate::strange::{Kind, Strange};
use crate::strategies::state::{END, TALK};

const FAMILY: &str = "overlap";

/// The segment that is held first: offset behind the next byte, and length.
const HELD: (u16, u16) = (20, 20);

/// Ways to fill the hole: the lengths of the honest segments.
const FILLINGS: [&[u16]; 3] = [&[100], &[20, 80], &[7, 9, 14, 30, 40]];

/// Offsets and lengths of the second segment: before, behind, across and within the first.
fn ranges() -> Vec<(u16, u16)> {
    let mut all = Vec::new();
    for from in [0, 10, 15, 20, 25, 30, 35, 40, 45] {
        for to in [10, 18, 20, 25, 30, 40, 45, 60] {
            if to > from {
                all.push((from, to - from));
            }
        }
    }
    all
}

fn held((at, length): (u16, u16), letter: u8) -> Step {
    Send(Strange::new(Kind::Data).at(at.into()).long(length).spelt(letter))
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |name: String, middle: &[Step]| {
        for filling in FILLINGS {
            let filling: Vec<_> = filling.iter().map(|length| Data(*length)).collect();
            let steps = [&[Data(30)], middle, &filling, &TALK, &END].concat();
            let opened = [&[Step::Syn, Step::Ack][..], &steps].concat();
            all.push(Case::server(FAMILY, format!("{name}, filled by {}", filling.len()), opened));
        }
    };
    for range in ranges() {
        let name = format!("{}..{}", range.0, range.0 + range.1);
        add(format!("{name} alone"), &[held(range, 0)]);
        add(format!("20..40, {name}"), &[held(HELD, 0), held(range, 13)]);
        let third = held((30, 30), 7);
        add(format!("20..40, {name}, 30..60"), &[held(HELD, 0), held(range, 13), third]);
    }
    all
}
