//! Numbers in the byte order of whoever wrote a capture.

/// A byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ByteOrder {
    #[default]
    Little,
    Big,
}

impl ByteOrder {
    /// The number at `at`; 0 where it is not within `bytes`.
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let bytes = field(bytes, at);
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    /// [`Self::u16`] of 32 bits.
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let bytes = field(bytes, at);
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    /// [`Self::u16`] of 64 bits and a sign.
    pub(super) fn i64(self, bytes: &[u8], at: usize) -> i64 {
        let bytes = field(bytes, at);
        match self {
            Self::Little => i64::from_le_bytes(bytes),
            Self::Big => i64::from_be_bytes(bytes),
        }
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}
