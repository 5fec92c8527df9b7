//! What a stretch of stream lacks.

/// Gaps, lowest first, as one sum. Those in the window of a buffer follow from what it holds; those
/// that the window has moved past are counted when it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Gaps {
    /// How many.
    pub(crate) count: u64,
    /// The bytes in them.
    pub(crate) bytes: u64,
    /// Where the first one begins and the last one ends.
    pub(crate) first: u64,
    pub(crate) end: u64,
}

impl Gaps {
    /// Adds later ones. One that begins where the last one ends is its continuation.
    pub(crate) const fn extend(&mut self, later: Self) {
        if later.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = later;
            return;
        }
        self.count += later.count - (later.first == self.end) as u64;
        self.bytes += later.bytes;
        self.end = later.end;
    }
}
