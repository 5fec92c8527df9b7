//! Handshakes: two SYNs, two SYN/ACKs, data on either, a third packet that acknowledges wrongly.

use super::{Case, changed, strange, strange_at};
use crate::ends::setup::Setting;
use crate::script::Step::{self, Ack, Connect, Data, Reborn, Rst, Syn, SynAck, Write};
use crate::strange::change::{Change, Place};
use crate::strange::{Kind, Strange};
use crate::strategies::state::{END, TALK};
use crate::wire::packet::flags;

const FAMILY: &str = "handshake";

/// Distances of a second initial number.
const FAR: [i32; 6] = [1, 11, 500, 100_000, -100_000, 1 << 30];

fn then(opening: &[Step]) -> Vec<Step> {
    [opening, &TALK, &END].concat()
}

pub(super) fn cases() -> Vec<Case> {
    [servers(), clients(), simultaneous()].concat()
}

fn servers() -> Vec<Case> {
    let server = |name: String, opening: &[Step]| Case::server(FAMILY, name, then(opening));
    let mut all = Vec::new();
    for far in FAR {
        for kind in [Kind::Syn, Kind::SynData] {
            let other = strange_at(kind, far);
            all.push(server(format!("{kind:?}{far:+} behind the SYN"), &[Syn, other, Ack]));
            all.push(server(format!("{kind:?}{far:+} before the SYN"), &[other, Syn, Ack]));
            let cookies = server(format!("{kind:?}{far:+}, cookies"), &[Syn, other, Ack]);
            all.push(cookies.set(|setup| setup.setting = Setting::Cookies));
            let again = [other, Syn, Rst, Syn, Ack];
            all.push(server(format!("{kind:?}{far:+} refused, SYN again"), &again));
        }
        let answer = strange_at(Kind::SynAck, far);
        all.push(server(format!("SynAck{far:+} first"), &[answer, Syn, Ack]));
        all.push(server(format!("SynAck{far:+} behind the SYN"), &[Syn, answer, Ack]));
        let wrong = changed(Kind::Ack, Change::Ack(Place::Next, far));
        all.push(server(format!("third packet with ACK{far:+}"), &[Syn, wrong, Ack]));
        let wrong = changed(Kind::Data, Change::Ack(Place::Next, far));
        all.push(server(format!("first data with ACK{far:+}"), &[Syn, wrong, Ack]));
    }
    for kind in [Kind::SynData, Kind::SynFin, Kind::Syn] {
        all.push(server(format!("{kind:?} as the SYN"), &[strange(kind), Ack]));
        all.push(server(format!("SYN again as {kind:?}"), &[Syn, strange(kind), Ack]));
    }
    for bits in [flags::FIN | flags::ACK, flags::RST | flags::ACK, flags::ACK, flags::URG, 0] {
        let early = changed(Kind::Data, Change::Flags(bits));
        all.push(server(format!("flags {bits:#x} before the SYN"), &[early, Syn, Ack]));
        all.push(server(format!("flags {bits:#x} behind the SYN"), &[Syn, early, Ack]));
    }
    let reset = [strange(Kind::Rst), strange(Kind::RstAck)];
    for (step, name) in reset.into_iter().zip(["RST", "RST/ACK"]) {
        all.push(server(format!("{name} behind the SYN"), &[Syn, step, Ack]));
        all.push(server(format!("{name}, then SYN again"), &[Syn, step, Reborn, Syn, Ack]));
    }
    all.push(server("control: no third packet".into(), &[Syn]));
    all.push(server("control: SYN twice".into(), &[Syn, Syn, Ack]));
    all.push(server(
        "control: another SYN, nothing answered".into(),
        &[Syn, Reborn, Syn, Rst, Syn, Ack],
    ));
    all
}

fn clients() -> Vec<Case> {
    let client = |name: String, opening: &[Step]| {
        Case::client(FAMILY, name, then(&[&[Connect], opening].concat()))
    };
    let mut all = Vec::new();
    for far in FAR {
        for kind in [Kind::SynAck, Kind::SynAckData] {
            let other = strange_at(kind, far);
            all.push(client(format!("{kind:?}{far:+} before the SYN/ACK"), &[other, SynAck]));
            all.push(client(format!("{kind:?}{far:+} behind the SYN/ACK"), &[SynAck, other]));
        }
        let wrong = changed(Kind::SynAck, Change::Ack(Place::Next, far));
        all.push(client(format!("SYN/ACK with ACK{far:+}, then the right one"), &[wrong, SynAck]));
        let wrong = changed(Kind::RstAck, Change::Ack(Place::Next, far));
        all.push(client(format!("RST/ACK with ACK{far:+}"), &[wrong, SynAck]));
        let other = strange_at(Kind::Syn, far);
        all.push(client(format!("Syn{far:+} behind the SYN/ACK"), &[SynAck, other]));
    }
    for kind in [Kind::Data, Kind::Fin, Kind::FinData, Kind::Byte, Kind::Ack, Kind::Rst] {
        all.push(client(format!("{kind:?} before the SYN/ACK"), &[strange(kind), SynAck]));
    }
    all.push(client("SYN/ACK with data".into(), &[strange(Kind::SynAckData), Ack]));
    let data = [strange(Kind::SynAckData), Data(30), Write(20), Ack];
    all.push(client("SYN/ACK with data, then other data".into(), &data));
    all.push(client("SYN/ACK twice, then data".into(), &[SynAck, SynAck]));
    all.push(client("refused".into(), &[strange(Kind::RstAck)]));
    all
}

/// Both ends send a SYN.
fn simultaneous() -> Vec<Case> {
    let client = |name: String, opening: &[Step]| {
        Case::client(FAMILY, format!("simultaneous {name}"), then(&[&[Connect], opening].concat()))
    };
    let mut all = vec![
        client("control: SYN, SYN/ACK".into(), &[Syn, SynAck]),
        client("control: SYN, ACK".into(), &[Syn, Ack]),
        client("SYN with data".into(), &[strange(Kind::SynData), SynAck]),
        client("SYN, SYN/ACK with data".into(), &[Syn, strange(Kind::SynAckData)]),
    ];
    for far in FAR {
        let [other, answer] = [Kind::Syn, Kind::SynAck].map(|kind| strange_at(kind, far));
        all.push(client(format!("Syn{far:+}, SYN, SYN/ACK"), &[other, Syn, SynAck]));
        all.push(client(format!("SYN, Syn{far:+}, SYN/ACK"), &[Syn, other, SynAck]));
        all.push(client(format!("SYN, SynAck{far:+}, ACK"), &[Syn, answer, Ack]));
        let data = Step::Strange(Strange::new(Kind::SynData).at(far));
        all.push(client(format!("SynData{far:+}, SYN/ACK"), &[data, SynAck]));
    }
    all
}
