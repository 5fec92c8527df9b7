//! The table of strategies: every change that a strange packet can have.

use std::sync::LazyLock;

use crate::strange::change::{Change, Length, Place, Source, Stamp};
use crate::strange::{extension, fragments};
use crate::wire::packet::{Checksum, flags};

const SEQS: [(Place, i32); 21] = [
    (Place::Next, -1),
    (Place::Next, 1),
    (Place::Next, 7),
    (Place::Next, 10),
    (Place::Next, 20),
    (Place::Next, -12),
    (Place::Next, -24),
    (Place::Next, -25),
    (Place::Next, -1000),
    (Place::Next, -100_000),
    (Place::Next, 100_000),
    (Place::Next, i32::MIN),
    (Place::Edge, -24),
    (Place::Edge, -12),
    (Place::Edge, -1),
    (Place::Edge, 0),
    (Place::Edge, 1),
    (Place::Iss, 0),
    (Place::Iss, -1),
    (Place::Iss, 1),
    (Place::Zero, 0),
];

const ACKS: [(Place, i32); 18] = [
    (Place::Next, -1),
    (Place::Next, 1),
    (Place::Next, 1000),
    (Place::Next, 70_000),
    (Place::Next, i32::MAX),
    (Place::Next, -64_000),
    (Place::Next, -64_001),
    (Place::Next, -70_000),
    (Place::Next, i32::MIN),
    (Place::Edge, 0),
    (Place::Edge, -1),
    (Place::Edge, -64_001),
    (Place::Iss, -1),
    (Place::Iss, 0),
    (Place::Iss, 1),
    (Place::Iss, -1000),
    (Place::Zero, 0),
    (Place::Zero, 1),
];

const FLAGS: [u16; 14] = [
    0,
    flags::URG,
    flags::PSH,
    flags::ACK,
    0x03f,
    0xfff,
    flags::SYN,
    flags::SYN | flags::FIN,
    flags::SYN | flags::RST,
    flags::FIN | flags::RST,
    flags::FIN,
    flags::RST,
    flags::ACK | flags::URG,
    flags::SYN | flags::FIN | flags::ACK,
];

const BESIDES: [u16; 8] =
    [0xe00, 0x800, 0x100, 0x0c0, flags::FIN, flags::SYN, flags::RST, flags::URG];

const STAMPS: [Stamp; 21] = [
    Stamp::Value(-1),
    Stamp::Value(-2),
    Stamp::Value(-3),
    Stamp::Value(-5000),
    Stamp::Value(i32::MIN),
    Stamp::Value(i32::MIN + 10),
    Stamp::Value(1_000_000),
    Stamp::Value(i32::MAX - 10),
    Stamp::ValueZero,
    Stamp::Echo(-1),
    Stamp::Echo(-100_000),
    Stamp::Echo(100_000),
    Stamp::Echo(i32::MIN),
    Stamp::EchoZero,
    Stamp::Contrary,
    Stamp::FirstOld,
    Stamp::SecondOld,
    Stamp::UnalignedOld,
    Stamp::BehindEndOld,
    Stamp::ShortOld,
    Stamp::LongOld,
];

const OPTIONS: [&[u8]; 22] = [
    &[19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
    &[19, 10, 1, 2, 3, 4, 5, 6, 7, 8],
    &[29, 16, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    &[29, 4, 1, 1],
    &[200, 0, 0, 0],
    &[200, 1, 0, 0],
    &[200, 30, 0, 0],
    &[0, 19, 18, 1],
    &[0, 200, 40, 7],
    &[2, 4, 0, 1],
    &[2, 4, 0xff, 0xff],
    &[2, 3, 1, 0],
    &[3, 3, 0, 0],
    &[3, 3, 14, 0],
    &[3, 3, 255, 0],
    &[4, 2],
    &[5, 10, 0, 0, 0, 1, 0, 0, 0, 9],
    &[34, 2],
    &[34, 10, 1, 2, 3, 4, 5, 6, 7, 8],
    &[200, 4, 1, 2],
    &[253, 4, 0xf9, 0x89],
    &[254, 8, 1, 2, 3, 4, 5, 6],
];

const POINTERS: [u16; 8] = [0, 1, 2, 12, 24, 25, 100, 65535];

const IP_OPTIONS: [&[u8]; 20] = [
    &[131, 7, 4, 10, 32, 0, 1],
    &[131, 7, 8, 10, 32, 0, 1],
    &[137, 7, 4, 10, 32, 0, 1],
    &[137, 7, 8, 10, 32, 0, 1],
    &[131, 3, 4],
    &[137, 3, 4],
    &[131, 7, 3, 10, 32, 0, 1],
    &[7, 7, 4, 0, 0, 0, 0],
    &[7, 7, 8, 0, 0, 0, 0],
    &[7, 7, 3, 0, 0, 0, 0],
    &[68, 8, 5, 0, 0, 0, 0, 0],
    &[68, 8, 9, 0, 0, 0, 0, 0],
    &[68, 6, 9, 0, 0, 0],
    &[148, 4, 0, 0],
    &[130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    &[136, 4, 0, 1],
    &[134, 6, 0, 0, 0, 1],
    &[200, 4, 1, 2],
    &[200, 0, 1, 2],
    &[200, 40, 1, 2],
];

/// All changes, in the order of the table.
pub static CHANGES: LazyLock<Vec<Change>> = LazyLock::new(changes);

fn changes() -> Vec<Change> {
    let mut all = Vec::new();
    all.extend(SEQS.map(|(place, by)| Change::Seq(place, by)));
    all.extend(ACKS.map(|(place, by)| Change::Ack(place, by)));
    all.push(Change::NoAck);
    all.extend(FLAGS.map(Change::Flags));
    all.extend(BESIDES.map(Change::Besides));
    all.extend(STAMPS.map(Change::Stamp));
    all.extend(OPTIONS.map(Change::Option));
    all.extend([Checksum::Wrong, Checksum::Zero].map(Change::Checksum));
    all.extend([0, 4, 6, 15].map(Change::Words));
    all.extend(POINTERS.map(Change::Urgent));
    all.extend([0, 1, 65535].map(Change::Window));
    all.extend([Length::Zero, Length::HeaderOnly].map(Change::IpLength));
    all.extend([-30, -10, -1, 1, 100].map(|by| Change::IpLength(Length::By(by))));
    all.extend([0, 4, 5, 6, 15].map(Change::IpVersion));
    all.extend([0, 1].map(Change::Ttl));
    let sources = [Source::Multicast, Source::Broadcast, Source::Loopback, Source::Unspecified];
    all.extend(sources.map(Change::Source));
    all.push(Change::Source(Source::Receiver));
    all.extend([0, 4, 6, 15].map(Change::Ihl));
    all.extend([Checksum::Wrong, Checksum::Zero].map(Change::IpChecksum));
    all.extend([0x8000, 0x4000, 0x2000, 1, 0x1fff].map(Change::IpBits));
    all.extend(IP_OPTIONS.map(Change::IpOption));
    all.extend((0..extension::COUNT).map(Change::Extension));
    all.extend((0..fragments::COUNT).map(Change::Fragments));
    all
}
