//! Differences that are known: those that are right, and those that are not mended yet.

use crate::script::{Script, Step};
use crate::strange::change::{Change, Source};
use crate::strange::extension;
use crate::strange::{Kind, Strange};
use crate::wire::packet::flags;

/// A kind of difference, by what was sent.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// Why it is as it is, and who is right.
    pub why: &'static str,
    /// Whether a strange packet is of this kind.
    explains: fn(&Strange) -> bool,
}

/// Kinds that are wrong in mosd today. One that is mended is removed, and never comes back.
pub const OPEN: [Known; 9] = [
    Known {
        name: "no-ack-flag",
        why: "a segment without ACK is believed",
        explains: |strange| has(strange, lacks_ack),
    },
    Known {
        name: "flags",
        why: "flags that contradict each other are believed",
        explains: |strange| has(strange, |change| change.group() == "flags"),
    },
    Known {
        name: "acknowledgement",
        why: "a segment is believed that acknowledges what was never sent, or too long ago",
        explains: |strange| has(strange, |change| matches!(change, Change::Ack(..))),
    },
    Known {
        name: "timestamps",
        why: "a segment that is too old by its timestamp is believed",
        explains: |strange| has(strange, |change| matches!(change, Change::Stamp(_))),
    },
    Known {
        name: "options",
        why: "a segment with a signature that was not agreed on is believed",
        explains: |strange| has(strange, |change| matches!(change, Change::Option(_))),
    },
    Known {
        name: "syn",
        why: "a SYN or SYN/ACK is believed that the peer did not answer",
        explains: |strange| strange.kind.is_syn(),
    },
    Known {
        name: "fin",
        why: "the first FIN seen is believed, wherever it lies",
        explains: |strange| matches!(strange.kind, Kind::Fin | Kind::FinData),
    },
    Known {
        name: "rst",
        why: "a RST is believed that the peer did not",
        explains: |strange| matches!(strange.kind, Kind::Rst | Kind::RstAck | Kind::RstData),
    },
    Known {
        name: "data",
        why: "bytes are believed before the handshake, or behind the window",
        explains: |strange| matches!(strange.kind, Kind::Data | Kind::Byte | Kind::Ack),
    },
];

/// Kinds in which mosd differs and is right, or nobody can be.
pub const ACCEPTED: [Known; 2] = [
    Known {
        name: "own-address",
        why: "a host that talks to itself sends from its own address: the loopback interface shows \
              it, and no frame says whether it comes from there",
        explains: |strange| has(strange, |change| change == Change::Source(Source::Receiver)),
    },
    Known {
        name: "segment-routing",
        why: "a host takes a packet at the end of its segments (RFC 8754) only where somebody has \
              switched that on; where networks use it, all packets are like this",
        explains: |strange| has(strange, is_routed),
    },
];

/// The first kind of a list that explains a script.
#[must_use]
pub fn explain<'a>(list: &'a [Known], script: &Script) -> Option<&'a Known> {
    list.iter().find(|known| {
        let explains =
            |step: &Step| matches!(step, Step::Strange(strange) if (known.explains)(strange));
        script.steps.iter().any(explains)
    })
}

fn has(strange: &Strange, is: impl Fn(Change) -> bool) -> bool {
    strange.changes.iter().flatten().any(|change| is(*change))
}

/// Segment routing without segments left.
fn is_routed(change: Change) -> bool {
    matches!(change, Change::Extension(chain) if extension::name(chain) == "routing 4, none left")
}

fn lacks_ack(change: Change) -> bool {
    let is_plain = |bits: u16| bits & (flags::ACK | flags::SYN | flags::RST) == 0;
    change == Change::NoAck || matches!(change, Change::Flags(bits) if is_plain(bits))
}
