//! Acknowledgements: too old, never sent, and refused bytes that are acknowledged after all.

use super::{Case, changed};
use crate::ends::setup::Setup;
use crate::script::Step::{self, Ack, Again, Data, Shutdown, Write};
use crate::strange::change::{Change, Place, Stamp};
use crate::strange::{Kind, Strange};
use crate::strategies::state::END;

const FAMILY: &str = "acknowledgement";

/// Distances of a wrong acknowledgement.
const OFF: [i32; 14] = [
    -100_000,
    -70_000,
    -64_001,
    -8001,
    -6000,
    -2001,
    -2000,
    -1999,
    -1,
    1,
    500,
    60_000,
    70_000,
    1 << 30,
];

const KINDS: [Kind; 5] = [Kind::Data, Kind::Byte, Kind::Ack, Kind::Fin, Kind::FinData];

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let small = |setup: &mut Setup| setup.grants = 2000;
    let granted = [Write(2000), Ack, Write(2000), Ack, Write(2000), Ack, Write(2000), Ack];
    for off in OFF {
        for kind in KINDS {
            let wrong = changed(kind, Change::Ack(Place::Next, off));
            let end = [&[wrong, Data(30), Ack][..], &END].concat();
            let name = format!("{kind:?} ACK{off:+}");
            let long = [&[Data(30)][..], &granted, &end].concat();
            let cases = Case::both(FAMILY, &format!("{name}, 8,000 bytes acknowledged"), &long);
            all.extend(cases.map(|case| case.set(small)));
            all.extend(Case::both(FAMILY, &name, &[&[Data(30)][..], &end].concat()));
            let waiting = [&[Data(30), Write(200)][..], &end].concat();
            all.extend(Case::both(
                FAMILY,
                &format!("{name}, 200 bytes not acknowledged"),
                &waiting,
            ));
            let half = [Data(30), Shutdown, Ack, wrong, Data(30), Step::Fin, Ack];
            all.extend(Case::both(FAMILY, &format!("{name}, half closed"), &half));
            let twice = [wrong, Step::Strange(Strange::new(Kind::Data).spelt(13))];
            let twice = [&[Data(30)][..], &twice, &[Again(0, 0), Data(30)], &END].concat();
            all.extend(Case::both(FAMILY, &format!("{name}, other letters, data"), &twice));
        }
    }
    for by in [-1, -2, -3, -5000, 5000, 1 << 30, i32::MAX] {
        for kind in KINDS {
            let old = changed(kind, Change::Stamp(Stamp::Value(by)));
            let steps = [&[Data(30), Write(20), Ack, old, Data(30), Ack, Data(30)][..], &END];
            let case = Case::both(FAMILY, &format!("{kind:?} TSval{by:+}"), &steps.concat());
            all.extend(case);
        }
    }
    all
}
