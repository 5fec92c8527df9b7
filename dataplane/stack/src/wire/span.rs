//! The bytes of one layer: those that were captured, and how many there were.

use super::ParseError;

/// The bytes of a layer, from where it was read to on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span<'a> {
    /// Those that were captured.
    pub(super) captured: &'a [u8],
    /// How many were sent, at least those that were captured.
    pub(super) length: usize,
    /// Whether there may have been more: a mirror cuts packets that do not fit into its tunnel.
    pub(super) may_be_cut: bool,
}

impl<'a> Span<'a> {
    /// Bytes of which `length` were sent.
    pub(super) const fn new(captured: &'a [u8], length: usize) -> Self {
        Self { captured, length, may_be_cut: false }
    }

    /// Takes the next bytes of a header.
    pub(super) fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], ParseError> {
        let (header, rest) = self.captured.split_first_chunk::<N>().ok_or(ParseError::Truncated)?;
        (self.captured, self.length) = (rest, self.length.saturating_sub(N));
        Ok(header)
    }

    /// Moves behind bytes whose number a header has said.
    pub(super) fn skip(&mut self, count: usize) -> Result<(), ParseError> {
        let length = match self.length.checked_sub(count) {
            Some(length) => length,
            None if self.may_be_cut => 0,
            None => return Err(ParseError::Malformed),
        };
        self.captured = self.captured.get(count..).ok_or(ParseError::Truncated)?;
        self.length = length;
        Ok(())
    }

    /// The first bytes, whose number a header has said. More than were sent are a contradiction.
    pub(super) fn cut(self, length: usize) -> Result<Self, ParseError> {
        if length > self.length && !self.may_be_cut {
            return Err(ParseError::Malformed);
        }
        Ok(Self { captured: self.captured.get(..length).unwrap_or(self.captured), length, ..self })
    }
}
