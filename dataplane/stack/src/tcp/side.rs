//! One emulated endpoint: what it has sent, RFC 9293 section 3.3.1, as stream offsets.

use core::hint::select_unpredictable;

use super::TcpState;
use crate::{SeqNum, StreamOffset, aside::Stretch, offset::lower_half, opening::Offer};

/// The window that is assumed for a peer if too little was captured to know it, in bytes: more than
/// an untuned host advertises, and small enough that one forged segment cannot evict a whole buffer
/// of the largest capacity.
pub(super) const WINDOW_UNKNOWN: u32 = 1 << 24;

/// One endpoint of a connection. Packed, so that a flow fits into five lines of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub(crate) struct TcpSide {
    pub(crate) state: TcpState,
    /// Its state as it was when monitoring of this side was stopped.
    pub(crate) frozen: Option<TcpState>,
    pub(super) offer: Offer,
    knowledge: Knowledge,
    /// Sequence number of stream offset 0 of what this side sends: ISS + 1. Without a SYN, the
    /// sequence number of its first packet.
    origin: SeqNum,
    /// The highest offset that the peer has acknowledged, as a distance from `snd_nxt`.
    una: Distance,
    /// The offset of the FIN, or [`Self::NO_FIN`].
    fin: Distance,
    /// The right edge of the window: the highest offset that the peer has room for. Means nothing
    /// while the peer was not captured.
    edge: Distance,
    snd_nxt: u64,
    pub(crate) packets: u64,
    pub(crate) payload_bytes: u64,
}

/// How much is known of a side's sequence numbers, and from what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    /// Nothing of what the side sends was captured.
    None,
    /// Nothing, but the peer has acknowledged its number: [`TcpSide::origin`].
    Named,
    /// Its first packet.
    Packet,
    /// Its SYN.
    Syn,
    /// Its SYN, which the peer has acknowledged: the origin does not change any more.
    Confirmed,
}

/// An offset relative to `snd_nxt`; negative before it. Sequence numbers cannot express a distance
/// that does not fit.
type Distance = i32;

const _: () = assert!(size_of::<TcpSide>() == 44, "see `flow/record.rs`");

impl TcpSide {
    const NO_FIN: Distance = Distance::MAX;

