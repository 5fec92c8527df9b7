//! What a capture holds besides the frames that can be read.

use std::collections::BTreeMap;

use super::{
    clock::TimeReport,
    error::{LinkType, ProblemCause},
    packet::Packet,
};

/// What a capture holds besides the frames that can be read. Each worker finds the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Packets that were not read, by their link type; under `None` those of interfaces that the
    /// capture does not describe.
    pub unread: BTreeMap<Option<LinkType>, u64>,
    /// What became of the times.
    pub times: TimeReport,
    /// Whether any packet has a link type that is read.
    has_readable: bool,
}

impl Findings {
    /// Notes a packet, and what has become of the times with it.
    pub(super) fn note(&mut self, packet: &Packet, times: TimeReport) {
        self.times = times;
        if packet.link().is_some() {
            self.has_readable = true;
        } else {
            *self.unread.entry(packet.link_type).or_default() += 1;
        }
    }

    /// What is wrong with a capture that has ended, where no packet could be read.
    pub(super) fn nothing_read(&self) -> Option<ProblemCause> {
        let (link_type, _) = self.unread.last_key_value().filter(|_| !self.has_readable)?;
        Some(match link_type {
            Some(link_type) => ProblemCause::LinkType(*link_type),
            None => ProblemCause::Damaged("no packet is of an interface that it describes"),
        })
    }
}
