//! One emulated endpoint: what it has sent, RFC 9293 section 3.3.1, as stream offsets.

use core::hint::select_unpredictable;

use super::TcpState;
use crate::{SeqNum, StreamOffset, offset::lower_half, wire::WindowScale};

/// The smallest window that the bounds assume, in bytes, where the known one is smaller.
const WINDOW_MIN: u32 = 65_536;

/// The window of a peer of which too little was captured to know it, in bytes: more than hosts
/// grant without having been tuned to, and little enough that a forged segment does not empty a
/// buffer of the largest size.
pub(super) const WINDOW_UNKNOWN: u32 = 1 << 24;

/// The bounds of van Rooij, "Real Stateful TCP Packet Filtering in IP Filter" (2001), for what one
/// side sends and for what its peer acknowledges, as stream offsets.
///
/// - I: data end at or below the highest acknowledgement plus the receiver's largest window;
/// - II: data end at or above the highest byte sent minus that window;
/// - III: an acknowledgement is at or below the highest byte sent;
/// - IV: an acknowledgement is not older than a window.
///
/// A monitor may have missed packets: I and III therefore reach a window beyond whatever is known,
/// and a window is never taken to be smaller than 64 KiB. A peer that was never heard, because only
/// one direction is captured, is taken to grant 16 MiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// II and IV.
    low: i64,
    /// I and III.
    high: i64,
}

impl Bounds {
    /// Whether an offset is within the bounds.
    pub(super) const fn contain(self, offset: i64) -> bool {
        self.low <= offset && offset <= self.high
    }

    /// The highest offset within the bounds.
    pub(super) const fn high(self) -> i64 {
        self.high
    }
}

/// One endpoint of a connection. Packed, because a flow must not cost more memory than it does.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub(crate) struct TcpSide {
    pub(crate) state: TcpState,
    /// Its state as it was when monitoring of this side was stopped.
    pub(crate) frozen: Option<TcpState>,
    pub(super) window_scale: Option<WindowScale>,
    knowledge: Knowledge,
    /// Sequence number of stream offset 0 of what this side sends: ISS + 1. Without a SYN, the
    /// sequence number of its first packet.
    origin: SeqNum,
    /// Largest window that this side has advertised, in bytes.
    pub(super) max_window: u32,
    /// The highest offset that the peer has acknowledged, as a distance from `snd_nxt`.
    una: Distance,
    /// The offset of the FIN, or [`Self::NO_FIN`].
    fin: Distance,
    snd_nxt: u64,
    pub(crate) packets: u64,
    pub(crate) payload_bytes: u64,
}

/// Where the origin of a side's sequence numbers comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    /// Nothing of what the side sends was captured.
    None,
    /// Its first packet.
    Packet,
    /// Its SYN.
    Syn,
    /// Its SYN, which the peer has acknowledged: the origin stands.
    Confirmed,
}

/// How far an offset lies behind `snd_nxt`, or before it where it is negative. Sequence numbers
/// name nothing that is further away than fits here.
type Distance = i32;

const _: () = assert!(size_of::<TcpSide>() == 44, "see `flow/record.rs`");

impl TcpSide {
    const NO_FIN: Distance = Distance::MAX;

    pub(crate) const fn new(state: TcpState) -> Self {
        Self {
            state,
            frozen: None,
            window_scale: None,
            knowledge: Knowledge::None,
            origin: SeqNum(0),
            max_window: 0,
            una: 0,
            fin: Self::NO_FIN,
            snd_nxt: 0,
            packets: 0,
            payload_bytes: 0,
        }
    }

    /// One past the highest offset sent; a FIN is not counted.
    #[inline]
    pub(super) const fn snd_nxt(&self) -> u64 {
        self.snd_nxt
    }

    /// Highest offset that the peer has acknowledged; a FIN is counted.
    #[inline]
    pub(super) const fn snd_una(&self) -> u64 {
        self.at(self.una)
    }

    /// Learns that everything before this offset was sent, the FIN apart.
    #[inline]
    pub(super) fn advance_to(&mut self, end: u64) {
        if end <= self.snd_nxt {
            return;
        }
        let further = Distance::try_from(end - self.snd_nxt).unwrap_or(Distance::MAX);
        self.una = self.una.saturating_sub(further);
        if self.has_fin() {
            self.fin = self.fin.saturating_sub(further);
        }
        self.snd_nxt = end;
    }

    /// Offset of the FIN, once one was sent.
    #[inline]
    pub(super) const fn fin(&self) -> Option<u64> {
        if self.has_fin() { Some(self.at(self.fin)) } else { None }
    }

    /// Whether a FIN was sent.
    #[inline]
    pub(super) const fn has_fin(&self) -> bool {
        self.fin != Self::NO_FIN
    }

    /// Learns where the stream ends.
    pub(super) fn learn_fin(&mut self, fin: u64) {
        self.fin = self.distance_to(fin).min(Self::NO_FIN - 1);
    }

    /// The offset at a distance from `snd_nxt`.
    #[inline]
    const fn at(&self, distance: Distance) -> u64 {
        self.snd_nxt.wrapping_add_signed(distance as i64)
    }

