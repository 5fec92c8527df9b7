//! Ends: FINs and RSTs that come too early, too late or twice; reboots; reuse of a tuple.

use super::{Case, changed, strange, strange_at};
use crate::script::Step::{
    self, Ack, Again, Ahead, Close, Data, Fin, Reborn, Rst, Shutdown, Syn, Write,
};
use crate::strange::change::{Change, Place};
use crate::strange::{Kind, Strange};
use crate::strategies::state::{END, TALK};

const FAMILY: &str = "end";

/// Distances of a wrong number.
const OFF: [i32; 11] = [-100, -30, -20, -1, 0, 1, 10, 20, 30, 60, 100];

pub(super) fn cases() -> Vec<Case> {
    [fins(), resets(), again()].concat()
}

fn fins() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |name: String, steps: &[Step]| all.extend(Case::both(FAMILY, &name, steps));
    for off in OFF {
        for kind in [Kind::Fin, Kind::FinData] {
            let fin = strange_at(kind, off);
            let [before, middle] = [[Data(30), fin, Data(30)], [Data(30), Data(30), fin]];
            add(format!("{kind:?}{off:+}, data"), &[before.as_slice(), &TALK, &END].concat());
            add(format!("{kind:?}{off:+} last"), &[middle.as_slice(), &END].concat());
            let half = [Data(30), Shutdown, fin, Data(30), Ack, Data(30), Fin, Ack];
            add(format!("{kind:?}{off:+}, half closed"), &half);
            let waits = [Data(30), Shutdown, Ack, fin, Data(30), Data(30), Fin, Ack];
            add(format!("{kind:?}{off:+}, closed by the kernel"), &waits);
        }
        let two = [Data(30), strange_at(Kind::Fin, 40), strange_at(Kind::Fin, off), Data(20)];
        add(format!("two FINs, +40 and {off:+}"), &[two.as_slice(), &TALK, &END].concat());
        let late = [Data(30), Fin, strange_at(Kind::Data, off), Write(20), Ack, Shutdown, Ack];
        add(format!("data{off:+} behind the FIN"), &late);
        let hole = [Data(30), Ahead(30, 30), strange_at(Kind::Fin, off), Data(60)];
        add(format!("FIN{off:+} before held bytes"), &[hole.as_slice(), &TALK, &END].concat());
    }
    let held =
        |fin: i32| [Data(30), strange_at(Kind::Data, 20), strange_at(Kind::Fin, fin), Data(20)];
    for fin in [20, 30, 43, 44, 45] {
        add(format!("FIN+{fin} where held bytes end"), &[held(fin).as_slice(), &END].concat());
    }
    add("control: FIN twice".into(), &[&TALK[..], &[Fin, Fin, Shutdown, Ack]].concat());
    add("control: all again".into(), &[&TALK[..], &[Again(60, 60)], &END].concat());
    all
}

fn resets() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |name: String, steps: &[Step]| all.extend(Case::both(FAMILY, &name, steps));
    for off in OFF {
        for kind in [Kind::Rst, Kind::RstAck, Kind::RstData] {
            let reset = strange_at(kind, off);
            let steps = [&[Data(30), reset, Data(30)], TALK.as_slice(), &END].concat();
            add(format!("{kind:?}{off:+}"), &steps);
            let hole = [Data(30), Ahead(30, 30), reset, Data(60)];
            add(format!("{kind:?}{off:+}, bytes held"), &[hole.as_slice(), &TALK, &END].concat());
            let half = [Data(30), Shutdown, reset, Data(30), Ack, Fin, Ack];
            add(format!("{kind:?}{off:+}, half closed"), &half);
            let closing = [Data(30), Fin, reset, Write(20), Ack, Shutdown, Ack];
            add(format!("{kind:?}{off:+}, FIN sent"), &closing);
        }
    }
    let middle = strange_at(Kind::Rst, 100);
    let steps = [Data(30), middle, strange(Kind::Rst), Data(30)];
    add("RST in the middle, then exact".into(), &steps);
    let silent = [Data(30), Ahead(30, 30), strange_at(Kind::Rst, 60)];
    add("RST at the edge of what is held, then silence".into(), &silent);
    add("closed with bytes unread".into(), &[Data(30), Step::Pause, Data(30), Close, Data(30)]);
    add("closed, then more data".into(), &[Data(30), Close, Data(30), Data(30), Fin]);
    all
}

/// The same ends begin again.
fn again() -> Vec<Case> {
    let server = |name: &str, steps: &[Step]| Case::server(FAMILY, name, steps.to_vec());
    let opening = [Syn, Ack, Data(30), Write(20), Ack];
    let over = [&[Reborn, Syn, Ack][..], &TALK, &END].concat();
    let reboot = [&[Reborn, Syn, Rst, Syn, Ack][..], &TALK, &END].concat();
    let begun = |more: &[Step], then: &[Step]| [&opening, more, then].concat();
    let mut all = vec![
        server("control: reboot", &begun(&[], &reboot)),
        server("control: reboot, half closed", &begun(&[Shutdown, Ack], &reboot)),
        server("control: TIME-WAIT reused", &begun(&[Shutdown, Ack, Fin], &over)),
        server("control: reused behind both FINs", &begun(&END, &over)),
        server("control: reused behind a RST", &begun(&[strange(Kind::Rst)], &over)),
        server("a reboot that is not", &begun(&[Reborn, Syn], &[])),
    ];
    for far in [1, 500, 100_000, 1 << 30] {
        let syn = Step::Strange(Strange::new(Kind::Syn).at(far));
        let data = Step::Strange(Strange::new(Kind::SynData).at(far));
        let low = changed(Kind::Syn, Change::Seq(Place::Iss, -far));
        for (name, step) in [("SYN", syn), ("SYN with data", data), ("old SYN", low)] {
            let end = [&TALK[..], &END].concat();
            all.push(server(&format!("{name}+{far}, open"), &begun(&[step], &end)));
            all.push(server(
                &format!("{name}+{far}, FIN-WAIT-2"),
                &begun(&[Shutdown, Ack, step], &end),
            ));
            all.push(server(
                &format!("{name}+{far}, LAST-ACK"),
                &begun(&[Fin, Shutdown, step], &[Ack]),
            ));
            all.push(server(
                &format!("{name}+{far}, TIME-WAIT"),
                &begun(&[Shutdown, Ack, Fin, step], &[Ack]),
            ));
        }
    }
    all
}
