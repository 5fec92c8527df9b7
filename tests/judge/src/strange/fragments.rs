//! Orders of fragments: whole, tiny, twice, overlapping.

use crate::wire::packet::{Letters, Piece};

const fn same(from: usize, to: usize) -> Piece {
    Piece { from, to, more: true, letters: Letters::Same }
}

const fn other(from: usize, to: usize) -> Piece {
    Piece { from, to, more: true, letters: Letters::Other }
}

const fn last(from: usize) -> Piece {
    Piece { from, to: 99, more: false, letters: Letters::Same }
}

const fn other_last(from: usize) -> Piece {
    Piece { from, to: 99, more: false, letters: Letters::Other }
}

/// Each a packet in fragments, in units of 8 bytes; a TCP header takes up to 4 of them.
const ORDERS: [(&str, &[Piece]); 20] = [
    ("in order", &[same(0, 4), last(4)]),
    ("in three", &[same(0, 3), same(3, 5), last(5)]),
    ("backwards", &[last(4), same(0, 4)]),
    ("one alone", &[last(0)]),
    ("the last is missing", &[same(0, 4), same(4, 5)]),
    ("the first is missing", &[last(4)]),
    ("the first twice", &[same(0, 4), same(0, 4), last(4)]),
    ("the last twice", &[same(0, 5), last(5), last(5)]),
    ("other letters twice", &[same(0, 4), other(4, 5), same(4, 5), last(5)]),
    ("an overlap before", &[same(0, 4), other(3, 5), last(5)]),
    ("an overlap behind", &[same(0, 5), other_last(4)]),
    ("an overlap of all", &[same(0, 4), other(0, 5), last(5)]),
    ("covered", &[same(0, 5), other(4, 5), last(5)]),
    ("tiny", &[same(0, 1), same(1, 2), last(2)]),
    ("tiny, backwards", &[last(2), same(1, 2), same(0, 1)]),
    ("the header alone", &[same(0, 3), last(3)]),
    ("two ends", &[same(0, 4), last(5), last(4)]),
    ("behind the end", &[same(0, 4), last(4), other(6, 7)]),
    (
        "an end inside",
        &[same(0, 5), Piece { from: 4, to: 5, more: false, letters: Letters::Same }, last(5)],
    ),
    ("empty", &[same(0, 4), same(4, 4), last(4)]),
];

/// The number of orders.
pub const COUNT: usize = ORDERS.len();

/// The pieces of an order.
#[must_use]
pub fn pieces(number: usize) -> Vec<Piece> {
    ORDERS.get(number).map_or_else(Vec::new, |(_, pieces)| pieces.to_vec())
}

/// What the order is, for a label.
#[must_use]
pub fn name(number: usize) -> &'static str {
    ORDERS.get(number).map_or("", |(name, _)| name)
}