    /// How far an offset lies from `snd_nxt`, as far as that can be told.
    #[inline]
    fn distance_to(&self, offset: u64) -> Distance {
        let bytes = offset.wrapping_sub(self.snd_nxt).cast_signed();
        let limit = if bytes < 0 { Distance::MIN } else { Distance::MAX };
        Distance::try_from(bytes).unwrap_or(limit)
    }

    #[inline]
    const fn origin(&self) -> Option<SeqNum> {
        if self.is_unheard() { None } else { Some(self.origin) }
    }

    /// The position of a sequence number in what this side sends: negative before offset 0, `None`
    /// while nothing is known. Unwrapped around the highest offset sent.
    pub(super) fn offset_of(&self, seq: SeqNum) -> Option<i64> {
        let origin = self.origin()?;
        let distance = seq.distance_from(origin.plus(lower_half(self.snd_nxt)));
        Some(self.snd_nxt.cast_signed() + i64::from(distance))
    }

    /// The sequence number of the next byte in order, of a side that was heard.
    #[inline]
    pub(super) const fn next_seq(&self) -> SeqNum {
        self.origin.plus(lower_half(self.snd_nxt))
    }

    /// The highest number that the peer has acknowledged, if that was sent.
    pub(super) fn acknowledged_seq(&self) -> Option<SeqNum> {
        (self.una <= 0).then(|| self.next_seq().plus(self.una.cast_unsigned()))
    }

    /// The sequence number of a position in what this side sends; `None` while nothing is known.
    pub(crate) fn seq_of(&self, offset: StreamOffset) -> Option<SeqNum> {
        self.origin().map(|origin| origin.plus(lower_half(offset.0)))
    }

    /// Whether its SYN was seen.
    pub(super) const fn has_sent_syn(&self) -> bool {
        matches!(self.knowledge, Knowledge::Syn | Knowledge::Confirmed)
    }

    /// Whether nothing of what this side sends was captured.
    pub(super) const fn is_unheard(&self) -> bool {
        matches!(self.knowledge, Knowledge::None)
    }

    /// Whether a SYN with this number began what this side sends, seen or not.
    pub(super) fn is_own_syn(&self, seq: SeqNum) -> bool {
        self.origin() == Some(seq.plus(1))
    }

    /// Learns offset 0 from a SYN. A SYN with another number moves it as long as no data has been
    /// sent and nothing was acknowledged; returns whether the number is in force.
    pub(super) fn learn_syn(&mut self, seq: SeqNum) -> bool {
        let origin = seq.plus(1);
        if let Some(known) = self.origin().filter(|known| *known != origin) {
            if self.knowledge == Knowledge::Confirmed || self.snd_nxt > 0 {
                return false;
            }
            // A FIN that came before its SYN, as in a shuffled capture, keeps its number.
            let moved = i64::from(known.distance_from(origin));
            let fin = self.fin().and_then(|fin| fin.checked_add_signed(moved));
            (self.una, self.fin) = (0, Self::NO_FIN);
            if let Some(fin) = fin {
                self.learn_fin(fin);
            }
        }
        self.origin = origin;
        if self.knowledge != Knowledge::Confirmed {
            self.knowledge = Knowledge::Syn;
        }
        true
    }

    /// Learns offset 0 from the first packet of a side whose SYN was not seen.
    pub(super) fn learn_first(&mut self, seq: SeqNum) {
        if self.is_unheard() {
            (self.origin, self.knowledge) = (seq, Knowledge::Packet);
        }
    }

    /// Learns that the peer has received everything before this offset.
    pub(super) fn acknowledge(&mut self, offset: u64) {
        self.una = self.distance_to(offset).max(self.una);
        let is_syn = self.knowledge == Knowledge::Syn;
        self.knowledge = select_unpredictable(is_syn, Knowledge::Confirmed, self.knowledge);
    }

    /// What this side may honestly send and be acknowledged, given its peer.
    pub(super) fn bounds(&self, peer: &Self) -> Bounds {
        let granted = if peer.is_unheard() { WINDOW_UNKNOWN } else { peer.max_window };
        let window = i64::from(granted.max(WINDOW_MIN));
        let (sent, acknowledged) = (self.snd_nxt.cast_signed(), self.snd_una().cast_signed());
        Bounds { low: sent.min(acknowledged) - window, high: sent.max(acknowledged) + window }
    }

    /// Whether the peer has acknowledged the FIN.
    pub(super) fn is_fin_acknowledged(&self) -> bool {
        // Nothing is further than where there is none.
        self.una > self.fin
    }

    /// Whether the peer has received everything up to and with the FIN.
    pub(super) fn is_fin_reached(&self, received: StreamOffset) -> bool {
        self.has_fin() & (received.0 >= self.at(self.fin))
    }

    /// The handshake is not complete on this side.
    pub(super) const fn is_opening(&self) -> bool {
        matches!(
            self.state,
            TcpState::Closed | TcpState::Listen | TcpState::SynSent | TcpState::SynReceived
        )
    }

    /// Nothing more will come from, or go to, this side.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.state, TcpState::Closed | TcpState::TimeWait)
    }
}
