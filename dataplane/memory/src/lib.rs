//! Memory for the data path: large arrays on huge pages, prefetching, sums over many words, and a
//! search among eight of them; and the heap of the process.
//!
//! The unsafe code that these need is here, so that others need none. Nothing here knows what
//! the memory is used for.

#![no_std]

mod find;
pub mod heap;
mod prefetch;
mod slab;
mod words;

pub use find::{FEW, find_word};
pub use prefetch::{CACHE_LINE, prefetch, prefetch_bytes, prefetch_line, prefetch_start};
pub use slab::Slab;
pub use words::{sum_of_words, sum_of_words_from};
