//! What a SYN says: its number, its options, its window.

use crate::{
    SeqNum,
    wire::{Options, Segment, Signature, WindowScale},
};

/// What a SYN, or a SYN/ACK, says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening {
    /// Its number.
    pub(crate) seq: SeqNum,
    /// What a SYN/ACK acknowledges: the number that its peer goes on with.
    pub(crate) ack: SeqNum,
    pub(crate) offer: Offer,
    /// Its timestamp; 0 without one.
    pub(crate) stamp: u32,
    /// The window, in bytes.
    pub(crate) window: u32,
}

impl Opening {
    pub(crate) fn of(segment: &Segment<'_>, options: &Options) -> Self {
        let offer = Offer::of(options);
        let stamp = options.stamp.unwrap_or_default().value;
        Self { seq: segment.seq, ack: segment.ack, offer, stamp, window: segment.window.into() }
    }
}

/// The options that a side has offered in its SYN; without a SYN, what its first packet shows of
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer(u8);

impl Offer {
    /// No options.
    pub(crate) const NONE: Self = Self(0);

    /// The shift count plus one, or 0.
    const SCALE: u8 = 0x0f;
    const TIMESTAMPS: u8 = 0x10;
    const MD5: u8 = 0x20;
    const AUTHENTICATION: u8 = 0x40;

    pub(crate) const fn of(options: &Options) -> Self {
        let scale = match options.window_scale {
            Some(scale) => scale.shift() + 1,
            None => 0,
        };
        let stamps = if options.stamp.is_some() { Self::TIMESTAMPS } else { 0 };
        let signature = match options.signature {
            Some(Signature::Md5) => Self::MD5,
            Some(Signature::Authentication) => Self::AUTHENTICATION,
            None => 0,
        };
        Self(scale | stamps | signature)
    }

    pub(crate) fn window_scale(self) -> Option<WindowScale> {
        (self.0 & Self::SCALE).checked_sub(1).map(WindowScale::clamped)
    }

    pub(crate) const fn has_timestamps(self) -> bool {
        self.0 & Self::TIMESTAMPS != 0
    }

    pub(crate) const fn signature(self) -> Option<Signature> {
        match self.0 & (Self::MD5 | Self::AUTHENTICATION) {
            Self::MD5 => Some(Signature::Md5),
            Self::AUTHENTICATION => Some(Signature::Authentication),
            _ => None,
        }
    }
}
