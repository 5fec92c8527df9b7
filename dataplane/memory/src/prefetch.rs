//! Hints to the cache.
#![expect(unsafe_code, reason = "the prefetch instruction is an intrinsic that takes a pointer")]

use core::ops::Range;

/// Bytes of one line of the cache on the machines that we know.
pub const CACHE_LINE: usize = 64;

/// Prefetches every line of a value. Has no other effect.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    for line in 0..size_of::<T>().div_ceil(CACHE_LINE) {
        prefetch_line(value, line);
    }
}

/// Prefetches one line of a value, counted from 0. Has no other effect.
#[inline(always)]
pub fn prefetch_line<T>(value: &T, line: usize) {
    let start: *const i8 = core::ptr::from_ref(value).cast();
    prefetch_at(start.wrapping_add(line.wrapping_mul(CACHE_LINE)));
}

/// Prefetches the line in which `bytes` begin. Has no other effect.
#[inline(always)]
pub fn prefetch_start(bytes: &[u8]) {
    prefetch_at(bytes.as_ptr().cast());
}

/// Prefetches every line that holds one of `bytes`. Has no other effect.
#[inline(always)]
pub fn prefetch_bytes(bytes: &[u8]) {
    let Range { start, end } = bytes.as_ptr_range();
    let mut line = start.map_addr(|address| address & !(CACHE_LINE - 1));
    while line < end {
        prefetch_at(line.cast());
        line = line.wrapping_add(CACHE_LINE);
    }
}

#[inline(always)]
#[cfg(target_arch = "x86_64")]
fn prefetch_at(address: *const i8) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch accesses no memory and never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
}

#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
fn prefetch_at(_address: *const i8) {}
