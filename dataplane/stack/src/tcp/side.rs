//! One emulated endpoint: what it has sent, RFC 9293 section 3.3.1, as stream offsets.

use super::TcpState;
use crate::{SeqNum, StreamOffset, wire::WindowScale};

/// Reach granted beyond what was seen, where the receiver's window is unknown or small, in bytes.
const REACH_MIN: u32 = 65_536;

/// The window of a peer of which too little was captured to know it, in bytes: more than hosts
/// grant without having been tuned to, and little enough that a forged segment does not empty a
/// buffer of the largest size.
pub(super) const REACH_UNKNOWN: u32 = 1 << 24;

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

/// One endpoint of a connection.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "two facts that do not exclude each other")]
pub(crate) struct TcpSide {
    pub(crate) state: TcpState,
    /// Its state as it was when monitoring of this side was stopped.
    pub(crate) frozen: Option<TcpState>,
    has_origin: bool,
    /// The origin comes from a SYN.
    pub(super) has_sent_syn: bool,
    /// The peer has acknowledged its SYN: the origin stands.
    is_confirmed: bool,
    pub(super) window_scale: Option<WindowScale>,
    /// By what its windows are scaled while the connection is steady.
    pub(super) scale: WindowScale,
    /// Sequence number of stream offset 0 of what this side sends: ISS + 1. Without a SYN, the
    /// sequence number of its first packet.
    origin: SeqNum,
    /// Largest window that this side has advertised, in bytes.
    pub(super) max_window: u32,
    /// One past the highest offset sent; a FIN is not counted.
    pub(super) snd_nxt: u64,
    /// Highest offset that the peer has acknowledged; a FIN is counted.
    pub(super) snd_una: u64,
    /// Offset of the FIN, or [`Self::NO_FIN`].
    fin: u64,
    pub(crate) packets: u64,
    pub(crate) payload_bytes: u64,
}

const _: () = assert!(size_of::<TcpSide>() == 56, "two of them share two lines of the cache");

impl TcpSide {
    const NO_FIN: u64 = u64::MAX;

    pub(crate) const fn new(state: TcpState) -> Self {
        Self {
            state,
            frozen: None,
            has_origin: false,
            has_sent_syn: false,
            is_confirmed: false,
            window_scale: None,
            scale: WindowScale::NONE,
            origin: SeqNum(0),
            max_window: 0,
            snd_nxt: 0,
            snd_una: 0,
            fin: Self::NO_FIN,
            packets: 0,
            payload_bytes: 0,
        }
    }

    /// Offset of the FIN, once one was sent.
    #[inline]
    pub(super) const fn fin(&self) -> Option<u64> {
        if self.fin == Self::NO_FIN { None } else { Some(self.fin) }
    }

    /// Learns where the stream ends.
    pub(super) const fn learn_fin(&mut self, fin: u64) {
        self.fin = fin;
    }

    #[inline]
    const fn origin(&self) -> Option<SeqNum> {
        if self.has_origin { Some(self.origin) } else { None }
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

    /// The sequence number of a position in what this side sends; `None` while nothing is known.
    pub(crate) fn seq_of(&self, offset: StreamOffset) -> Option<SeqNum> {
        self.origin().map(|origin| origin.plus(lower_half(offset.0)))
    }

    /// Whether nothing of what this side sends was captured.
    pub(super) const fn is_unheard(&self) -> bool {
        !self.has_origin
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
            if self.is_confirmed || self.snd_nxt > 0 {
                return false;
            }
            // A FIN that came before its SYN, as in a shuffled capture, keeps its number.
            let moved = i64::from(known.distance_from(origin));
            let fin = self.fin().and_then(|fin| fin.checked_add_signed(moved));
            self.fin = fin.unwrap_or(Self::NO_FIN);
            self.snd_una = 0;
        }
        (self.origin, self.has_origin) = (origin, true);
        self.has_sent_syn = true;
        true
    }

    /// Learns offset 0 from the first packet of a side whose SYN was not seen.
    pub(super) fn learn_first(&mut self, seq: SeqNum) {
        if !self.has_origin {
            (self.origin, self.has_origin) = (seq, true);
        }
    }

    /// Learns that the peer has received everything before this offset.
    pub(super) fn acknowledge(&mut self, offset: u64) {
        self.snd_una = self.snd_una.max(offset);
        self.is_confirmed = self.has_sent_syn;
    }

    /// What this side may honestly send and be acknowledged, given its peer.
    pub(super) fn bounds(&self, peer: &Self) -> Bounds {
        let granted = if peer.is_unheard() { REACH_UNKNOWN } else { peer.max_window };
        let window = i64::from(granted.max(REACH_MIN));
        let (sent, acknowledged) = (self.snd_nxt.cast_signed(), self.snd_una.cast_signed());
        Bounds {
            low: sent.min(acknowledged).saturating_sub(window),
            high: sent.max(acknowledged).saturating_add(window),
        }
    }

    /// Whether the peer has acknowledged the FIN.
    pub(super) fn is_fin_acknowledged(&self) -> bool {
        self.fin().is_some_and(|fin| self.snd_una > fin)
    }

    /// Whether the peer has received everything up to and with the FIN.
    pub(super) fn is_fin_reached(&self, received: StreamOffset) -> bool {
        self.fin().is_some_and(|fin| received.0 >= fin)
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

#[expect(clippy::cast_possible_truncation, reason = "sequence numbers are the lower half")]
const fn lower_half(offset: u64) -> u32 {
    offset as u32
}
