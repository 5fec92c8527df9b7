//! Memory as the data path wants it: large arrays on huge pages, lines of the cache asked for
//! before they are needed, sums over many words at once, and a look at a few.
//!
//! The unsafe code that this takes stands here, so that the stack needs none. Nothing here knows
//! what the memory is for.

#![no_std]

mod find;
mod prefetch;
mod slab;
mod words;

pub use find::{FEW, find_word};
pub use prefetch::{CACHE_LINE, prefetch, prefetch_bytes, prefetch_line, prefetch_start};
pub use slab::Slab;
pub use words::{sum_of_words, sum_of_words_from};
