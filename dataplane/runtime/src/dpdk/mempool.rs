//! A pool of packet buffers.
//!
//! Every pool has a cache for each lcore: without one, two threads on one CPU block each other
//! for a scheduler's tick at a time.
#![expect(unsafe_code, reason = "owns a `rte_mempool`")]

use std::{ffi::CString, ptr::NonNull, sync::Arc};

use arrayvec::ArrayVec;
use mos_stack::limits::BURST;

use super::{
    eal::{Eal, last_errno},
    log,
    mbuf::{BURST_U16, Mbuf},
};

/// Buffers that each lcore keeps for itself.
const CACHE: u32 = 256;

/// The dimensions of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolSize {
    /// Packet buffers.
    pub(crate) mbufs: u32,
    /// Bytes of data that one holds.
    pub(crate) data_bytes: u16,
}

impl PoolSize {
    /// A pool with `taken` buffers for rings and queues, and more for the caches of `threads`
    /// threads; at least `wished` buffers.
    pub(crate) fn with_room(wished: u32, taken: u32, threads: u32, data_bytes: u16) -> Self {
        // DPDK flushes a cache when it holds 1.5 times its size.
        let caches = (threads + 1) * (CACHE + CACHE / 2);
        Self { mbufs: wished.max(taken + caches), data_bytes }
    }

    /// Memory that the pool takes in pages of `page_bytes`, in bytes.
    pub(crate) fn bytes(self, page_bytes: u64) -> u64 {
        // SAFETY: computes with its argument only.
        let each = unsafe { dpdk_sys::mos_mbuf_bytes(self.room()) } as u64;
        let mbufs = u64::from(self.mbufs);
        // The ring of free buffers has 2^n places and leaves one unused.
        let ring = (mbufs + 1).next_power_of_two() * 8;
        paged_bytes(mbufs, each, page_bytes) + ring + CACHES_BYTES
    }

    /// The data room as DPDK counts it: with the headroom in front.
    fn room(self) -> u16 {
        self.data_bytes.saturating_add(HEADROOM)
    }
}

/// Memory for the caches of all lcores and the pool's own structures, in bytes.
const CACHES_BYTES: u64 = 2 * 1024 * 1024;

/// Memory for `count` buffers of `each` bytes. DPDK lets no buffer cross the border of two pages;
/// one that is larger than a page begins at a page.
const fn paged_bytes(count: u64, each: u64, page_bytes: u64) -> u64 {
    let pages = match page_bytes / each {
        0 => count * each.div_ceil(page_bytes),
        on_a_page => count.div_ceil(on_a_page),
    };
    pages * page_bytes
}

#[expect(clippy::cast_possible_truncation, reason = "DPDK's headroom is a few hundred bytes")]
const HEADROOM: u16 = dpdk_sys::RTE_PKTMBUF_HEADROOM as u16;

/// A pool of packet buffers. It must outlive every [`Mbuf`] from it: a port owns its pool, and the
/// queues that hand out its packets own the port.
#[derive(Debug)]
pub(crate) struct Mempool {
    pool: NonNull<dpdk_sys::rte_mempool>,
    _eal: Arc<Eal>,
}

// SAFETY: a mempool may be used from any thread: that is what it is for.
unsafe impl Send for Mempool {}
// SAFETY: see above; `Mempool` has no state beside the pool.
unsafe impl Sync for Mempool {}

impl Mempool {
    /// Makes a pool with this name, which must be new. The error is DPDK's text.
    pub(crate) fn new(eal: &Arc<Eal>, name: &str, size: PoolSize) -> Result<Self, String> {
        let name = CString::new(name).map_err(|error| error.to_string())?;
        let (pool, cause) = log::explained(|| {
            // SAFETY: EAL runs; the name is a string that DPDK copies; the numbers are checked by
            // DPDK. Any NUMA node will do (-1).
            unsafe {
                dpdk_sys::rte_pktmbuf_pool_create(
                    name.as_ptr(),
                    size.mbufs,
                    CACHE,
                    0,
                    size.room(),
                    -1,
                )
            }
        });
        NonNull::new(pool)
            .map(|pool| Self { pool, _eal: Arc::clone(eal) })
            .ok_or_else(|| cause.unwrap_or_else(last_errno))
    }

    /// Allocates a burst of empty packets: a full one, or none when the pool has too few.
    pub(crate) fn allocate_burst(&self) -> ArrayVec<Mbuf, BURST> {
        let mut raw = [std::ptr::null_mut(); BURST];
        // SAFETY: the pool lives, and `raw` has room for `BURST` pointers.
        let code = unsafe { dpdk_sys::mos_alloc_bulk(self.as_ptr(), raw.as_mut_ptr(), BURST_U16) };
        let allocated = if code == 0 { BURST } else { 0 };
        // SAFETY: the first `allocated` are packets that only we have.
        raw[..allocated].iter().filter_map(|packet| unsafe { Mbuf::from_raw(*packet) }).collect()
    }

    /// The pool as C knows it.
    pub(super) const fn as_ptr(&self) -> *mut dpdk_sys::rte_mempool {
        self.pool.as_ptr()
    }
}

impl Drop for Mempool {
    fn drop(&mut self) {
        // SAFETY: the pool is ours, and no packet of it is left (see the type).
        unsafe { dpdk_sys::rte_mempool_free(self.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_room_for_what_may_be_away_and_for_the_caches() {
        let size = PoolSize::with_room(100, 1024, 2, 2048);
        assert_eq!(size.mbufs, 1024 + 3 * 384);
        assert_eq!(PoolSize::with_room(10_000, 1024, 2, 2048).mbufs, 10_000);
        assert!(size.bytes(2 << 20) > u64::from(size.mbufs) * (2048 + 128 + 128));
        assert!(size.bytes(4096) > u64::from(size.mbufs) * 4096);
    }

    #[test]
    fn no_buffer_lies_across_the_border_of_two_pages() {
        assert_eq!(paged_bytes(10, 2500, 4096), 10 * 4096);
        assert_eq!(paged_bytes(10, 1300, 4096), 4 * 4096);
        assert_eq!(paged_bytes(10, 4097, 4096), 20 * 4096);
        assert_eq!(paged_bytes(1000, 2500, 2 << 20), 2 * (2 << 20));
        assert_eq!(paged_bytes(0, 2500, 4096), 0);
    }
}
