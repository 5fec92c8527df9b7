//! Memory as the data path wants it: large arrays on huge pages, and lines of the cache asked for
//! before they are needed.
//!
//! The unsafe code that this takes stands here, so that the stack needs none. Nothing here knows
//! what the memory is for.

#![no_std]

mod prefetch;
mod slab;

pub use prefetch::{CACHE_LINE, prefetch};
pub use slab::Slab;