    pub(crate) const fn new(state: TcpState) -> Self {
        Self {
            state,
            frozen: None,
            offer: Offer::NONE,
            knowledge: Knowledge::None,
            origin: SeqNum(0),
            una: 0,
            fin: Self::NO_FIN,
            edge: 0,
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

    /// Highest offset that the peer has acknowledged, a FIN not counted; `None` if it is so far
    /// behind that the distance was clamped.
    #[inline]
    pub(super) fn acknowledged(&self) -> Option<u64> {
        // `NO_FIN` is the largest distance.
        (self.una > Distance::MIN).then(|| self.at(self.una.min(self.fin)))
    }

    /// Records that everything before this offset was sent, except for a FIN.
    #[inline]
    pub(super) fn advance_to(&mut self, end: u64) {
        if end <= self.snd_nxt {
            return;
        }
        let further = Distance::try_from(end - self.snd_nxt).unwrap_or(Distance::MAX);
        self.una = self.una.saturating_sub(further);
        self.edge = self.edge.saturating_sub(further);
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

    /// Records where the stream ends.
    pub(super) fn learn_fin(&mut self, fin: u64) {
        self.fin = self.distance_to(fin).min(Self::NO_FIN - 1);
    }

    /// Withdraws the FIN: the stream goes on behind it.
    pub(super) const fn forget_fin(&mut self) {
        self.fin = Self::NO_FIN;
    }

    /// Records that the peer has room up to this offset.
    pub(super) fn grant(&mut self, edge: i64) {
        let room = edge - self.snd_nxt.cast_signed();
        let limit = if room < 0 { Distance::MIN } else { Distance::MAX };
        self.edge = Distance::try_from(room).unwrap_or(limit).max(self.edge);
    }

    /// The highest offset that `peer` has room for.
    pub(super) fn edge(&self, peer: &Self) -> i64 {
        if peer.is_unheard() {
            let known = self.snd_nxt.max(self.snd_una());
            return known.saturating_add(u64::from(WINDOW_UNKNOWN)).cast_signed();
        }
        self.snd_nxt.cast_signed() + i64::from(self.edge)
    }

    /// The sequence number of [`Self::edge`].
    pub(super) fn edge_seq(&self, peer: &Self) -> SeqNum {
        let edge = self.edge(peer) - self.snd_nxt.cast_signed();
        let room = Distance::try_from(edge).unwrap_or(Distance::MAX);
        self.next_seq().plus(room.cast_unsigned())
    }

    /// The offset at a distance from `snd_nxt`.
    #[inline]
    const fn at(&self, distance: Distance) -> u64 {
        self.snd_nxt.wrapping_add_signed(distance as i64)
    }

    /// The distance of an offset from `snd_nxt`, clamped to the range of [`Distance`].
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

    /// The sequence number of the next byte in order. Call it only if the origin is known.
    #[inline]
    pub(super) const fn next_seq(&self) -> SeqNum {
        self.origin.plus(lower_half(self.snd_nxt))
    }

    /// The highest number that the peer has acknowledged; `None` if that is beyond what was sent.
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

    /// Whether the peer has acknowledged its SYN, which was seen.
    pub(super) const fn is_confirmed(&self) -> bool {
        matches!(self.knowledge, Knowledge::Confirmed)
    }

    /// Whether nothing of what this side sends was captured.
    pub(super) const fn is_unheard(&self) -> bool {
        matches!(self.knowledge, Knowledge::None | Knowledge::Named)
    }

    /// Whether a SYN with this number began what this side sends, seen or not.
    pub(super) fn is_own_syn(&self, seq: SeqNum) -> bool {
        !self.is_unheard() && self.origin == seq.plus(1)
    }

    /// The number that the peer has acknowledged, of a side that was not captured.
    pub(super) const fn named(&self) -> Option<SeqNum> {
        if matches!(self.knowledge, Knowledge::Named) { Some(self.origin) } else { None }
    }

    /// Sets offset 0 by a SYN. What was known of another number is forgotten, except that a FIN
    /// that came before its SYN, as in a shuffled capture, keeps its number.
    pub(super) fn learn_syn(&mut self, seq: SeqNum, offer: Offer) {
        let origin = seq.plus(1);
        if let Some(known) = self.origin().filter(|known| *known != origin) {
            let moved = i64::from(known.distance_from(origin));
            let fin = self.fin().and_then(|fin| fin.checked_add_signed(moved));
            (self.una, self.fin) = (0, Self::NO_FIN);
            if let Some(fin) = fin {
                self.learn_fin(fin);
            }
        }
        (self.origin, self.offer) = (origin, offer);
        if self.knowledge != Knowledge::Confirmed {
            self.knowledge = Knowledge::Syn;
        }
    }

    /// Whether a SYN with another number may still set offset 0: no data was sent, and nothing was
    /// acknowledged.
    pub(super) const fn may_move(&self) -> bool {
        !self.is_confirmed() && self.snd_nxt == 0
    }

    /// Sets offset 0 by the first packet of a side whose SYN was not captured.
    pub(super) fn learn_first(&mut self, origin: SeqNum, offer: Offer) {
        if self.is_unheard() {
            // The window was granted from the number on that the peer has named.
            let moved = self.named().map_or(0, |named| named.distance_from(origin));
            self.edge = self.edge.saturating_add(moved);
            (self.origin, self.offer, self.knowledge) = (origin, offer, Knowledge::Packet);
        }
    }

    /// Sets offset 0 by what the peer has acknowledged in its SYN/ACK, of a side whose SYN is not
    /// known. What was known of another SYN is forgotten.
    pub(super) fn begin_at(&mut self, origin: SeqNum, offer: Offer) {
        self.learn_syn(origin.before(1), offer);
        self.knowledge = Knowledge::Packet;
    }

    /// Moves offset 0 behind a keepalive, if that was the first packet: the peer expects `ack`.
    pub(super) fn pass_keepalive(&mut self, ack: SeqNum) {
        let is_first = self.knowledge == Knowledge::Packet && self.snd_nxt == 0;
        if is_first && !self.has_fin() && ack == self.origin.plus(1) {
            self.origin = ack;
        }
    }

    /// Learns from a stretch that the peer has acknowledged up to `ack`, wherever it lies: it had
    /// room for it.
    pub(super) fn learn_proven(&mut self, stretch: Stretch, ack: SeqNum) {
        self.learn_first(stretch.seq, self.offer);
        let (Some(end), Some(acknowledged)) = (self.offset_of(stretch.end()), self.offset_of(ack))
        else {
            return;
        };
        if let Ok(proven) = u64::try_from(end.min(acknowledged)) {
            self.advance_to(proven);
        }
        // A FIN has a place of its own.
        self.grant(acknowledged.min(end + i64::from(stretch.is_fin)));
    }

    /// Notes the number that the peer acknowledges, and the window that it grants, of a side that
    /// was not captured.
    pub(super) fn name(&mut self, ack: SeqNum, window: u32) {
        if self.is_unheard() {
            (self.origin, self.knowledge) = (ack, Knowledge::Named);
            self.edge = Distance::try_from(window).unwrap_or(Distance::MAX);
        }
    }

    /// Records that the peer has received everything before this offset.
    pub(super) fn acknowledge(&mut self, offset: u64) {
        self.una = self.distance_to(offset).max(self.una);
        let is_syn = self.knowledge == Knowledge::Syn;
        self.knowledge = select_unpredictable(is_syn, Knowledge::Confirmed, self.knowledge);
    }

    /// Whether the peer has acknowledged the FIN.
    pub(super) fn is_fin_acknowledged(&self) -> bool {
        // `NO_FIN` is the largest distance, so this is false without a FIN.
        self.una > self.fin
    }

    /// Whether the peer has received everything up to the FIN, and the FIN.
    pub(super) fn is_fin_reached(&self, received: StreamOffset) -> bool {
        self.has_fin() & (received.0 >= self.at(self.fin))
    }

    /// Whether the handshake is not complete on this side.
    pub(super) const fn is_opening(&self) -> bool {
        matches!(
            self.state,
            TcpState::Closed | TcpState::Listen | TcpState::SynSent | TcpState::SynReceived
        )
    }

    /// Whether the connection has ended on this side.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.state, TcpState::Closed | TcpState::TimeWait)
    }
}
