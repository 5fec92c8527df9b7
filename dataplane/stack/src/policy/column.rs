//! One field of the table: for every value, which alternatives take it, a bit each.
//!
//! ```text
//! borders   0        80   81            443  444
//! row       [..]     [..] [..]          [..] [..]
//!            │
//!            └─ words: a bit for each alternative
//! ```

use alloc::vec::Vec;

use super::ranges::{Number, Ranges};

/// Alternatives of one table, at most: a lookup reads 64 words of each column then.
pub(super) const ALTERNATIVES_MAX: usize = 64 * WORD;

/// Borders in one column, at most: it then takes 4 MiB.
pub(super) const BORDERS_MAX: usize = 8192;

/// Bits of a word.
pub(super) const WORD: usize = u64::BITS as usize;

/// The values of one field.
#[derive(Debug)]
pub(super) struct Column<T> {
    /// The first value of each stretch of values that the same alternatives take, in ascending
    /// order.
    borders: Vec<T>,
    /// The words of each stretch.
    rows: Vec<u64>,
    /// Words of a row.
    words: usize,
}

impl<T: Number> Column<T> {
    /// The column for alternatives that take these values, in their order. `None` if that takes
    /// more than [`BORDERS_MAX`] borders.
    pub(super) fn new<'a>(alternatives: impl Iterator<Item = &'a Ranges<T>>) -> Option<Self>
    where
        T: 'a,
    {
        let (mut changes, mut count) = (Vec::new(), 0);
        for (bit, ranges) in alternatives.enumerate() {
            for (first, last) in ranges.iter() {
                changes.push((first, bit));
                changes.extend(last.next().map(|behind| (behind, bit)));
            }
            count = bit + 1;
        }
        changes.sort_unstable();
        let words = count.div_ceil(WORD);
        let mut column = Self { borders: Vec::new(), rows: Vec::new(), words };
        let mut current = alloc::vec![0u64; words];
        let starts = |changes: &[(T, usize)]| changes.first().map(|(start, _)| *start);
        if starts(&changes) != Some(T::MIN) {
            column.push(T::MIN, &current);
        }
        for stretch in changes.chunk_by(|(a, _), (b, _)| a == b) {
            for (_, bit) in stretch {
                // A bit is set where its range begins, and cleared behind its end.
                current[bit / WORD] ^= 1 << (bit % WORD);
            }
            column.push(starts(stretch)?, &current);
        }
        Some(column).filter(|column| column.borders.len() <= BORDERS_MAX)
    }

    fn push(&mut self, border: T, words: &[u64]) {
        self.borders.push(border);
        self.rows.extend_from_slice(words);
    }

    /// The words of a value.
    #[inline]
    pub(super) fn row(&self, value: T) -> &[u64] {
        let behind = self.borders.partition_point(|border| *border <= value);
        let start = behind.saturating_sub(1) * self.words;
        self.rows.get(start..start + self.words).unwrap_or_default()
    }
}
