//! Differences that are known: those that are right, and those that are not mended yet.

use crate::script::{Script, Step};
use crate::strange::change::Change;
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

/// Kinds that are wrong in mosd today, in single connections. The ceilings of the test say how
/// many. One that is mended is removed, and never comes back.
pub const OPEN: [Known; 9] = [
    Known {
        name: "no-ack-flag",
        why: "rare: with another strange packet",
        explains: |strange| has(strange, lacks_ack),
    },
    Known {
        name: "flags",
        why: "rare: with another strange packet",
        explains: |strange| has(strange, |change| change.group() == "flags"),
    },
    Known {
        name: "acknowledgement",
        why: "rare: the kernel takes a FIN with the acknowledgement of its SYN, and resets \
              without acknowledging",
        explains: |strange| has(strange, |change| matches!(change, Change::Ack(..))),
    },
    Known {
        name: "timestamps",
        why: "rare: a timestamp exactly 2^31 away is old for one test of the kernel, and not \
              for the other",
        explains: |strange| has(strange, |change| matches!(change, Change::Stamp(_))),
    },
    Known {
        name: "options",
        why: "rare: a signed segment before the SYN, which the kernel drops without a word",
        explains: |strange| has(strange, |change| matches!(change, Change::Option(_))),
    },
    Known {
        name: "syn",
        why: "rare: behind data in TIME-WAIT; a challenge ACK after which the kernel refuses \
              the true ACK",
        explains: |strange| strange.kind.is_syn(),
    },
    Known {
        name: "fin",
        why: "a FIN behind another one that was not acknowledged yet: the kernel acknowledges \
              its place, and the bytes before it were none",
        explains: |strange| matches!(strange.kind, Kind::Fin | Kind::FinData),
    },
    Known {
        name: "rst",
        why: "rare: with another strange packet",
        explains: |strange| matches!(strange.kind, Kind::Rst | Kind::RstAck | Kind::RstData),
    },
    Known {
        name: "data",
        why: "rare: with another strange packet",
        explains: |strange| matches!(strange.kind, Kind::Data | Kind::Byte | Kind::Ack),
    },
];

/// Kinds in which mosd differs and is right, or nobody can be.
pub const ACCEPTED: [Known; 1] = [Known {
    name: "segment-routing",
    why: "a host takes a packet at the end of its segments (RFC 8754) only where somebody \
              has switched that on; where networks use it, all packets are like this",
    explains: |strange| has(strange, is_routed),
}];

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
