//! Windows: bytes, FIN and RST at, across and behind the right edge, with a reader that waits.

use super::Case;
use crate::ends::setup::{Setting, Setup};
use crate::script::Step::{self, Data, Fill, Pause, Resume, Strange as Send};
use crate::strange::change::{Change, Place};
use crate::strange::{Kind, Strange};
use crate::strategies::state::{END, TALK};

const FAMILY: &str = "window";

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |name: String, steps: &[Step]| {
        let small = |setup: &mut Setup| setup.setting = Setting::Small;
        all.extend(Case::both(FAMILY, &name, steps).map(|case| case.set(small)));
    };
    let after = [&[Resume][..], &[Data(30), Data(30)], &TALK, &END].concat();
    for left in [0, 10, 24, 30, 1000] {
        let filled = [Data(30), Pause, Fill(left)];
        for kind in [Kind::Data, Kind::Byte, Kind::Ack, Kind::Fin, Kind::FinData, Kind::Rst] {
            let next = Send(Strange::new(kind));
            add(format!("{kind:?} with {left} left"), &[&filled[..], &[next], &after].concat());
            for off in [-24, -12, -1, 0, 1, 20] {
                let edge = Strange::new(kind).with(Change::Seq(Place::Edge, off));
                let steps = [&filled[..], &[Send(edge)], &after].concat();
                add(format!("{kind:?} at the edge{off:+} with {left} left"), &steps);
            }
        }
        let long = Send(Strange::new(Kind::Data).long(600));
        add(format!("600 bytes with {left} left"), &[&filled[..], &[long], &after].concat());
        let probes = [Send(Strange { honest: true, ..Strange::new(Kind::Byte) }); 2];
        add(format!("control: probes with {left} left"), &[&filled[..], &probes, &after].concat());
    }
    add(
        "control: filled twice".into(),
        &[&[Pause, Fill(0), Resume, Pause, Fill(0)], &*after].concat(),
    );
    let nothing = [&[Data(30)][..], &[Send(Strange::new(Kind::Data).long(600))], &after].concat();
    add("600 bytes with nothing unread".into(), &nothing);
    all
}
